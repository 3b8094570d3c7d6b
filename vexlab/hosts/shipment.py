"""What a hypervisor gets of this machine, as archives: vexlab, what it needs, targets, sources, images and kernels.

An archive is named after its content and packed once. On the host it is unpacked once, to a directory of that name;
what works there fetches nothing from anywhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import cache, sandboxes, store
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.sandboxes import Part
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError
from filelock import FileLock

from vexlab.config import images, installation, source_tree, user_directories
from vexlab.errors import HostProblem, UsageProblem, VexlabError

DIRECTORY = "shipped"  # beside the cache of images
TARGET = "vexlab.yml"  # what a target file is called on a host
KEPT_SECONDS = 14 * 24 * 3600.0  # since it was used last
# Of a checkout, what a wheel has of it: .ci/wheel.py, which can't be imported where vexlab is installed.
SHIPPED = (
    "ansible.cfg", "examples", "galaxy.yml", "inventory", "meta", "playbooks", "plugins", "roles", "tests/stages",
)  # fmt: skip
SHARE, CACHE, STATE = ".local/share/vexlab", ".cache", ".local/state"  # below the home directory of a host
_TAR = ("tar", "--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--exclude=__pycache__")
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """An archive, its checksum, and where it is unpacked, below the home directory; `exact` is for module shipped."""

    archive: str
    sha256: str
    directory: str
    exact: bool = False

    def below(self, home: str) -> dict[str, Any]:
        """What the module is told, for a host with this home directory."""
        return {**dataclasses.asdict(self), "directory": f"{home}/{self.directory}"}


@contextlib.contextmanager
def packing() -> Iterator[Path]:
    """Have the directory of the archives alone; what nobody has used for long is gone from it."""
    directory = _archives()
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"):
        _prune(directory)
        yield directory


def wheels(version: tuple[int, int]) -> Item:
    """The Python packages that vexlab needs, with pip, for a version of Python; raises HostProblem."""
    directory = _archives()
    wanted = sorted({"pip", *_requirements()})
    key = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    name = f"wheels-{version[0]}.{version[1]}-{key}"
    with FileLock(directory / f"{name}.lock"):
        archive = directory / f"{name}.tar"
        if not archive.is_file():
            _download(wanted, version, archive)
        return _item(archive, f"{SHARE}/wheels")


def parts(directory: Path, contracts: Iterable[Mapping[str, Any]], say: Say, *, builds_only: bool) -> list[Item]:
    """What a host's cache of images gets for contracts; `builds_only`: no guest is started. Raises VexlabError."""
    found: dict[str, Part] = {}
    for contract in contracts:
        try:
            wanted = images.wanted(contract)
            packages = contract["vexlab_packages"]
            needed = sandboxes.parts(wanted, packages, say) if builds_only else cache.parts(wanted, say)
        except ImageError as problem:
            kind = UsageProblem if problem.of_request else HostProblem
            raise kind(problem.message, problem.hint) from None
        found |= {part.place: part for part in needed}
    return [of_cache(directory, part, say) for part in found.values()]


def of_cache(directory: Path, part: Part, say: Say) -> Item:
    """A part of the cache of images; the name of one whose name says nothing is of its content."""
    place = f"{CACHE}/vexlab/images/{part.place}"
    name = part.place.replace("/", "-")
    if part.is_exact:
        content = "".join(f"{name} {store.sha256(path)}\n" for name, path in sorted(part.files.items()))
        name += f"-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    archive = directory / f"{name}.tar.zst"
    if not archive.is_file():
        say(f"packing {part.place} for the hypervisors")
    with tempfile.TemporaryDirectory(dir=directory, prefix=".", suffix=".tmp") as scratch:
        for file, text in part.made.items():
            (Path(scratch) / file).write_text(text, encoding="utf-8")
        members = [f"--directory={scratch}", *part.made]
        for file, path in part.files.items():
            # The path in the archive begins with the name that it has there; what a link says is left alone.
            members += [
                f"--transform=flags=rSh;s,^{path.name}\\(/\\|$\\),{file}\\1,",
                f"--directory={path.parent}",
                path.name,
            ]
        _pack(archive, [*(["--mtime=@0"] if part.is_exact else []), *members])
    return _item(archive, place, is_named=True, exact=part.is_exact)


def code(directory: Path) -> Item:
    """The code of vexlab, as it lies in site-packages: the package, and the collection beside it."""
    root, package = installation.root(), Path(__file__).parents[1]
    with tempfile.TemporaryDirectory(dir=directory, prefix=".", suffix=".tmp") as scratch:
        tree = Path(scratch) / "tree"
        collection = tree / installation.COLLECTION
        for name in SHIPPED:
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            (collection / name).symlink_to(root / name)
        (tree / "vexlab").symlink_to(package)
        archive = Path(scratch) / "code.tar.zst"
        _pack(archive, ["--mtime=@0", "--dereference", f"--directory={tree}", "."])
        checksum = store.sha256(archive)
        named = directory / f"code-{checksum[:16]}.tar.zst"
        archive.replace(named)
    return _item(named, f"{SHARE}/code")


@functools.cache
def source(directory: Path, tree: str) -> Item:
    """A source; its files keep their times, by which make tells what is to be made anew."""
    archive = directory / f"source-{source_tree.fingerprint(Path(tree))[:16]}.tar.zst"
    _pack(archive, [*(f"--exclude={name}" for name in source_tree.NOT_SOURCE), f"--directory={tree}", "."])
    return _item(archive, f"{SHARE}/sources")


@functools.cache
def target(directory: Path, file: str) -> Item:
    """A target file, which is called TARGET there."""
    path = Path(file)
    archive = directory / f"target-{store.sha256(path)[:16]}.tar.zst"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".", suffix=".tmp") as scratch:
        (Path(scratch) / TARGET).symlink_to(path)  # its own name may mean something to tar
        _pack(archive, ["--mtime=@0", "--dereference", f"--directory={scratch}", TARGET])
    return _item(archive, f"{SHARE}/targets")


def _pack(archive: Path, members: Iterable[str]) -> None:
    """Make an archive, unless it is there; it appears when it is whole, or not at all."""
    if archive.is_file():
        os.utime(archive)
        return
    new = archive.with_name(f".{archive.name}.new")
    # zstd -T0 makes the same of the same, whatever the number of its threads.
    pack = [*_TAR, "--use-compress-program=zstd -1 -T0", f"--file={new}", *members]
    done = subprocess.run(pack, capture_output=True, text=True, check=False)
    if done.returncode:
        new.unlink(missing_ok=True)
        raise HostProblem(f"{archive.name} can't be packed: {done.stderr.strip()[-400:]}", f"df -h {archive.parent}")
    new.replace(archive)


def _item(archive: Path, place: str, *, is_named: bool = False, exact: bool = False) -> Item:
    """An archive that is unpacked to a directory named after it, below a place; `is_named`: to the place itself."""
    os.utime(archive)
    stem = archive.name.removesuffix(".zst").removesuffix(".tar").partition("-")[2]
    return Item(str(archive), store.sha256(archive), place if is_named else f"{place}/{stem}", exact)


def _archives() -> Path:
    return user_directories.cache_directory().parent / DIRECTORY


def _requirements() -> list[str]:
    try:
        return [each.replace(" ", "") for each in requires("vexlab") or [] if "extra" not in each]
    except PackageNotFoundError:
        raise VexlabError("vexlab isn't installed, so what it needs isn't known", "pipx install .") from None


def _download(wanted: Sequence[str], version: tuple[int, int], archive: Path) -> None:
    """Fetch packages by pip, as this machine's pip is set up, and pack them."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".", suffix=".tmp") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={scratch}"]
        if version != sys.version_info[:2]:
            number = ".".join(map(str, version))
            command += [
                f"--python-version={number}",
                "--implementation=cp",
                *(f"--platform={one}" for one in _PLATFORMS),
            ]
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            said = (errors or [done.stderr.strip()])[-1][-400:]
            raise HostProblem(
                f"the Python packages for the hypervisors can't be fetched: {said}",
                f"{sys.executable} -m pip download shows more; vexlab's own environment needs pip for this",
            )
        _pack(archive, ["--mtime=@0", f"--directory={scratch}", "."])


def _prune(directory: Path) -> None:
    """Remove what nobody has used for long, and what a command that was killed has left."""
    for path in directory.iterdir():
        if path.name == "lock" or time.time() - path.stat().st_mtime < KEPT_SECONDS:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
