"""Owners, permissions and times."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vexlab.guest.inside.attempts import outcome, outcomes
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, write


class Setting(NamedTuple):
    """Something that is set on a file, how it is shown, and what a target claims that keeps it.

    `within`: whether its limits let it be, `instead`: whether the kernel may put this in its place where they don't.
    """

    put: Callable[[str], None]
    shown: Callable[[os.stat_result], str]
    capability: str
    within: Callable[[Mapping[str, Any]], bool] = lambda _limits: True
    instead: Callable[[str], bool] = lambda _shown: False


def mode(digits: str) -> Setting:
    """Permissions, as octal digits."""
    number = int(digits, 8)
    return Setting(lambda name: os.chmod(name, number), lambda now: f"{now.st_mode & 0o7777:o}", "permissions")


def owner(who: str) -> Setting:
    """Owner and group, as `1:2`. On filesystems of 16 bits the kernel has another in place of one that is too large."""
    user, group = map(int, who.split(":"))
    return Setting(
        lambda name: os.chown(name, user, group),
        lambda now: f"{now.st_uid}:{now.st_gid}",
        "permissions",
        lambda limits: max(user, group) >> int(limits.get("owner_bits", 32)) == 0,
        lambda shown: all(
            is_one_of(seen, wanted) for seen, wanted in zip(shown.split(":"), who.split(":"), strict=True)
        ),
    )


def is_one_of(seen: str, wanted: str) -> bool:
    """Whether an owner is the one that was set, or the one that stands for those that are too large."""
    return seen in (wanted, read("/proc/sys/fs/overflowuid").strip())


def moment(when: int) -> Setting:
    """When it was changed, in seconds. A time that can't be becomes the next one that can."""
    return Setting(
        lambda name: os.utime(name, (when, when)),
        lambda now: str(now.st_mtime_ns // 10**9),
        "timestamps",
        lambda limits: limits.get("time_earliest", when) <= when <= limits.get("time_latest", when),
        lambda shown: int(shown) > when if when < LONG_AGO else int(shown) < when,
    )


LONG_AGO = 1_000_000_000  # 2001: a time that every filesystem has, since one that begins later would need a reason

# What is set, by the name of the case, whose second word is how it is shown.
SETTINGS: dict[str, Setting] = {
    **{f"mode {digits}": mode(digits) for digits in ("0", "644", "4755", "2711", "1777")},
    **{f"owner {who}": owner(who) for who in ("1000:100", "70000:4000000000")},
    **{f"time {when}": moment(when) for when in (1, 1_234_567_890, 2_000_000_000)},
}


def keep(fs: Filesystem, cases: Sequence[str]) -> dict[str, list[str]]:
    """Set these settings, each on a file of its own; how each is shown at once and after a remount.

    Of one that was refused, the errno alone.
    """
    files = {case: f"set-{number}" for number, case in enumerate(cases)}
    at_once, refused = {}, {}
    for case, file in files.items():
        write(file, "x")
        came = outcome(SETTINGS[case].put, file)
        if came == "done":
            at_once[case] = SETTINGS[case].shown(os.stat(file))
        else:
            refused[case] = [came]
    fs.remount()
    seen = {case: [shown, SETTINGS[case].shown(os.stat(files[case]))] for case, shown in at_once.items()}
    for file in files.values():
        os.unlink(file)
    return refused | seen


def wrong(case: str, seen: Sequence[str], limits: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with what `keep` saw of a setting, and what of it is worth a remark; both in words."""
    what, wanted = case.split()
    setting, of = SETTINGS[case], [name for name in OF[what] if name in limits]
    came = " at once, and after a remount ".join(seen)
    if seen == [wanted, wanted]:
        return "", ""
    if of and setting.within(limits):
        named = ", ".join(f"{name} {limits[name]}" for name in of)
        return f"{case} came to {came}, and is within what the target says ({named})", ""
    is_refusal = len(seen) == 1 and seen[0] in ("EINVAL", "EOVERFLOW", "ERANGE", "EPERM")
    is_in_its_place = len(seen) == 2 and setting.instead(seen[1]) and (what == "owner" or seen[0] == seen[1])
    if is_refusal or is_in_its_place:
        return "", "" if of else f"{case} comes to {came}, which is a limit to name: {' or '.join(OF[what])}"
    return f"{case} came to {came}, which is neither what was set nor an errno", ""


# The limits that a kind of setting has.
OF: dict[str, tuple[str, ...]] = {"mode": (), "owner": ("owner_bits",), "time": ("time_earliest", "time_latest")}


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


def try_as_nobody(_fs: Filesystem) -> dict[str, str]:
    """What comes of each attempt, and who owns what could be created."""
    for name, permissions in (("closed", 0o755), ("open", 0o777)):
        os.mkdir(name)
        os.chmod(name, permissions)
    write("closed/secret", "x")
    os.chmod("closed/secret", 0o600)
    os.chmod(".", 0o755)
    came = outcomes(AS_NOBODY)
    return {**came, "owner": str(os.stat("open/new").st_uid) if os.path.exists("open/new") else "nobody made it"}


GROUP = 123  # of 8 bits, which each filesystem has that has groups


def umask_and_setgid(fs: Filesystem) -> dict[str, list[Any]]:
    """Mode and group of a file and of a directory, made with a umask in a directory with setgid."""
    os.mkdir("group")
    os.chown("group", -1, GROUP)
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
    os.utime("moved", (LONG_AGO, LONG_AGO))
    write("moved", "y", "a")
    now = os.stat("moved")
    os.unlink("moved")
    return [int(now.st_mtime), int(now.st_ctime), int(time.time())]


def times_of_a_directory(_fs: Filesystem) -> dict[str, bool]:
    """Whether the time of an old directory moves when a file is made in it, and when that is removed."""
    os.mkdir("watched")
    steps: dict[str, Callable[[], None]] = {
        "file made": lambda: write("watched/new", "x"), "file removed": lambda: os.unlink("watched/new"),
    }  # fmt: skip
    seen = {}
    for name, step in steps.items():
        os.utime("watched", (LONG_AGO, LONG_AGO))
        step()
        seen[name] = os.stat("watched").st_mtime > LONG_AGO
    os.rmdir("watched")
    return seen
