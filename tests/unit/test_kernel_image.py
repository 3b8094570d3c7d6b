"""An image under another kernel: what of it gives way, what is added, on its disk and in its user space for builds."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import cache, kernel_image, kernels, store
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.cache import Wanted
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.kernels import Layer
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec

from tests.unit import kernel_packages as made
from tests.unit import modules
from vexlab.run import events
from vexlab.run.events import REQUEST, TaskEnded

BASE: made.Files = {
    "usr/bin/make": b"make", "usr/lib/modules/6.12.0/modules.dep": b"old",
    "usr/src/linux-headers-6.12.0/Makefile": b"old",
    "usr/src/apfs/Makefile": b"a target's source", "usr/lib/linux-kbuild-6.12/scripts/x": b"old",
    "usr/src/linux-kbuild-6.12": "-> ../lib/linux-kbuild-6.12", "usr/lib/libc.so": b"of the user space",
}  # fmt: skip
KERNEL: made.Files = {
    "boot/config-7": b"x", "usr/lib/modules/7/kernel/fs/9p.ko": b"9p",
    "usr/lib/modules/7/build": "-> /usr/src/linux-headers-7",
    "usr/src/linux-headers-7/Makefile": b"new", "usr/lib/linux-kbuild-6.12/scripts/x": b"new",
    "usr/src/linux-kbuild-6.12": "-> ../lib/linux-kbuild-6.12", "usr/lib/libc.so": b"of the kernel",
    "usr/bin/gcc-10": b"cc",
}  # fmt: skip
NAMES = ("usr/bin/make", "usr/src/apfs/Makefile", "usr/lib/libc.so")  # that stay


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The user space of an image."""
    made.write(tmp_path / "base", BASE)
    return tmp_path / "base"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of a kernel."""
    made.write(tmp_path / "tree", KERNEL)
    (tmp_path / "tree/usr/bin/gcc-10").chmod(0o755)
    return tmp_path / "tree"


def test_kernel_adds_what_the_user_space_lacks_or_loses(base: Path, tree: Path) -> None:
    added = {str(name) for name in kernel_image.additions(tree, base) if not (tree / name).is_dir()}
    added |= {str(name) for name in kernel_image.additions(tree, base) if (tree / name).is_symlink()}
    assert added == set(KERNEL) - {"boot/config-7", "usr/lib/libc.so"}


def test_disk_has_the_kernel_and_keeps_the_rest(base: Path, tree: Path, tmp_path: Path) -> None:
    """Written by debugfs, as a guest would then read it; the filesystem is sound."""
    disk = tmp_path / "disk"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", base, disk, "8M"], check=True)
    added = list(kernel_image.additions(tree, base))
    (tmp_path / "commands").write_text("\n".join(kernel_image.debugfs_commands(tree, added, base)) + "\n")
    done = subprocess.run(
        ["debugfs", "-w", "-f", tmp_path / "commands", disk], capture_output=True, text=True, check=True
    )
    assert len(done.stderr.splitlines()) == 1, done.stderr  # its own name and version
    subprocess.run(["e2fsck", "-f", "-n", disk], check=True, capture_output=True)
    (tmp_path / "out").mkdir()
    subprocess.run(["debugfs", "-R", f"rdump /usr {tmp_path}/out", disk], check=True, capture_output=True)
    here = tmp_path / "out"
    for name, content in KERNEL.items():
        if name.startswith("usr/") and name != "usr/lib/libc.so":
            path = here / name
            assert (f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes()) == content
    for name in NAMES:
        assert (here / name).read_bytes() == BASE[name]
    assert (here / f"usr/lib/modules{kernel_image.ENDING}/6.12.0/modules.dep").read_bytes() == b"old"
    assert [path.name for path in (here / "usr/lib/modules").iterdir()] == ["7"]
    assert (here / "usr/bin/gcc-10").stat().st_mode & 0o777 == 0o755


def test_path_that_debugfs_would_misread_is_refused(base: Path, tmp_path: Path) -> None:
    made.write(tmp_path / "odd", {'usr/src/a"b': b""})
    added = list(kernel_image.additions(tmp_path / "odd", base))
    with pytest.raises(ImageError, match="holds a quote or a line break"):
        list(kernel_image.debugfs_commands(tmp_path / "odd", added, base))


SPEC = Spec("trixie", ("fio", "bc"), (), 8192)
FILES = {"make_initramfs.sh": "true\n", "initramfs_init": "true\n"}
LAYER = Layer("1" * 16, Path("/nowhere"), "7.3.4+deb13-amd64", "gcc-14", "trixie-backports")


def an_image(place: Path, key: str, release: str, kernel: str = "") -> None:
    """A whole, tiny image."""
    (place / key / "sandbox" / "usr").mkdir(parents=True)
    for name in store.IMAGE_FILES:
        (place / key / name).write_text(name)
    store.write_manifest(place / key, SPEC, key, release, "2026-01-01T00:00:00Z", kernel=kernel)


@pytest.mark.parametrize("word", ["", "trixie", "6.12", "6.12.118", "6.12.118+deb13-amd64"])
def test_kernel_that_the_image_has_needs_nothing_else(tmp_path: Path, word: str) -> None:
    wanted = Wanted(tmp_path, SPEC, FILES, word, ("trixie",))
    assert wanted.key == cache.key_of(SPEC, FILES)
    an_image(tmp_path, wanted.key, "6.12.118+deb13-amd64")
    assert cache.ensure(wanted, check=True).key == wanted.key
    assert not cache.ensure(wanted, check=True).changed


@pytest.mark.parametrize("word", ["7.3", "bookworm", "6.1"])
def test_kernel_that_is_not_there_is_foreseen(tmp_path: Path, word: str) -> None:
    wanted = Wanted(tmp_path, SPEC, FILES, word, ("trixie",))
    an_image(tmp_path, wanted.key, "6.12.118+deb13-amd64")
    found = cache.ensure(wanted, check=True)
    assert (found.changed, found.reason) == (True, f"kernel {word} is not in the cache")


def test_key_of_a_composition_is_of_image_kernel_and_initramfs(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path, SPEC, FILES, "7.3")
    others = (
        dataclasses.replace(wanted, spec=dataclasses.replace(SPEC, packages=())),
        dataclasses.replace(wanted, files={**FILES, "initramfs_init": "false\n"}),
    )
    keys = {one.composition(LAYER).key for one in (wanted, *others)}
    keys.add(wanted.composition(dataclasses.replace(LAYER, key="2" * 16)).key)
    assert len(keys) == 4


def test_cached_kernel_that_lost_a_file_is_not_whole(tmp_path: Path) -> None:
    directory = tmp_path / kernels.DIRECTORY / ("1" * 16)
    made.write(directory / "tree", KERNEL)
    (directory / kernels.MANIFEST).write_text(
        f'{{"format": {kernels.FORMAT}, "release": "7", "compiler": "", "origin": "x", "created": "", '
        f'"files": {kernels.count(directory / "tree")}, "image": "tree/vmlinuz"}}'.replace("'", '"')
    )
    assert kernels.read(directory) is not None
    assert [one["release"] for one in kernels.cached(tmp_path)] == ["7"]
    (directory / "tree/usr/bin/gcc-10").write_bytes(b"")
    assert kernels.read(directory) is None


def test_prune_keeps_the_kernels_of_the_images_that_it_keeps(tmp_path: Path) -> None:
    used, unused, kept = "1" * 16, "2" * 16, "a" * 16
    for key in (used, unused):
        made.write(tmp_path / kernels.DIRECTORY / key, {"tree/file": b"x"})
    an_image(tmp_path, kept, "7.3.4", kernel=used)
    an_image(tmp_path, "b" * 16, "6.1.0", kernel=unused)
    said = modules.run("image", {"cache": str(tmp_path), "state": "pruned", "keep": [kept]})
    assert set(said["removed"]) == {"b" * 16, f"kernels/{unused}"}
    assert said["kept"] == {kept: "a lab uses it", f"kernels/{used}": f"image {kept} has it"}
    assert sorted(path.name for path in (tmp_path / kernels.DIRECTORY).iterdir() if path.is_dir()) == [used]


def test_kernel_that_cannot_be_had_is_nobodys_fault_but_the_askers(tmp_path: Path) -> None:
    """The module says so, before it builds anything, and the run's event carries it."""
    said = modules.run("image", {"cache": str(tmp_path / "images"), "kernel": f"{tmp_path}/x.deb", "files": FILES})
    assert said["of_request"]
    assert said["msg"].startswith(f"There is no kernel at {tmp_path}/x.deb.")
    raw = {"event": "runner_on_failed", "event_data": {"task_action": "vexfs.vexlab.image", "res": said}}
    event = events.of_runner(raw, 1.0)
    assert isinstance(event, TaskEnded)
    assert event.facts == {REQUEST: True}
