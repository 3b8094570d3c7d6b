"""The edge of each limit: at it all works, beyond it there is an errno, and never a silent cut.

Each function tells what is wrong, in words, nothing if nothing is; what is only worth a remark goes to the advice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from vexlab.guest.inside.amounts import LIMIT_WORDS, REFUSALS, SPARE, Pace, make, many, note, room, written
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import put, write

TRIED = 5000  # of names, links and files: beyond that an edge costs more time than it is worth
SMALL = 8 << 20  # bytes of a file that are written to get to its edge, though a hole would do
WRITTEN = 64 << 20  # bytes that are, where there are no holes


def beyond(limit: str, what: str, came: str, documented: str) -> str:
    """What is wrong with what came of something beyond a limit: nothing with an errno, of which one is documented."""
    if came == "done":
        return f"{what}: done, though it is beyond the limit ({limit})"
    if came not in [errno.errorcode[number] for number in REFUSALS]:
        return f"{what}: {came}, where {documented} says that it is beyond a limit"
    if came != documented:
        note(f"{what} is refused with {came}; the man page has {documented} for it")
    return ""


def symbolic_links(fs: Filesystem) -> list[str]:
    """A link whose target is as long as the target file says, and one that is longer."""
    length = int(fs.limits["symbolic_link_bytes"])
    target, wrong = ("0123456789/" * 400)[:length], []
    came = outcome(os.symlink, target, "edge")
    if came == "done":
        fs.remount()
        kept = os.readlink("edge")
        if kept != target:
            wrong.append(f"symlink of {length} bytes: readlink gives {len(kept)} bytes after a remount")
        os.unlink("edge")
    else:
        wrong.append(f"symlink of {length} bytes: {came}, the target says {length}")
    if length < 4095:  # a longer path is refused before any filesystem is asked
        came = outcome(os.symlink, target + "x", "beyond")
        wrong.append(beyond("symbolic_link_bytes", f"symlink of {length + 1} bytes", came, "ENAMETOOLONG"))
        if os.path.lexists("beyond"):
            os.unlink("beyond")
    return wrong


def file(fs: Filesystem) -> list[str]:
    """A file as large as the target says; and what is behind its end, by a write and by a truncate."""
    size = int(fs.limits["file_bytes"])
    is_sparse = size > SMALL and "sparse-files" in fs.can
    if not is_sparse and size > min(WRITTEN, room(2)):
        note(
            f"the edge of a file at {size} bytes was not tried: that much isn't written here, and holes aren't claimed"
        )
        return []
    descriptor = os.open("edge", os.O_CREAT | os.O_TRUNC | os.O_RDWR)
    try:
        if not is_sparse and not written_in_time(descriptor, size - 1):
            return []
        came = outcome(os.pwrite, descriptor, b"x", size - 1)
        if came != "done":
            return [f"a write of byte {size} of a file: {came}, the target says that it can have that many"]
        wrong = [*beyond_file(fs, descriptor, size)]
        fs_size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    fs.remount()
    kept = os.stat("edge").st_size
    os.unlink("edge")
    return wrong + [f"a file of {fs_size} bytes has {kept} after a remount"] * (kept != fs_size)


def written_in_time(descriptor: int, size: int) -> bool:
    """Write so many bytes; False when that takes too long."""
    pace = Pace(60)
    for place in range(0, size, 1 << 20):
        put(descriptor, bytes(min(1 << 20, size - place)))
        if pace.is_over():
            note(f"slow: {pace.rate(place)}; the edge of a file at {size} bytes was not reached")
            return False
    return True


def beyond_file(fs: Filesystem, descriptor: int, size: int) -> Iterator[str]:
    """Yield what is wrong with attempts to make a file larger that is as large as can be."""
    attempts: dict[str, Callable[[], object]] = {"a write of a byte": lambda: put_at(descriptor, size)}
    if "truncate" in fs.can:
        attempts["ftruncate to one byte more"] = lambda: os.ftruncate(descriptor, size + 1)
    for what, attempt in attempts.items():
        yield beyond("file_bytes", f"{what} behind {size} bytes", outcome(attempt), "EFBIG")
        if (now := os.fstat(descriptor).st_size) != size:
            yield f"{what} behind {size} bytes left the file with {now}"
            os.ftruncate(descriptor, size)
    if written(descriptor, b"xy", size - 1) not in (0, 1):
        yield f"a write of two bytes, of which one is behind {size} bytes, says that both were written"


def put_at(descriptor: int, place: int) -> None:
    """Write a byte; 0 for an answer is neither a byte nor an errno."""
    if not os.pwrite(descriptor, b"x", place):
        raise OSError(0, "0 bytes written, and no errno")


def directory(fs: Filesystem) -> list[str]:
    """A directory with as many entries as the target says, and with one more; and when one was removed."""
    count = int(fs.limits["directory_entries"])
    place = "edge" if "directories" in fs.can else "."
    if place != ".":
        os.mkdir(place)
    left = count - len(os.listdir(place))
    return crowd(fs, [f"{place}/e{number}" for number in range(left + 1)], "directory_entries")


def files(fs: Filesystem) -> list[str]:
    """As many files as the target says there can be, and one more; and when one was removed."""
    left = int(fs.limits["files"]) - sum(len(below) + len(names) for _, below, names in os.walk("."))
    entries = int(fs.limits.get("directory_entries", left + SPARE)) - SPARE
    places = ["."]
    if left >= entries:
        places = [f"d{number}" for number in range(-(-left // entries))]
        if "directories" not in fs.can or len(places) > entries:
            note(f"the edge of {fs.limits['files']} files was not tried: no tree of that many is made here")
            return []
        for place in places:
            os.mkdir(place)
        left -= len(places)
    return crowd(fs, [f"{places[number % len(places)]}/f{number}" for number in range(left + 1)], "files")


def crowd(fs: Filesystem, paths: list[str], limit: str) -> list[str]:
    """Make all of these files, of which the last is one too many; say what is wrong, and remove them."""
    made, count = many(paths), fs.limits[limit]
    wrong, words = list[str](), LIMIT_WORDS[limit].format(count)
    if made < len(paths) - 1:
        came = outcome(make, paths[made])
        wrong.append(f"with {int(count) - len(paths) + 1 + made} there, one more is refused with {came}; "
                     f"the target says: {words}")  # fmt: skip
    elif made == len(paths):
        wrong.append(f"one more than the limit could be made; the target says: {words}")
    else:
        wrong.append(beyond(limit, f"one more than {count}", outcome(make, paths[-1]), "ENOSPC"))
        os.unlink(paths[0])
        again = outcome(make, paths[0])
        wrong += [f"with one removed of {count}, making one is refused with {again}"] * (again != "done")
        made -= again != "done"
    fs.remount()
    left = [path for path in paths if os.path.exists(path)]
    wrong += [f"{made} files were made, and after a remount {len(left)} of them are there"] * (
        len(left) != made and fs.persistent
    )
    for path in left:
        os.unlink(path)
    for place in sorted({os.path.dirname(path) for path in paths} - {"."}):
        os.rmdir(place)
    return wrong


def hard_links(fs: Filesystem) -> list[str]:
    """A file with as many names as the target says, and with one more."""
    count, wrong = int(fs.limits["hard_links"]), list[str]()
    if count + SPARE > int(fs.limits.get("directory_entries", count + SPARE)):
        note(f"the edge of {count} names of a file was not tried: a directory has fewer entries")
        return []
    write("l0", "kept")
    for number in range(1, count):
        came = outcome(os.link, "l0", f"l{number}")
        if came != "done":
            wrong.append(f"link number {number + 1}: {came}, the target says that a file can have {count} names")
            break
    if not wrong:
        wrong.append(beyond("hard_links", f"link number {count + 1}", outcome(os.link, "l0", f"l{count}"), "EMLINK"))
        links = os.stat("l0").st_nlink
        wrong += [f"a file with {count} names has {links} links"] * (links != count)
    for number in range(count + 1):
        if os.path.exists(f"l{number}"):
            os.unlink(f"l{number}")
    return wrong


def owners(fs: Filesystem) -> list[str]:
    """The largest owner that the target says, and the next one: refused, or the overflow owner, never another."""
    bits = int(fs.limits["owner_bits"])
    largest = (1 << bits) - 2  # the last of all stands for no owner
    with open("/proc/sys/fs/overflowuid") as kernel:
        overflow = int(kernel.read())
    wrong = []
    for who in [largest, *([1 << bits] if bits < 32 else [])]:
        write("owned", "x")
        came = outcome(os.chown, "owned", who, who)
        fs.remount()
        seen = os.stat("owned")
        found = {seen.st_uid, seen.st_gid}
        if who == largest and (came, found) != ("done", {who}):
            wrong.append(f"chown to {who}: {came}, and after a remount {told(found)}; the target says {bits} bits")
        elif who > largest and came == "done" and not found <= {overflow}:
            wrong.append(f"chown to {who}, which needs more than {bits} bits: done, and after a remount {told(found)}")
        os.unlink("owned")
    return wrong


def told(numbers: set[int]) -> str:
    """Owner and group in words."""
    return " and ".join(map(str, sorted(numbers)))


def times(fs: Filesystem) -> list[str]:
    """The earliest and the latest time, and those beyond, which are refused or become the limit; how exact one is."""
    nanosecond, step = 10**9, int(fs.limits.get("time_granularity_ns", 0))
    off, wrong = step // nanosecond, list[str]()
    for limit, way in (("time_earliest", -1), ("time_latest", 1)):
        if limit in fs.limits:
            edge = int(fs.limits[limit])
            near = range(edge - off, edge + off + 1)
            wrong += time_is(fs, edge * nanosecond, near, f"{limit} of the target")
            wrong += time_is(fs, (edge + way * 86400) * nanosecond, near, f"a day beyond {limit}", refused=True)
    if step:
        asked = 1_234_567_891 * nanosecond + 987_654_321
        kept = time_set(fs, asked)
        if kept != asked // step * step:
            wrong.append(f"a time of {asked} ns is kept as {kept} ns; the target says that times are {step} ns apart")
    return wrong


def time_set(fs: Filesystem, when: int) -> int | str:
    """When a file was changed that is given this time, in nanoseconds, after a remount; the errno that refused it."""
    write("timed", "x")
    try:
        came = outcome(lambda: os.utime("timed", ns=(when, when)))
        fs.remount()
        return os.stat("timed").st_mtime_ns if came == "done" else came
    finally:
        os.unlink("timed")


def time_is(fs: Filesystem, when: int, wanted: range, what: str, refused: bool = False) -> Iterator[str]:
    """Yield what is wrong with a time that is set, which is to be one of these seconds, or may be refused."""
    kept = time_set(fs, when)
    seconds = kept // 10**9 if isinstance(kept, int) else None
    if seconds not in wanted and not (refused and seconds is None and kept in ("EINVAL", "EOVERFLOW", "ERANGE")):
        yield f"{what}: {when // 10**9} s became {kept if seconds is None else f'{seconds} s'} after a remount"


EDGES: dict[str, Callable[[Filesystem], list[str]]] = {
    "symbolic_link_bytes": symbolic_links,
    "file_bytes": file,
    "directory_entries": directory,
    "files": files,
    "hard_links": hard_links,
    "owner_bits": owners,
    "times": times,
}


def wrong_at(fs: Filesystem, which: str) -> list[str]:
    """What is wrong at the edge of a limit that the target names."""
    return [words for words in EDGES[which](fs) if words]
