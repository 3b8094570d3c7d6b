"""Owners, permissions and times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from inside.attempts import outcomes
from inside.filesystem import Filesystem
from inside.system import write


class Setting(NamedTuple):
    """Something that is set on a file of a name, how it is shown, and what a target claims that keeps it."""

    put: Callable[[str], None]
    shown: Callable[[os.stat_result], str]
    capability: str


def mode(digits: str) -> Setting:
    """Permissions, as octal digits."""
    number = int(digits, 8)
    return Setting(lambda name: os.chmod(name, number), lambda now: f"{now.st_mode & 0o7777:o}", "permissions")


def owner(who: str) -> Setting:
    """Owner and group, as `1:2`."""
    user, group = map(int, who.split(":"))
    return Setting(lambda name: os.chown(name, user, group), lambda now: f"{now.st_uid}:{now.st_gid}", "permissions")


def moment(when: int) -> Setting:
    """When it was changed, in seconds."""
    return Setting(lambda name: os.utime(name, (when, when)), lambda now: str(now.st_mtime_ns // 10**9), "timestamps")


# What is set, by the name of the file, whose second word is how it is shown.
SETTINGS: dict[str, Setting] = {
    **{f"mode {digits}": mode(digits) for digits in ("0", "644", "4755", "2711", "1777")},
    **{f"owner {who}": owner(who) for who in ("1000:100", "70000:4000000000")},
    **{f"time {when}": moment(when) for when in (1, 1_234_567_890, 2_000_000_000)},
}


def keep(fs: Filesystem, names: Sequence[str]) -> dict[str, str]:
    """Set these settings, each on a file of its own; how each is shown after a remount."""
    for name in names:
        write(name, "x")
        SETTINGS[name].put(name)
    fs.remount()
    return {name: SETTINGS[name].shown(os.stat(name)) for name in names}


def become_nobody() -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


AS_NOBODY: dict[str, Callable[[], object]] = {
    "become nobody": become_nobody,
    "read": lambda: os.open("closed/secret", os.O_RDONLY),
    "create": lambda: os.open("closed/new", os.O_CREAT | os.O_WRONLY),
    "unlink": lambda: os.unlink("closed/secret"),
    "chmod": lambda: os.chmod("closed/secret", 0o777),
    "create where it is allowed": lambda: os.open("open/new", os.O_CREAT | os.O_WRONLY),
}


def try_as_nobody(_fs: Filesystem) -> dict[str, Any]:
    """What comes of each attempt, and who owns what could be created."""
    for name, permissions in (("closed", 0o755), ("open", 0o777)):
        os.mkdir(name)
        os.chmod(name, permissions)
    write("closed/secret", "x")
    os.chmod("closed/secret", 0o600)
    os.chmod(".", 0o755)
    came = outcomes(AS_NOBODY)
    return {**came, "owner": os.stat("open/new").st_uid if os.path.exists("open/new") else None}


def umask_and_setgid(fs: Filesystem) -> dict[str, list[Any]]:
    """Mode and group of a file and of a directory, made with a umask in a directory with setgid."""
    os.mkdir("group")
    os.chown("group", -1, 1234)
    os.chmod("group", 0o2775)
    os.umask(0o027)
    write("group/file", "x")
    os.mkdir("group/sub")
    fs.remount()
    seen = {name: os.stat(f"group/{name}") for name in ("file", "sub")}
    return {name: [f"{now.st_mode & 0o7777:o}", now.st_gid] for name, now in seen.items()}


def times_of_a_write(_fs: Filesystem) -> list[int]:
    """Write to an old file: when it was modified and changed, and what the clock says, in seconds."""
    write("moved", "x")
    os.utime("moved", (1000, 1000))
    write("moved", "y", "a")
    now = os.stat("moved")
    return [int(now.st_mtime), int(now.st_ctime), int(time.time())]


def times_of_a_directory(_fs: Filesystem) -> dict[str, bool]:
    """Whether the time of an old directory moves when a file is made in it, and when that is removed."""
    os.mkdir("watched")
    steps: dict[str, Callable[[], None]] = {
        "file made": lambda: write("watched/new", "x"), "file removed": lambda: os.unlink("watched/new"),
    }  # fmt: skip
    seen = {}
    for name, step in steps.items():
        os.utime("watched", (1000, 1000))
        step()
        seen[name] = os.stat("watched").st_mtime > 1000
    return seen
