"""How much a filesystem can take: as its target says, else as trying it once tells.

Names of what is made here and in other modules are of 11 bytes at most, which the shortest limit lets through.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Sequence

from vexlab.guest.inside.filesystem import MEASURED, Filesystem
from vexlab.guest.inside.system import put, statfs

# What a filesystem refuses something with that is beyond its limits: anything else is an error like any other.
REFUSALS = {
    errno.ENAMETOOLONG, errno.EFBIG, errno.EMLINK, errno.ENOSPC, errno.EINVAL, errno.EOVERFLOW,
}  # fmt: skip
NOTE = "vexlab note: "  # begins a line of output that goes to the check's advice
CHUNK = 1 << 16
SPARE = 10  # entries of a directory that a check may find there

_reached: dict[
    tuple[str, str], tuple[int, bool]
] = {}  # for a type and a limit: what was reached, and whether that is it


def note(text: str) -> None:
    """Tell something that is no failure, and that the check's advice shows."""
    sys.stdout.write(f"{NOTE}{text}\n")


def most(fs: Filesystem, limit: str, want: int) -> int:
    """As much of what is wanted as a limit lets through; one that the target doesn't name is measured."""
    if limit == "files":  # of which some may be there
        return min(files(want), int(fs.limits.get(limit, want)))
    if limit in fs.limits:
        return min(want, int(fs.limits[limit]))
    if limit == "directory_entries":  # a directory with room can be on a filesystem without any
        want = min(want, files(want + SPARE) - SPARE)
    reached, is_limit = _reached.get((fs.kind, limit), (0, False))
    if not is_limit and want > reached:
        reached = MEASURES[limit](fs, want)
        found(fs, limit, reached, want)
    return min(want, reached) if reached < want else want


def found(fs: Filesystem, limit: str, reached: int, want: int, how: str = "") -> None:
    """Remember how much was reached of what was wanted, and note what is a limit; `how` it was refused."""
    if fs.limits.get(limit) is None:
        _reached[fs.kind, limit] = (reached, reached < want)
        if reached < want:
            sys.stdout.write(f"{MEASURED}{limit} {reached}\n")
            words = f"{LIMIT_WORDS[limit].format(reached)}{how and f' ({how})'}"
            note(f"{words}; to demand that, name it: vexlab_limits has {limit}: {reached}")


def refusal(fs: Filesystem, limit: str, amount: int, what: str, problem: OSError) -> list[str]:
    """The errno of something that was refused, and in words what is wrong with that; nothing if a limit can be it."""
    came, named = errno.errorcode.get(problem.errno or 0, str(problem)), fs.limits.get(limit)
    if problem.errno not in REFUSALS:
        return [came, f"{what}: {came}, which is no limit's errno"]
    is_within = named is not None and amount <= int(named)
    return [came, f"{what}: {came}, the target says {named} (vexlab_limits, {limit})" if is_within else ""]


def allowed(fs: Filesystem, limit: str, amount: int, what: str, problem: OSError) -> str:
    """The errno of something that a limit refused; fails when there is something wrong with that."""
    came, wrong = refusal(fs, limit, amount, what, problem)
    assert not wrong, wrong
    return came


LIMIT_WORDS = {
    "name_bytes": "names have {} bytes at most",
    "symbolic_link_bytes": "targets of symbolic links have {} bytes at most",
    "file_bytes": "files have {} bytes at most",
    "directory_entries": "a directory has {} entries at most",
    "files": "there is room for {} more files",
    "hard_links": "a file has {} names at most",
}


def longest(works: Callable[[int], bool], want: int) -> int:
    """The largest number up to this one with which it works, if it works with all that are smaller; 0 for none."""
    if works(want):
        return want
    low, high = 0, want
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low


def refused(function: Callable[[], object]) -> str:
    """The errno by which a limit refused something, empty if it was done; anything else is raised."""
    try:
        function()
    except OSError as problem:
        if problem.errno not in REFUSALS:
            raise
        return errno.errorcode[problem.errno]
    return ""


def make(name: str) -> None:
    """Make an empty file that isn't there."""
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def name_bytes(_fs: Filesystem, want: int) -> int:
    """How long a name can be: one that was cut without a word counts as the cut one."""

    def works(length: int) -> bool:
        name, before = "n" * length, set(os.listdir())
        if refused(lambda: make(name)):
            return False
        new = [one for one in os.listdir() if one not in before]
        os.unlink(new[0] if len(new) == 1 else name)
        return [len(one) for one in new] == [length]

    return longest(works, want)


def symbolic_link_bytes(_fs: Filesystem, want: int) -> int:
    """How long the target of a symbolic link can be."""

    def works(length: int) -> bool:
        if refused(lambda: os.symlink("t" * length, "measure")):
            return False
        os.unlink("measure")
        return True

    return longest(works, want)


def file_bytes(_fs: Filesystem, want: int) -> int:
    """How large a file can be: by its last byte, and where that is refused by writing one until it is."""
    descriptor = os.open("measure", os.O_CREAT | os.O_TRUNC | os.O_RDWR)
    try:
        if written(descriptor, b"x", want - 1) and os.fstat(descriptor).st_size == want:
            return want
        os.close(descriptor)
        os.unlink("measure")
        descriptor, size = os.open("measure", os.O_CREAT | os.O_TRUNC | os.O_RDWR), 0
        while size < want and (more := written(descriptor, bytes(min(CHUNK, want - size)), size)):
            size += more
        return size
    finally:
        os.close(descriptor)
        os.unlink("measure")


def written(descriptor: int, data: bytes, place: int) -> int:
    """How many bytes pwrite(2) writes; none if a limit refuses it."""
    try:
        return os.pwrite(descriptor, data, place)
    except OSError as problem:
        if problem.errno not in REFUSALS:
            raise
        return 0


def directory_entries(fs: Filesystem, want: int) -> int:
    """How many entries a new directory can have; without directories, the root beside what is there."""
    place = "measure" if "directories" in fs.can else "."
    if place != ".":
        os.mkdir(place)
    names = [f"{place}/m{number}" for number in range(want)]
    made = many(names)
    for name in names[:made]:
        os.unlink(name)
    if place != ".":
        os.rmdir(place)
    return made


def many(names: Sequence[str]) -> int:
    """Make empty files until a limit refuses one; how many there are then."""
    for number, name in enumerate(names):
        if refused(lambda name=name: make(name)):  # type: ignore[misc]
            return number
    return len(names)


def files(want: int) -> int:
    """How many files more there can be, as statfs says; of one that says nothing of it, as many as are wanted."""
    seen = statfs()
    return min(want, seen.f_ffree) if seen.f_files else want


MEASURES: dict[str, Callable[[Filesystem, int], int]] = {
    "name_bytes": name_bytes,
    "symbolic_link_bytes": symbolic_link_bytes,
    "file_bytes": file_bytes,
    "directory_entries": directory_entries,
}


def room(part: int = 4) -> int:
    """How many bytes are a part of what is free where one is; of a filesystem that doesn't count them, any number."""
    seen = statfs()
    return seen.f_bavail * seen.f_frsize // part if seen.f_blocks else 1 << 62


def portions(fs: Filesystem, total: int) -> list[int]:
    """Sizes of as few files as possible that have so many bytes together, or as many as there is room for."""
    total = min(total, room())
    largest = most(fs, "file_bytes", total)
    if largest == total:
        return [total]
    count = min(-(-total // largest), 64)
    # Twice as many names: some checks have a small file beside each; and some for what else is there.
    names = min(most(fs, "directory_entries", 2 * count + SPARE), most(fs, "files", 2 * count + SPARE))
    return [largest] * min(count, max(1, (names - SPARE) // 2))


def write_files(names: Sequence[str], sizes: Sequence[int]) -> None:
    """Make a file of each name and size, of noise: zeros take no room where a filesystem compresses."""
    noise = os.urandom(1 << 20)
    for name, size in zip(names, sizes, strict=False):
        descriptor = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        try:
            for place in range(0, size, 1 << 20):
                put(descriptor, noise[: size - place])
        finally:
            os.close(descriptor)


class Pace:
    """A time within which something is to be done, and how fast it was: a slow filesystem is told as slow."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self.began, self.seconds = time.monotonic(), seconds

    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.began > self.seconds

    def rate(self, done: int) -> str:
        """So many bytes, in words that tell how fast they were."""
        took = max(time.monotonic() - self.began, 0.001)
        return f"{done / (1 << 20):.1f} MiB in {took:.0f} s, {done / 1024 / took:.0f} KiB/s"
