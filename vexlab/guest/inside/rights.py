"""What mode, owner and group of files and directories let others do, and what of them a change takes away."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import struct
from collections.abc import Callable
from typing import Any

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import write
from vexlab.guest.inside.times import NOW, utimensat

NOBODY = 65534
GROUP = 123  # of 8 bits, as metadata.py has it; the next one too
Steps = dict[str, Any]


def become(groups: list[int]) -> None:
    """Give up root for good; be nobody, in these groups too."""
    os.setgroups(groups)
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def as_nobody(function: Callable[[], Steps], groups: list[int] | None = None) -> Steps:
    """What a function tells that another process runs as nobody; with the words of what it raised, if it did."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(groups or [])
            words = json.dumps(function())
        except OSError as problem:
            words = json.dumps({"as nobody": str(problem)})
        os.write(tell, words.encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        seen: Steps = json.loads(pipe.read())
    os.waitpid(child, 0)
    return seen


def made(name: str, mode: int, owner: int = 0, group: int = 0) -> None:
    """Make a file with this mode and owner."""
    write(name, "content")
    os.chown(name, owner, group)
    os.chmod(name, mode)


def directory(name: str, mode: int, owner: int = 0, group: int = 0) -> None:
    """Make a directory with this mode and owner."""
    os.mkdir(name)
    os.chown(name, owner, group)
    os.chmod(name, mode)


def mode(name: str) -> str:
    """The twelve bits, as octal digits."""
    return f"{os.stat(name).st_mode & 0o7777:04o}"


def begin(fs: Filesystem, name: str) -> None:
    """Go to a new directory that nobody can go to as well."""
    os.chmod(fs.point, 0o755)
    directory(name, 0o755)
    os.chdir(name)


def opened(name: str, flags: int, new: int = 0o600) -> str:
    """What comes of open(2), and close(2)."""
    return outcome(lambda: os.close(os.open(name, flags, new)))


def set_id_bits(fs: Filesystem) -> Steps:
    """What is left of the bits of a file of 06777 when it is changed, and after a remount."""
    begin(fs, "set-id")
    for name in ("written", "cut", "emptied", "given", "given-own"):
        made(name, 0o6777, NOBODY if "own" in name else 0, NOBODY if "own" in name else 0)
    made("no-exec", 0o2767)
    directory("given-dir", 0o6777)

    def change() -> Steps:
        write("written", "other")
        os.truncate("cut", 3)
        os.close(os.open("emptied", os.O_WRONLY | os.O_TRUNC))
        os.chown("given-own", NOBODY, GROUP)
        return {}

    seen = as_nobody(change, [GROUP])
    os.chown("given", 1, 1)
    os.chown("no-exec", 1, 1)
    os.chown("given-dir", 1, 1)
    names = sorted(os.listdir("."))
    at_once = {name: mode(name) for name in names}
    fs.remount()
    os.chdir(f"{fs.point}/set-id")
    return {**seen, **{name: [at_once[name], mode(name)] for name in names}}


def group_bit(fs: Filesystem) -> Steps:
    """What comes of the bit of a group that one isn't in: by chmod(2) of one's own file, and in a directory with it."""
    begin(fs, "group-bit")
    made("own", 0o644, NOBODY, GROUP)
    directory("shared", 0o2777, 0, GROUP)

    def change() -> Steps:
        os.umask(0)
        os.chmod("own", 0o2755)
        os.close(os.open("shared/new", os.O_CREAT | os.O_WRONLY, 0o2755))
        os.mkdir("shared/sub")
        os.symlink("x", "shared/link")
        return {}

    seen = as_nobody(change)
    return {
        **seen,
        "chmod(2) to 02755 of one's own file of another group": mode("own"),
        "open(2) with 02755 in a directory with setgid": mode("shared/new"),
        "group of a file that is made there": os.stat("shared/new").st_gid,
        "group of a directory that is made there": os.stat("shared/sub").st_gid,
        "the bit of that directory": mode("shared/sub"),
        "group of a symbolic link that is made there": os.lstat("shared/link").st_gid,
        "owner of what is made there": os.stat("shared/new").st_uid,
    }


def ownership(fs: Filesystem) -> Steps:
    """What somebody who isn't root may do with owner, mode and times of files that are his, and that aren't."""
    begin(fs, "ownership")
    made("own", 0o644, NOBODY, NOBODY)
    made("writable", 0o666)
    made("closed", 0o644)

    def attempts() -> Steps:
        return {
            "chown(2) of one's own file to another": outcome(os.chown, "own", 0, -1),
            "chown(2) of one's own file to a group one is in": outcome(os.chown, "own", -1, GROUP),
            "chown(2) of one's own file to a group one isn't in": outcome(os.chown, "own", -1, GROUP + 1),
            "chown(2) of another's file": outcome(os.chown, "writable", NOBODY, -1),
            "chmod(2) of another's file": outcome(os.chmod, "writable", 0o777),
            "utimensat(2) of another's writable file, to a time": outcome(os.utime, "writable", (1, 1)),
            "utimensat(2) of another's writable file, to now": outcome(utimensat, "writable", NOW, NOW),
            "utimensat(2) of another's closed file, to now": outcome(utimensat, "closed", NOW, NOW),
            "truncate(2) of another's closed file": outcome(os.truncate, "closed", 0),
        }

    return {
        **as_nobody(attempts, [GROUP]),
        "mode and owner of another's file": [mode("writable"), os.stat("writable").st_uid],
    }


def classes(fs: Filesystem) -> Steps:
    """Which bits count: the owner's for the owner alone, then the group's, then the others'; and of directories."""
    begin(fs, "classes")
    made("owner-out", 0o077, NOBODY, NOBODY)
    made("group-in", 0o640, 0, GROUP)
    made("group-out", 0o606, 0, GROUP)
    made("others-in", 0o604)
    directory("no-search", 0o644)
    directory("no-list", 0o711)
    made("no-search/file", 0o644)
    made("no-list/file", 0o644)

    def attempts() -> Steps:
        files = ("owner-out", "group-in", "group-out", "others-in")
        return {
            **{f"open(2) for reading: {name}": opened(name, os.O_RDONLY) for name in files},
            "open(2) for writing: group-in": opened("group-in", os.O_WRONLY),
            "open(2) in a directory without x": opened("no-search/file", os.O_RDONLY),
            "listing of a directory without r": outcome(os.listdir, "no-list"),
            "open(2) in a directory without r": opened("no-list/file", os.O_RDONLY),
            "access(2) for execution of a file without x": os.access("others-in", os.X_OK),
        }

    return as_nobody(attempts, [GROUP])


def sticky(fs: Filesystem) -> Steps:
    """What somebody can remove and rename in a directory of 1777, and in one of his own, of files that aren't his."""
    begin(fs, "sticky")
    for name, bits, owner in (("sticky-dir", 0o1777, 0), ("open-dir", 0o777, 0), ("own-dir", 0o1755, NOBODY)):
        directory(name, bits, owner)
        made(f"{name}/other's", 0o644)
    made("sticky-dir/own", 0o644, NOBODY)

    def attempts() -> Steps:
        return {
            "unlink(2) of another's file in 1777": outcome(os.unlink, "sticky-dir/other's"),
            "rename(2) of another's file in 1777": outcome(os.rename, "sticky-dir/other's", "sticky-dir/new"),
            "rename(2) over another's file in 1777": outcome(os.rename, "sticky-dir/own", "sticky-dir/other's"),
            "unlink(2) of one's own file in 1777": outcome(os.unlink, "sticky-dir/own"),
            "unlink(2) of another's file in 0777": outcome(os.unlink, "open-dir/other's"),
            "unlink(2) of another's file in one's own directory of 1755": outcome(os.unlink, "own-dir/other's"),
        }

    return as_nobody(attempts)


def made_without_rights(fs: Filesystem) -> Steps:
    """A file that is made with mode 0 can be written by who made it, and opened by nobody else; root opens it."""
    begin(fs, "without")
    directory("open", 0o777)

    def attempts() -> Steps:
        descriptor = os.open("open/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0)
        return {
            "write(2) by who made it with mode 0": outcome(os.write, descriptor, b"x"),
            "open(2) of it by its owner": opened("open/new", os.O_RDONLY),
        }

    return {**as_nobody(attempts), "open(2) of it by root": opened("open/new", os.O_RDWR), "its mode": mode("open/new")}


def program(fs: Filesystem) -> Steps:
    """Run a program that was copied here: with x and without, and write to it while it runs."""
    begin(fs, "program")
    original = shutil.which("sleep") or "/bin/sleep"
    if most(fs, "file_bytes", os.stat(original).st_size) < os.stat(original).st_size:
        return {"unsupported": f"{original} is larger than a file can be"}
    shutil.copyfile(original, "program")
    os.chmod("program", 0o755)
    shutil.copy("program", "not-exec")
    os.chmod("not-exec", 0o644)
    child = os.fork()
    if child == 0:
        try:
            os.execv("./program", ["program", "0"])  # noqa: S606
        except OSError as problem:
            os._exit(problem.errno or 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {
        "execve(2) of a copy of sleep(1)": "done" if code == 0 else errno.errorcode.get(code, str(code)),
        "execve(2) of one without x": outcome(os.execv, "./not-exec", ["program"]),
    }


def parts(fs: Filesystem) -> Steps:
    """Change the owner, the group, and the owner of a symbolic link alone: what stays, after a remount too."""
    begin(fs, "parts")
    made("file", 0o640, 11, 22)
    os.symlink("file", "link")
    os.chown("file", 33, -1)
    first = [os.stat("file").st_uid, os.stat("file").st_gid]
    os.chown("file", -1, 44)
    os.chown("link", 55, 66, follow_symlinks=False)
    os.chmod("file", 0o604)

    def look() -> list[int]:
        return [number for name in ("file", "link") for number in (os.lstat(name).st_uid, os.lstat(name).st_gid)]

    at_once = look()
    fs.remount()
    os.chdir(f"{fs.point}/parts")
    return {
        "owner and group of 11:22 after chown(2) to 33:-1": first,
        "owners of file and link after chown(2) to -1:44 and lchown(2) to 55:66": at_once,
        "after a remount": look(),
        "mode of the file": mode("file"),
    }


SET_FLAGS, SET_VERSION = 0x40086602, 0x40087602  # FS_IOC_SETFLAGS, FS_IOC_SETVERSION
NO_ACCESS_TIME = 0x80  # FS_NOATIME_FL, which an owner may set


def of_the_owner(fs: Filesystem) -> Steps:
    """What comes of ioctls that change a file of root's, which somebody else may read."""
    begin(fs, "ioctls")
    made("root-owned", 0o644)

    def attempts() -> Steps:
        file = os.open("root-owned", os.O_RDONLY)
        return {
            name: outcome(fcntl.ioctl, file, number, struct.pack("i", value))
            for name, number, value in (
                ("FS_IOC_SETFLAGS", SET_FLAGS, NO_ACCESS_TIME), ("FS_IOC_SETVERSION", SET_VERSION, 4711),
            )
        }  # fmt: skip

    return as_nobody(attempts)
