"""POSIX ACLs, as the attributes that setfacl(1) and getfacl(1) see: linux/posix_acl_xattr.h."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.attempts import outcome, outcomes
from vexlab.guest.inside.children import in_another
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import syncfs, write

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
NOBODY = 0xFFFFFFFF  # the id of an entry that is of no particular user or group
TAGS = {"u:": 1, "u": 2, "g:": 4, "g": 8, "m:": 16, "o:": 32}
PERMISSIONS = {"r": 4, "w": 2, "x": 1, "-": 0}


def packed(text: str) -> bytes:
    """An ACL such as `u::rw- u:1000:r-- g::r-- m::rw- o::---`, as the attribute holds it."""
    entries = b""
    for entry in text.split():
        kind, who, letters = entry.split(":")
        permissions = sum(PERMISSIONS[letter] for letter in letters)
        entries += struct.pack("<HHI", TAGS[kind + ("" if who else ":")], permissions, int(who) if who else NOBODY)
    return struct.pack("<I", 2) + entries


def shown(path: str, which: str) -> str:
    """The ACL of a file in the same form; the name of an errno when it can't be had."""
    try:
        content = os.getxattr(path, which)
    except OSError:
        return outcome(os.getxattr, path, which)
    kinds = {number: kind for kind, number in TAGS.items()}
    words = []
    for tag, permissions, who in struct.iter_unpack("<HHI", content[4:]):
        kind = kinds.get(tag, f"tag {tag}")
        letters = "".join(letter if permissions & PERMISSIONS[letter] else "-" for letter in "rwx")
        words.append(f"{kind.rstrip(':')}:{'' if who == NOBODY else who}:{letters}")
    return " ".join(words)


def mode(path: str) -> str:
    """The permissions of a file, as octal digits."""
    return f"{stat.S_IMODE(os.stat(path).st_mode):o}"


ONE = "u::rw- u:1000:rw- g::r-- m::rw- o::---"
FOR_NEW = "u::rwx u:1000:rwx g::r-x m::rwx o::---"

ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "a default ACL on a file": (lambda: os.setxattr("plain", DEFAULT, packed(FOR_NEW)), "EACCES"),
    "an ACL without an entry for others": (
        lambda: os.setxattr("plain", ACCESS, packed("u::rw- g::r--")), "EINVAL",
    ),
    "an ACL with a user and without a mask": (
        lambda: os.setxattr("plain", ACCESS, packed("u::rw- u:1000:r-- g::r-- o::---")), "EINVAL",
    ),
    "an ACL of another version": (
        lambda: os.setxattr("plain", ACCESS, b"\1\0\0\0" + packed(ONE)[4:]), "EOPNOTSUPP or EINVAL",
    ),
    "an ACL that is cut in an entry": (lambda: os.setxattr("plain", ACCESS, packed(ONE)[:-3]), "EINVAL"),
}  # fmt: skip


def errors(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt."""
    write("plain", "x")
    os.chmod("plain", 0o640)
    return outcomes({name: attempt for name, (attempt, _) in ERRORS.items()})


def left_by_errors(_fs: Filesystem) -> list[str]:
    """Mode and ACL of the file of `errors`."""
    return [mode("plain"), shown("plain", ACCESS)]


def kept(fs: Filesystem) -> list[str]:
    """Give a file an ACL; what it and the mode are at once, and after a remount."""
    write("kept", "x")
    os.chmod("kept", 0o600)
    os.setxattr("kept", ACCESS, packed(ONE))
    found = [shown("kept", ACCESS), mode("kept")]
    fs.remount()
    return [*found, shown("kept", ACCESS), mode("kept")]


def mask_and_mode(fs: Filesystem) -> dict[str, list[str]]:
    """What mode and ACL are when the other changes: acl(5), "CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSIONS".

    After a remount.
    """
    for name in ("chmod", "minimal", "removed"):
        write(name, "x")
        os.chmod(name, 0o640)
        os.setxattr(name, ACCESS, packed(ONE))
    os.chmod("chmod", 0o604)
    os.setxattr("minimal", ACCESS, packed("u::rwx g::r-x o::--x"))
    os.removexattr("removed", ACCESS)
    fs.remount()
    return {name: [mode(name), shown(name, ACCESS)] for name in ("chmod", "minimal", "removed")}


def inherited(fs: Filesystem) -> dict[str, list[str]]:
    """Make a file and a directory in one with a default ACL, with a umask that it stands in for.

    For each and for the directory around them: mode, access ACL and default ACL, after a remount.
    """
    os.mkdir("parent")
    os.chmod("parent", 0o750)
    os.setxattr("parent", DEFAULT, packed(FOR_NEW))
    before = os.umask(0o077)
    try:
        os.close(os.open("parent/file", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir("parent/directory", 0o777)
    finally:
        os.umask(before)
    fs.remount()
    names = ("parent", "parent/file", "parent/directory")
    return {name: [mode(name), shown(name, ACCESS), shown(name, DEFAULT)] for name in names}


def enforced(_fs: Filesystem) -> list[str]:
    """What comes of reading a file for the user whom the ACL lets, and for another whom nothing lets."""
    os.chmod(".", 0o755)
    write("secret", "x")
    os.chmod("secret", 0o600)
    os.setxattr("secret", ACCESS, packed("u::rw- u:1000:r-- g::--- m::r-- o::---"))

    def as_user(number: int) -> None:
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)
        os.close(os.open("secret", os.O_RDONLY))

    return [in_another(lambda: as_user(1000)), in_another(lambda: as_user(1001))]


def gone(_fs: Filesystem) -> list[Any]:
    """Remove files with ACLs and make new ones: which of those have one from the start."""
    for number in range(6):
        write(f"acl-old-{number}", "x")
        os.setxattr(f"acl-old-{number}", ACCESS, packed(ONE))
    syncfs()
    for number in range(6):
        os.unlink(f"acl-old-{number}")
    syncfs()
    for number in range(6):
        write(f"acl-new-{number}", "x")
    return [f"acl-new-{number}" for number in range(6) if shown(f"acl-new-{number}", ACCESS) != "ENODATA"]
