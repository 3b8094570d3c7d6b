"""Directories that nobody else can get at.

Who may write a directory decides what is behind each name in it. So each component of a path counts, not only the last:
they are opened one in the other, from the root on, and what was looked at stays what is meant.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from .lab_files import GuestError

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LINKS_FOLLOWED = 40  # as many as the kernel follows
HINT = "name another directory: XDG_RUNTIME_DIR says where sockets go, XDG_STATE_HOME where labs go"


def private_directory(path: Path) -> None:
    """Make a directory that only we can enter, and those above it that are missing.

    Raises GuestError, which names the component, when somebody else but root could exchange a part of the path. A link
    is followed only where nobody but root could have made it, such as /var/run.
    """
    waiting, here, links = list(reversed(path.parts[1:])), Path("/"), 0
    descriptor = os.open("/", OPEN)
    try:
        while waiting:
            name = waiting.pop()
            target = _link_of_root(descriptor, name)
            if target and links < LINKS_FOLLOWED:
                links += 1
                waiting += reversed(Path(target).parts)
                continue
            here = Path("/") if name == "/" else here / name
            below = _enter(descriptor, name, here)
            os.close(descriptor)
            descriptor = below
            _refuse_if_shared(os.fstat(descriptor), here)
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise GuestError(f"{here} is not a directory of user {os.geteuid()}", HINT)
        if stat.S_IMODE(found.st_mode) != 0o700:  # on a disk that can't be written it may be right already
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _link_of_root(descriptor: int, name: str) -> str:
    """Where a link leads that root made where nobody else can make one; empty for everything else."""
    above = os.fstat(descriptor)
    try:
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    if not stat.S_ISLNK(found.st_mode) or found.st_uid or above.st_uid or above.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return ""
    return os.readlink(name, dir_fd=descriptor)


def _enter(descriptor: int, name: str, shown: Path) -> int:
    """Open a directory in another one; it is made if it is missing."""
    try:
        os.mkdir(name, 0o700, dir_fd=descriptor)
    except FileExistsError:
        pass
    except OSError as problem:
        raise GuestError(f"{shown} can't be made: {problem.strerror}", HINT) from problem
    try:
        return os.open(name, OPEN, dir_fd=descriptor)
    except OSError as problem:
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise GuestError(f"{shown} is a link, which {_user(found.st_uid)} made", HINT) from problem
        if not stat.S_ISDIR(found.st_mode):
            raise GuestError(f"{shown} is not a directory", HINT) from problem
        raise GuestError(f"{shown} can't be opened: {problem.strerror}", HINT) from problem


def _refuse_if_shared(found: os.stat_result, shown: Path) -> None:
    """Raise GuestError when somebody else but root decides what is in a directory."""
    if found.st_uid not in (0, os.geteuid()):
        raise GuestError(f"{shown} belongs to {_user(found.st_uid)}, who could exchange what is in it", HINT)
    if found.st_mode & stat.S_ISVTX:
        return
    if found.st_mode & stat.S_IWOTH:
        raise GuestError(f"{shown} can be written by everybody, who could exchange what is in it", HINT)
    if found.st_mode & stat.S_IWGRP and not _is_ours_alone(found.st_gid):
        raise GuestError(f"{shown} can be written by group {found.st_gid}, who could exchange what is in it", HINT)


def _is_ours_alone(group: int) -> bool:
    """Whether a group is root's, or the one that is named after us and has nobody else in it."""
    if group == 0:
        return True
    try:
        me, members = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return members.gr_name == me.pw_name and group == me.pw_gid and not set(members.gr_mem) - {me.pw_name}


def _user(number: int) -> str:
    """A user in words."""
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"
