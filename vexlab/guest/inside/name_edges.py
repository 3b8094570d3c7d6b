"""The edges of names: bytes and characters of one, and whether two are one that differ in case alone.

Each function tells what is wrong, in words, nothing if nothing is; what is only worth a remark goes to the advice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from vexlab.guest.inside.amounts import make, name_bytes, note
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import statfs, write

UTF8 = {"ä": 2, "語": 3}  # characters that take more bytes than one


def length_of_names(fs: Filesystem) -> int:
    """How many characters of one byte a name can have: as the target says, else as long as one could be made."""
    named = [int(fs.limits[limit]) for limit in ("name_bytes", "name_characters") if limit in fs.limits]
    return min(named) if named else name_bytes(fs, min(statfs().f_namemax or 255, 255))


def names(fs: Filesystem) -> list[str]:
    """A name as long as the target says, or as statfs does, and one that is longer, of one-byte characters."""
    length = length_of_names(fs)
    if length < 11:
        return [f"a name of 11 bytes is refused or cut; the longest that is kept has {length}"]
    wrong = list(at_name(fs, "n" * length, f"a name of {length} bytes"))
    return [*wrong, *beyond_name(fs, "m" * (length + 1), f"a name of {length + 1} bytes")]


def statfs_of_names(fs: Filesystem) -> str:
    """How statfs contradicts the names that can be made, in words; empty where it doesn't."""
    told, length = statfs().f_namemax, length_of_names(fs)
    if told == length or "name_characters" in fs.limits:  # statfs counts bytes
        return ""
    how = "as the target says" if "name_bytes" in fs.limits else f"vexlab_limits, name_bytes: {length}"
    return f"statfs says that names may have {told} bytes, and they can have {length} ({how})"


def at_name(fs: Filesystem, name: str, what: str) -> Iterator[str]:
    """Yield what is wrong with a file of the longest name."""
    came = outcome(write, name, "long")
    if came != "done":
        yield f"{what}: {came}, the target or statfs says that it can be"
        return
    fs.remount()
    like = [found for found in os.listdir() if found[:3].lower() == name[:3].lower()]
    if [found.lower() for found in like] != [name.lower()]:
        lengths = ", ".join(str(len(os.fsencode(found))) for found in like) or "none"
        yield f"{what} is listed after a remount with so many bytes: {lengths}"
    content = outcome(lambda: open(name).close())
    if content != "done":
        yield f"open of {what} after a remount: {content}"
    for found in like:
        os.unlink(found)


def beyond_name(fs: Filesystem, name: str, what: str) -> Iterator[str]:
    """Yield what is wrong with a name that is too long: made, looked for, as the new name of a file."""
    write("short", "x")
    attempts: dict[str, Callable[[], object]] = {"open with O_CREAT": lambda: make(name), "stat": lambda: os.stat(name)}
    if "directories" in fs.can:
        attempts["mkdir"] = lambda: os.mkdir(name)
    if "rename" in fs.can:
        attempts["rename"] = lambda: os.rename("short", name)
    for call, attempt in attempts.items():
        came = outcome(attempt)
        if came != "ENAMETOOLONG":
            yield f"{call} of {what}: {came}, not ENAMETOOLONG"
        for found in [found for found in os.listdir() if found[:3].lower() == name[:3].lower()]:
            yield f"{call} of {what} left a name of {len(os.fsencode(found))} bytes"
            (os.rmdir if os.path.isdir(found) else os.unlink)(found)
    if os.path.exists("short"):
        os.unlink("short")


def characters(fs: Filesystem) -> list[str]:
    """Names of as many characters as can be that take two and three bytes each, and of one more."""
    wrong = list[str]()
    for character, size in UTF8.items():
        most_bytes, most = int(fs.limits.get("name_bytes", 4095)), int(fs.limits["name_characters"])
        length = min(most, most_bytes // size)
        wrong += at_name(fs, character * length, f"a name of {length} characters of {size} bytes")
        if length == most or "name_bytes" in fs.limits:
            wrong += beyond_name(fs, character * (length + 1), f"a name of {length + 1} characters of {size} bytes")
    return wrong


def case(fs: Filesystem) -> list[str]:
    """What two names come to that differ in case alone, and how the first is listed."""
    write("Case", "first")
    same = outcome(os.stat, "cASE") == "done"
    second = outcome(make, "cASE")
    listed = sorted(name for name in os.listdir() if name.lower() == "case")
    for name in listed:
        os.unlink(name)
    seen = "sensitive" if not same else "preserving" if listed == ["Case"] else "insensitive"
    sane = {"sensitive": ("done", 2), "preserving": ("EEXIST", 1), "insensitive": ("EEXIST", 1)}[seen]
    wrong = []
    if (second, len(listed)) != sane:
        wrong.append(f"with a file Case, stat of cASE {'finds it' if same else 'finds nothing'}, making cASE comes to "
                     f"{second}, and listed are {', '.join(listed) or 'none'}")  # fmt: skip
    named = fs.limits.get("name_case")
    if named and seen != named:
        wrong.append(f"names are case-{seen}, the target says {named} (vexlab_limits, name_case)")
    elif not named and seen != "sensitive":
        note(f"names are case-{seen} (vexlab_limits, name_case: {seen})")
    return wrong


def wrong_with(fs: Filesystem, which: str) -> list[str]:
    """What is wrong with the length of names, of characters, or with their case."""
    return [words for words in {"bytes": names, "characters": characters, "case": case}[which](fs) if words]
