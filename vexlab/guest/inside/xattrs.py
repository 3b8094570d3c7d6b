"""Extended attributes."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import sleep
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome, outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import syncfs, write

# What is tried on a file that has the attribute `user.there` of three bytes, and what may come of it.
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "getxattr of a name that isn't there": (lambda: os.getxattr("file", "user.missing"), "ENODATA"),
    "removexattr of a name that isn't there": (lambda: os.removexattr("file", "user.missing"), "ENODATA"),
    "setxattr with XATTR_CREATE of a name that is there": (
        lambda: os.setxattr("file", "user.there", b"new", os.XATTR_CREATE), "EEXIST",
    ),
    "setxattr with XATTR_REPLACE of a name that isn't there": (
        lambda: os.setxattr("file", "user.missing", b"new", os.XATTR_REPLACE), "ENODATA",
    ),
    "getxattr into 2 bytes of a value of 3": (
        lambda: counted("getxattr", b"file", b"user.there", bytes(2), 2), "ERANGE",
    ),
    "listxattr into 2 bytes": (lambda: counted("listxattr", b"file", bytes(2), 2), "ERANGE"),
    "setxattr of a name without a namespace": (lambda: os.setxattr("file", "there", b"x"), "EOPNOTSUPP or EINVAL"),
    "setxattr of a namespace that nobody knows": (
        lambda: os.setxattr("file", "vexlab.there", b"x"), "EOPNOTSUPP or EINVAL",
    ),
    "setxattr of the bare namespace `user.`": (lambda: os.setxattr("file", "user.", b"x"), "EINVAL or EOPNOTSUPP"),
    "setxattr of a name of 256 bytes": (lambda: os.setxattr("file", "user." + "n" * 251, b"x"), "ERANGE"),
    "setxattr of a value of 65,537 bytes": (lambda: os.setxattr("file", "user.huge", bytes(65537)), "E2BIG"),
    "setxattr of `user.` on a symbolic link itself": (
        lambda: os.setxattr("link", "user.there", b"x", follow_symlinks=False), "EPERM or EOPNOTSUPP",
    ),
}  # fmt: skip

# Values by what is said of them, each an attribute of its own; all fit beside each other in half a kilobyte.
VALUES = {
    "empty": b"",
    "of one byte": b"x",
    "with NUL, newline and bytes that are no text": b"\0a\0\n\xff\xfe",
    "of 100 bytes": bytes(range(100)),
}
OTHER_NAMESPACES = ("trusted.vexlab", "security.vexlab")
LARGE = (1000, 4000, 16000, 65536)  # bytes of a value, which there may be no room for
NO_ROOM = ("ENOSPC", "E2BIG", "ERANGE", "EDQUOT")


def errors(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt."""
    write("file", "content")
    if outcome(os.symlink, "file", "link") != "done":
        write("link", "a filesystem without symbolic links")
    os.setxattr("file", "user.there", b"old")
    return outcomes({name: attempt for name, (attempt, _) in ERRORS.items()})


def left_by_errors(_fs: Filesystem) -> dict[str, str]:
    """The attributes of the file of `errors`."""
    return of("file")


def of(name: str) -> dict[str, str]:
    """The attributes of a file, without those that the kernel's security modules or an ACL have there."""
    names = [each for each in os.listxattr(name) if each.startswith(("user.", "trusted."))]
    return {each: ascii(os.getxattr(name, each)) for each in sorted(names)}


def value_of(path: str, name: str, wanted: bytes) -> str:
    """`right`, or what an attribute is instead."""
    try:
        found = os.getxattr(path, name)
    except OSError:
        return outcome(os.getxattr, path, name)
    return "right" if found == wanted else f"{len(found)} bytes, {found[:40]!a}"


def keep(fs: Filesystem) -> dict[str, list[str]]:
    """Set each of VALUES on a file and on a directory; what each is at once and after a remount, by who has it."""
    write("kept", "content")
    os.mkdir("kept-dir")
    seen = dict[str, list[str]]()

    def look() -> None:
        for path in ("kept", "kept-dir"):
            for said, value in VALUES.items():
                seen.setdefault(f"{path} {said}", []).append(value_of(path, name_for(said), value))

    for path in ("kept", "kept-dir"):
        for said, value in VALUES.items():
            os.setxattr(path, name_for(said), value)
    look()
    fs.remount()
    look()
    return seen


def name_for(said: str) -> str:
    """The attribute that holds one of VALUES."""
    return "user." + said.rsplit(maxsplit=1)[-1]


def change(fs: Filesystem) -> list[dict[str, str]]:
    """Set, lengthen, shorten, replace and remove attributes: what is left at once, and after a remount by a new name.

    A file's attributes are of the file, not of its name.
    """
    write("changed", "content")
    for value in (b"short", b"long" * 20, b"cut"):
        os.setxattr("changed", "user.value", value)
    os.setxattr("changed", "user.replaced", b"old", os.XATTR_CREATE)
    os.setxattr("changed", "user.replaced", b"new", os.XATTR_REPLACE)
    os.setxattr("changed", "user.gone", b"gone")
    syncfs()
    os.removexattr("changed", "user.gone")
    at_once = of("changed")
    os.rename("changed", "again")
    fs.remount()
    return [at_once, of("again")]


def other_namespaces(fs: Filesystem) -> dict[str, list[str]]:
    """Set an attribute of each of OTHER_NAMESPACES: what came of it, and what it is at once and after a remount."""
    write("others", "content")
    seen = {name: [outcome(os.setxattr, "others", name, b"value")] for name in OTHER_NAMESPACES}
    taken = [name for name, came in seen.items() if came == ["done"]]
    for name in taken:
        seen[name].append(value_of("others", name, b"value"))
    fs.remount()
    for name in taken:
        seen[name].append(value_of("others", name, b"value"))
    return seen


def large(fs: Filesystem) -> dict[str, list[str]]:
    """Set values of LARGE sizes on one file in place of each other.

    For each what came of it, and what the attribute is then; the last that was taken, after a remount, too. A value
    that has no room must leave the one before.
    """
    write("large", "content")
    os.setxattr("large", "user.small", b"small")
    os.setxattr("large", "user.large", b"before")
    before, seen = b"before", dict[str, list[str]]()
    for size in LARGE:
        value = os.urandom(size // 4) * 4
        came = outcome(os.setxattr, "large", "user.large", value)
        before = value if came == "done" else before
        seen[str(size)] = [came, value_of("large", "user.large", before), value_of("large", "user.small", b"small")]
    fs.remount()
    seen["after a remount"] = [
        "done", value_of("large", "user.large", before), value_of("large", "user.small", b"small"),
    ]  # fmt: skip
    return seen


def many(fs: Filesystem) -> list[Any]:
    """Set attributes on one file until 40 are there or one is refused: how that ended, which are listed and which not.

    The lists are of names that were set and aren't listed, and of names that are listed and were refused; after a
    remount.
    """
    write("many", "content")
    taken, came = list[str](), "done"
    for number in range(40):
        came = outcome(os.setxattr, "many", f"user.number-{number}", str(number).encode())
        if came != "done":
            break
        taken.append(f"user.number-{number}")
    fs.remount()
    listed = [name for name in os.listxattr("many") if name.startswith("user.")]
    wrong = [name for name in taken if value_of("many", name, name.partition("-")[2].encode()) != "right"]
    return [came, len(taken), sorted(set(taken) - set(listed)), sorted(set(listed) - set(taken)), wrong]


GONE, NEW = 40, 100  # files: more new ones, so that some of them get what the others had


def of_new_files(fs: Filesystem) -> list[str]:
    """Remove files and directories with attributes, and make new ones: those that have one from the start."""
    gone, new = (min(most(fs, "directory_entries", wanted), most(fs, "files", wanted)) for wanted in (GONE, NEW))
    for turn in range(gone):
        make(f"old-{turn}", turn)
        os.setxattr(f"old-{turn}", "user.old", b"old" * 40)
    syncfs()
    for turn in range(gone):
        (os.rmdir if turn % 4 == 0 else os.unlink)(f"old-{turn}")
    syncfs()
    sleep(0.1)  # memory of inodes is given back after a grace period
    for turn in range(new):
        make(f"new-{turn}", turn)
    return with_attributes()


def make(name: str, turn: int) -> None:
    """Make a file, or for one turn of four a directory."""
    if turn % 4 == 0:
        os.mkdir(name)
    else:
        write(name, "x")


def with_attributes() -> list[str]:
    """The new ones that have an attribute."""
    new = [name for name in os.listdir(".") if name.startswith("new-")]
    return [f"{name}: {', '.join(of(name))}" for name in new if of(name)]


def of_new_files_after_a_remount(fs: Filesystem) -> list[str]:
    """Those of the files of `of_new_files` that have an attribute after a remount."""
    fs.remount()
    return with_attributes()
