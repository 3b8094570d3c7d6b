"""Reads a source tree, whatever is in it: files in blocks, links as links; what is neither is refused by its name.

THE reader of trees. Nothing here waits: a FIFO is never opened, and what takes a file's place meanwhile is noticed.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from vexlab.errors import UsageProblem

NOT_SOURCE = (".git", "__pycache__")  # directories that neither git nor Python would call source
BLOCK = 1 << 20  # bytes
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}
AGAIN = "run again when nothing writes there"


def entries(tree: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files and links below a directory in a fixed order, each with its own status.

    Raises UsageProblem that names what is neither, what can't be read, and what vanishes meanwhile.
    """
    for directory, names, files in os.walk(tree, onerror=_refuse_directory):
        names[:] = sorted(name for name in names if name not in NOT_SOURCE)
        for name in sorted([*names, *files]):
            path = Path(directory, name)
            try:
                status = path.lstat()
            except OSError as error:
                _refuse(path, error)
            if not stat.S_ISDIR(status.st_mode):
                _refuse_kind(path, status)
                yield path, status


def check(tree: Path, largest: int) -> None:
    """Raise UsageProblem that names the first thing in a tree that can't be copied; `largest` is in MiB, for a file."""
    for path, status in entries(tree):
        if stat.S_ISREG(status.st_mode) and not os.access(path, os.R_OK):
            raise UsageProblem(f"{shown(path)} in the source can't be read by you", f"chmod u+r {shown(path)}")
        if status.st_size > largest << 20:
            raise UsageProblem(
                f"{shown(path)} in the source has {status.st_size >> 20} MiB, and the disk of the guest {largest} MiB",
                f"move it out of {shown(tree)}",
            )


def fingerprint(tree: Path) -> str:
    """One hash over names, modes and contents of the files and links of a tree; raises UsageProblem as `entries`."""
    total = hashlib.sha256()
    for path, status in entries(tree):
        total.update(os.fsencode(path.relative_to(tree)) + f"\0{status.st_mode:o}\0{content_hash(path)}\0".encode())
    return total.hexdigest()


def content_hash(path: Path) -> str:
    """sha256 of a file's content, or of where a link leads; raises UsageProblem when it changes while it is read."""
    try:
        if path.is_symlink():
            return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    except OSError as error:
        _refuse(path, error)
    with _open(path) as stream:
        before = os.fstat(stream.fileno())
        total, size = hashlib.sha256(), 0
        while block := stream.read(min(BLOCK, before.st_size + 1 - size)):
            total.update(block)
            size += len(block)
            if size > before.st_size:
                break
        after = os.fstat(stream.fileno())
    if (size, after.st_mtime_ns, after.st_ctime_ns) != (before.st_size, before.st_mtime_ns, before.st_ctime_ns):
        raise UsageProblem(f"{shown(path)} changed while it was read", AGAIN)
    return total.hexdigest()


def read_text(path: Path, largest: int) -> str:
    """Return a file's text, at most `largest` bytes of it; bytes that are not UTF-8 become U+FFFD.

    Raises UsageProblem as `entries` does.
    """
    with _open(path) as stream:
        return stream.read(largest).decode(errors="replace")


def shown(path: Path) -> str:
    """A path as a person can read it: what can't be printed, or isn't UTF-8, is escaped."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _open(path: Path) -> io.FileIO:
    """Open a file to be read; what its name stands for may have changed since it was looked at.

    A FIFO would be waited for, and a link followed. Raises UsageProblem for those as for what can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        _refuse(path, error)
    stream = io.FileIO(descriptor)
    try:
        _refuse_kind(path, os.fstat(descriptor))
    except UsageProblem:
        stream.close()
        raise
    return stream


def _refuse_kind(path: Path, status: os.stat_result) -> None:
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "of a kind that can't be copied")
        raise UsageProblem(
            f"{shown(path)} in the source is {kind}", "a source holds files, links and directories: move it away"
        )


def _refuse_directory(error: OSError) -> NoReturn:
    if isinstance(error, PermissionError):
        name = shown(Path(error.filename))
        raise UsageProblem(f"the directory {name} in the source can't be read by you", f"chmod u+rx {name}") from error
    _refuse(Path(error.filename), error)


def _refuse(path: Path, error: OSError) -> NoReturn:
    name = shown(path)
    if isinstance(error, PermissionError):
        hint = f"chmod u+r {name}, and u+x the directory that it is in"
        raise UsageProblem(f"{name} in the source can't be read by you", hint) from error
    if isinstance(error, FileNotFoundError):
        raise UsageProblem(f"{name} vanished while the source was read", AGAIN) from error
    raise UsageProblem(f"{name} in the source can't be read: {error.strerror}", "repair it, or move it away") from error
