"""An image with another kernel than that of its packages: a finished image, and over it the files of a kernel.

It is an image like any other, and doesn't need the one that it was made from. Files of the user space for builds are
shared with those that they come from, as hard links.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import kernel_tree, kernels, store, userspace
from .downloads import Download
from .kernels import Layer
from .store import ImageError, Spec
from .worker import BuildLog, build_log

NEEDED_MB = 4000  # the disk is there as it was, raw, and as it will be
INITRAMFS = ("make_initramfs.sh", "initramfs_init")
# What the image has of its own kernel. In the new one's user space it is not there, on its disk it has this ending.
DISPLACED = ("usr/lib/modules", "usr/lib/linux-kbuild-*", "usr/src/linux-headers-*", "usr/src/linux-kbuild-*")
ENDING = ".of-image"


@dataclass(frozen=True)
class Composition:
    """The image that is made: its key, the key of the image below, the kernel; `files` are those that make images."""

    cache: Path
    key: str
    spec: Spec
    files: Mapping[str, str]
    base: str
    layer: Layer

    def build(self, lock: int) -> None:
        """Make it; the caller holds the lock of its key. It appears under its name when it is whole, or not at all."""
        kernels.check_room(self.cache, NEEDED_MB, f"an image with kernel {self.layer.release}")
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{self.key}.", suffix=".tmp", dir=self.cache))
            try:
                with build_log(self.cache / f"{self.key}.log", fresh=True) as log:
                    self._assemble(temporary, Download(self.cache, self.key, self.spec, self.files, lock), log)
            finally:
                store.remove_tree(temporary)
        except OSError as problem:
            raise ImageError(
                f"The image can't be made in {self.cache}: {problem}.", "Free some space there."
            ) from problem

    def _assemble(self, temporary: Path, job: Download, log: BuildLog) -> None:
        work, image = temporary / "work", temporary / "image"
        for directory in (work, image):
            directory.mkdir(mode=0o755)
        log.line(f"vexlab: step 1/4: the user space for builds, with the headers of kernel {self.layer.release}")
        added = list(additions(self.layer.tree, self.cache / self.base / "sandbox"))
        make_sandbox(
            image / "sandbox",
            self.cache / self.base / "sandbox",
            self.layer,
            lambda command: job.run(command, work, log),
        )
        check_tools(image / "sandbox", work, self.layer)
        log.line("vexlab: step 2/4: making the initramfs")
        self._make_initramfs(image, work)
        log.line("vexlab: step 3/4: writing the kernel's files to the disk")
        self._make_disk(image / "disk.qcow2", added, job, work, log)
        log.line("vexlab: step 4/4: writing the manifest")
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        store.write_manifest(image, self.spec, self.key, self.layer.release, created, kernel=self.layer.key)
        image.rename(self.cache / self.key)
        log.line("vexlab: done")

    def _make_initramfs(self, image: Path, work: Path) -> None:
        for name in INITRAMFS:
            (work / name).write_text(self.files[name], encoding="utf-8")
        command = ["sh", INITRAMFS[0], self.layer.release, INITRAMFS[1], "initrd.img"]
        modules = {f"/{kernel_tree.MODULES}": self.layer.tree / kernel_tree.MODULES}
        done = userspace.run(self.cache / self.base / "sandbox", work, command, binds=modules)
        if done.returncode or not (work / "initrd.img").is_file():
            raise ImageError(f"No initramfs could be made for kernel {self.layer.release}: {done.stderr[-600:]}")
        shutil.copyfile(work / "initrd.img", image / "initrd.img")
        shutil.copyfile(self.layer.image, image / "vmlinuz")

    def _make_disk(self, disk: Path, added: list[Path], job: Download, work: Path, log: BuildLog) -> None:
        base = self.cache / self.base
        job.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(base / "disk.qcow2"), "disk.raw"], work, log)
        script = work / "debugfs"
        script.write_text(
            "\n".join(debugfs_commands(self.layer.tree, added, base / "sandbox")) + "\n", encoding="utf-8"
        )
        # What debugfs does goes to its standard output, a line for each file; what fails, to its standard error.
        job.run(["sh", "-c", "exec debugfs -w -f debugfs disk.raw >/dev/null"], work, log)
        # It ends with 0 whatever a command of it came to; the filesystem tells.
        job.run(["e2fsck", "-f", "-n", "disk.raw"], work, log)
        job.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", str(disk)], work, log)


def make_sandbox(sandbox: Path, base: Path, layer: Layer, run: Callable[[list[str]], None]) -> None:
    """Make a user space for builds with the headers of a kernel from one that has those of another, by `run`."""
    added = list(additions(layer.tree, base))
    run(["cp", "--archive", "--link", str(base), str(sandbox)])
    for path in displaced(sandbox):
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
    modules = kernel_tree.MODULES / layer.release / "kernel"
    for name in added:
        if not name.is_relative_to(modules):  # which no build reads
            place(layer.tree / name, sandbox / name)


def displaced(root: Path) -> list[Path]:
    """What a user space has of a kernel: its modules, its headers, and what builds with them."""
    return [path for pattern in DISPLACED for path in sorted(root.glob(pattern))]


def additions(tree: Path, base: Path) -> Iterator[Path]:
    """What a kernel's tree adds to a user space, relative to either; a directory comes before what is in it.

    A file that the user space has as well stays that of the user space, unless it is its kernel's.
    """
    gone = displaced(base)
    for place, directories, files in os.walk(tree / "usr"):
        directories.sort()
        here = Path(place).relative_to(tree)
        links = [name for name in directories if Path(place, name).is_symlink()]
        for name in [*sorted(directories), *sorted(files)]:
            there = base / here / name
            is_gone = any(there.is_relative_to(path) for path in gone)
            if is_gone or not os.path.lexists(there):
                yield here / name
        directories[:] = [name for name in directories if name not in links]


def place(source: Path, target: Path) -> None:
    """Make a directory, a link, or another name of a file."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir(mode=0o755)
    else:
        target.hardlink_to(source)


def debugfs_commands(tree: Path, added: list[Path], base: Path) -> Iterator[str]:
    """The commands that bring files of a tree to the root filesystem of an image whose user space is `base`.

    What debugfs writes is root's, with the mode that it has.
    """
    for path in displaced(base):
        name = path.relative_to(base)
        yield f'link "/{name}" "/{name}{ENDING}"'  # within one directory, which makes a new name of it
        yield f'unlink "/{name}"'
    for name in added:
        path = tree / name
        if '"' in str(path) or "\n" in str(path):
            raise ImageError(f"The name {str(path)!r} holds a quote or a line break.", "Rename it.", of_request=True)
        if path.is_symlink():
            yield f'symlink "/{name}" "{path.readlink()}"'
        elif path.is_dir():
            yield f'mkdir "/{name}"'
        else:
            yield f'write "{path}" "/{name}"'


def check_tools(sandbox: Path, work: Path, layer: Layer) -> None:
    """Raise ImageError when what builds a module for this kernel doesn't run in the guest's user space."""
    tools = [["/usr/lib/modules/" + layer.release + "/build/scripts/basic/fixdep", "-"]]
    tools += [[layer.compiler, "--version"]] if layer.compiler else []
    for command in tools:
        done = userspace.run(sandbox, work, command)
        said = done.stderr.strip()
        if "execvp" in said or "not found" in said or "error while loading" in said:
            raise ImageError(
                f"Modules for kernel {layer.release} can't be built in the guest: {command[0]}: {said[-300:]}",
                f"Give the packages of {layer.compiler} as well." if command[0] == layer.compiler else
                "Take a kernel that was built for this Debian, or an older one.", of_request=True,
            )  # fmt: skip
