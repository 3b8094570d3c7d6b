"""The cache of images: what an image is called, whether it is whole, who may touch it, what killed builds left.

Everything is kept in one directory: `<key>/` is an image, `<key>.lock` its lock, `<key>.log` the log of its last build,
and `.<key>.XXXX.tmp/` a build that is under way (its lock is held) or was killed (its lock is free).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 2
IMAGE_FILES = ("disk.qcow2", "vmlinuz", "initrd.img")
MANIFEST = "manifest.json"
STAMP = "verified"
KEY = re.compile(r"[0-9a-f]{16}")
TEMPORARY = re.compile(r"\.(?P<key>[0-9a-f]{16})\.[^.]+\.tmp")


class ImageError(Exception):
    """Something a person has to know: what is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str = "", *, of_request: bool = False) -> None:
        """Keep both, so that whoever prints them decides how. `of_request`: what was asked for can't be had."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.of_request = of_request


@dataclass(frozen=True)
class Spec:
    """What an image is made from; everything here goes into its key."""

    suite: str
    packages: tuple[str, ...]
    source_packages: tuple[str, ...]
    disk_size_mb: int
    arch: str = "amd64"

    def key(self, files: Mapping[str, str]) -> str:
        """Name the image after all that goes into it: these values, and the text of every file, by its name."""
        described = {
            "format": FORMAT,
            "suite": self.suite,
            "arch": self.arch,
            "packages": sorted(set(self.packages)),
            "source_packages": sorted(set(self.source_packages)),
            "disk_size_mb": self.disk_size_mb,
            "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()},
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """The checksum of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _stat_of(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def write_manifest(
    directory: Path, spec: Spec, key: str, kernel_release: str, created: str, *, kernel: str = ""
) -> None:
    """Describe a finished image. The manifest is its last file: a directory without one is not an image.

    `kernel` is the key of its kernel, if it isn't that of its packages.
    """
    manifest = {
        "key": key,
        "format": FORMAT,
        "suite": spec.suite,
        "arch": spec.arch,
        "kernel_release": kernel_release,
        "kernel": kernel,
        "packages": sorted(set(spec.packages)),
        "source_packages": sorted(set(spec.source_packages)),
        "created": created,
        "sha256": {name: sha256(directory / name) for name in IMAGE_FILES},
        "sizes": {name: (directory / name).stat().st_size for name in IMAGE_FILES},
    }
    write_whole(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    _write_stamp(directory)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half written, not even after a power cut."""
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def written_down(path: Path, form: int) -> dict[str, Any]:
    """What a manifest of this form says; empty when there is none, or one of another form."""
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if manifest.get("format") == form else {}


def _write_stamp(directory: Path) -> None:
    stats = {name: _stat_of(directory / name) for name in (*IMAGE_FILES, MANIFEST)}
    with contextlib.suppress(OSError):  # a read-only cache only costs a new checksum each time
        write_whole(directory / STAMP, json.dumps(stats))


def damage(directory: Path, key: str, *, stamp: bool = True) -> str | None:
    """Say what is wrong with an image in words that follow "the image was damaged: ", or None when it is whole.

    Sizes are compared each time. Checksums take seconds, so they are only made when a file is not the one that was
    checked last (its size, time or inode is another); `stamp` says whether to remember that it has been checked.
    """
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        named, sizes, sums = manifest["key"], dict(manifest["sizes"]), dict(manifest["sha256"])
        found = "" if str(manifest["kernel_release"]) else f"{MANIFEST} names no kernel"
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its {MANIFEST} cannot be read ({error.__class__.__name__}: {error})"
    if named != key:
        found = f"its {MANIFEST} is for another image, {named}"
    found = found or _wrong_sizes(directory, sizes)
    if not found and not (directory / "sandbox" / "usr").is_dir():
        found = "its user space for builds (sandbox/usr) is missing"
    if not found and not _is_stamped(directory):
        wrong = [name for name in IMAGE_FILES if sha256(directory / name) != sums.get(name)]
        found = f"the checksum of {' and '.join(wrong)} is not the recorded one" if wrong else ""
        if stamp and not wrong:
            _write_stamp(directory)
    return found or None


def _wrong_sizes(directory: Path, sizes: dict[str, int]) -> str:
    for name in IMAGE_FILES:
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != sizes.get(name):
            return f"{name} has {path.stat().st_size} bytes instead of {sizes.get(name)}"
    return ""


def _is_stamped(directory: Path) -> bool:
    try:
        stamp = json.loads((directory / STAMP).read_text(encoding="utf-8"))
        return bool(stamp == {name: _stat_of(directory / name) for name in (*IMAGE_FILES, MANIFEST)})
    except (OSError, ValueError):
        return False


def kernel_release(directory: Path) -> str:
    """The kernel of a whole image."""
    return str(json.loads((directory / MANIFEST).read_text(encoding="utf-8"))["kernel_release"])


def kernel_key(directory: Path) -> str:
    """The key of the kernel of an image; empty for one that has that of its packages, and for what is no image."""
    try:
        return str(json.loads((directory / MANIFEST).read_text(encoding="utf-8")).get("kernel", ""))
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def locked(cache: Path, key: str, waiting: Callable[[str], None] | None = None) -> Iterator[int | None]:
    """Hold the lock of a key, and tell its descriptor.

    Without `waiting`, give up at once (None) when it is taken; with it, tell it who has the lock, and wait. A child
    that is given the descriptor keeps the lock: it stays taken until the last process of a killed build is gone.
    """
    path = cache / f"{key}.lock"
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                os.close(descriptor)
                yield None
                return
            waiting(os.pread(descriptor, 32, 0).decode().strip() or "unknown")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except BaseException:
                os.close(descriptor)
                raise
        # The one who held it may have removed the file (state "absent"): then this lock guards nothing.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        os.close(descriptor)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def remove_leftovers(cache: Path, held: str) -> list[str]:
    """Remove what killed builds left, of each key whose lock is free, and of `held`, which the caller has locked."""
    removed = []
    for path in sorted(cache.glob(".*.tmp")):
        match = TEMPORARY.fullmatch(path.name)
        if match is None or not path.is_dir():
            continue
        with contextlib.nullcontext(0) if match["key"] == held else locked(cache, match["key"]) as lock:
            if lock is not None:
                remove_tree(path)
                removed.append(path.name)
    return removed


def user(directory: Path) -> str:
    """Who runs on an image, in words, told by its path on a command line; empty when nobody does."""
    needle = f"{directory}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if needle in (entry / "cmdline").read_bytes():
                    return f"process {entry.name} runs on it"
    return ""


def size_mib(directory: Path) -> int:
    """MiB that a directory takes on the disk, as far as it can be read; others may remove of it meanwhile."""
    blocks = 0
    for place, below, files in os.walk(directory):
        for name in (*below, *files):
            with contextlib.suppress(OSError):
                blocks += (Path(place) / name).lstat().st_blocks
    return blocks >> 11


def discard(directory: Path) -> None:
    """Remove an image in a way that nobody ever sees half of it."""
    if not directory.exists():
        return
    away = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".tmp", dir=directory.parent))
    directory.rename(away / "image")
    remove_tree(away)


def remove_tree(path: Path) -> None:
    """Remove a directory of ours, and in it a root file system that may belong to subordinate ids."""
    work = path / "work"
    if os.geteuid() != 0 and (work / "rootfs").exists():
        # Only root of the user namespace owns those files. It enters by the current directory, see assemble.sh.
        command = ["mmdebstrap", "--unshare-helper", "rm", "-rf", "--one-file-system", "--", "rootfs"]
        with contextlib.suppress(OSError):
            subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise ImageError(
            f"{path}, left by a build that was ended, cannot be removed.",
            f"Remove it as root: sudo rm -rf --one-file-system {path}",
        )
