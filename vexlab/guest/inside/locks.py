"""Locks and leases, between processes and between descriptors."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from collections.abc import Callable

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.children import child, in_another
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import write

REFUSED = ("ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL")  # by a filesystem that has no locks of this kind
TAKEN = "EAGAIN or EACCES"  # by somebody else: POSIX leaves the choice
FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process

# What is tried while a lock is held, what may come of it, and which kind of lock that is.
TRIES: dict[str, tuple[str, str]] = {
    "fcntl: another process, the same bytes": ("fcntl", TAKEN),
    "fcntl: another process, the bytes behind them": ("fcntl", "done"),
    "fcntl: F_GETLK of another process": ("fcntl", "F_WRLCK by this process"),
    "fcntl: F_SETLKW of another process, while it is held": ("fcntl", "waits"),
    "fcntl: F_SETLKW of another process, when it was let go": ("fcntl", "done"),
    "fcntl: another process, when a descriptor of the file was closed": ("fcntl", "done"),
    "open file description: another one, the same bytes": ("open file description", TAKEN),
    "open file description: another one, the bytes behind them": ("open file description", "done"),
    "open file description: another one, when the first was closed": ("open file description", "done"),
    "flock: another descriptor, exclusive": ("flock", "EAGAIN"),
    "flock: another descriptor, shared over shared": ("flock", "done"),
    "flock: another descriptor, when the first was closed": ("flock", "done"),
}
F_OFD_SETLK = 37


def byte_lock(descriptor: int, kind: int, start: int, length: int, command: int = fcntl.F_SETLK) -> bytes:
    """Take or let go of a lock on bytes, or ask for one; what the kernel answers."""
    answer: bytes = fcntl.fcntl(descriptor, command, FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    return answer


def reached(command: int, start: int) -> None:
    """Open the file anew, and try to lock ten bytes of it."""
    byte_lock(os.open("locked", os.O_RDWR), fcntl.F_WRLCK, start, 10, command)


def who_has_it(holder: int) -> str:
    """What F_GETLK tells of the first ten bytes."""
    answer = byte_lock(os.open("locked", os.O_RDWR), fcntl.F_WRLCK, 0, 10, fcntl.F_GETLK)
    kind, _, start, length, process = FLOCK.unpack(answer)
    names = {fcntl.F_RDLCK: "F_RDLCK", fcntl.F_WRLCK: "F_WRLCK", fcntl.F_UNLCK: "F_UNLCK"}
    if (process, start, length) == (holder, 0, 10):
        return f"{names[kind]} by this process"
    return f"{names[kind]} by process {process}, {length} bytes from {start}; this one is {holder}"


def by_fcntl() -> dict[str, str]:
    """Locks of a process: fcntl(2), F_SETLK, F_SETLKW, F_GETLK."""
    file, again, holder = os.open("locked", os.O_RDWR), os.open("locked", os.O_RDWR), os.getpid()
    seen = dict[str, str]()
    try:
        came = outcome(byte_lock, file, fcntl.F_WRLCK, 0, 10)
        if came != "done":
            return {"fcntl": came}
        with child(lambda: f"{outcome(reached, fcntl.F_SETLK, 5)},{outcome(reached, fcntl.F_SETLK, 10)},"
                           f"{who_has_it(holder)}") as other:  # fmt: skip
            told = dict(zip(list(TRIES)[:3], other.told(20).split(",", 2), strict=False))
        with child(lambda: reached(fcntl.F_SETLKW, 0)) as other:
            seen["fcntl: F_SETLKW of another process, while it is held"] = other.told(0.1)
            byte_lock(file, fcntl.F_UNLCK, 0, 10)
            seen["fcntl: F_SETLKW of another process, when it was let go"] = other.told(20)
        byte_lock(file, fcntl.F_WRLCK, 0, 10)
        os.close(again)
        again = -1
        seen[list(TRIES)[5]] = in_another(lambda: reached(fcntl.F_SETLK, 0))
        return {**told, **seen}
    finally:
        os.close(file)
        if again >= 0:
            os.close(again)


def by_open_file_description() -> dict[str, str]:
    """Locks of an open file description: fcntl(2), F_OFD_SETLK."""
    return between_descriptors(
        "open file description",
        lambda file: byte_lock(file, fcntl.F_WRLCK, 0, 10, F_OFD_SETLK),
        {
            "another one, the same bytes": lambda file: byte_lock(file, fcntl.F_WRLCK, 5, 10, F_OFD_SETLK),
            "another one, the bytes behind them": lambda file: byte_lock(file, fcntl.F_WRLCK, 10, 10, F_OFD_SETLK),
        },
        "another one, when the first was closed",
    )


def by_flock() -> dict[str, str]:
    """flock(2)."""

    def shared_over_shared(file: int) -> None:
        with open("shared", "w") as first, open("shared") as second:
            fcntl.flock(first, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)

    return between_descriptors(
        "flock",
        lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
        {
            "another descriptor, exclusive": lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
            "another descriptor, shared over shared": shared_over_shared,
        },
        "another descriptor, when the first was closed",
    )


def between_descriptors(
    kind: str, lock: Callable[[int], object], tries: dict[str, Callable[[int], object]], afterwards: str
) -> dict[str, str]:
    """Lock through one descriptor, try through another, and lock through that when the first is closed."""
    first, second = os.open("locked", os.O_RDWR), os.open("locked", os.O_RDWR)
    try:
        came = outcome(lock, first)
        if came != "done":
            return {kind: came}
        seen = {f"{kind}: {name}": outcome(attempt, second) for name, attempt in tries.items()}
        os.close(first)
        first = -1
        return {**seen, f"{kind}: {afterwards}": outcome(lock, second)}
    finally:
        os.close(second)
        if first >= 0:
            os.close(first)


def look(_fs: Filesystem) -> dict[str, str]:
    """What comes of each of TRIES; of a kind of lock that can't be had at all, its errno under its name alone."""
    write("locked", "x" * 100)
    return {**by_fcntl(), **by_open_file_description(), **by_flock()}


def lease(_fs: Filesystem) -> list[str]:
    """Take a write lease in another process, and open the file for writing meanwhile: what came of each.

    Then what the holder heard of it: fcntl(2), F_SETLEASE. A filesystem may refuse leases.
    """
    write("leased", "x")
    go, gone = os.pipe()

    def hold() -> str:
        os.close(gone)
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
        file = os.open("leased", os.O_RDWR)
        came = outcome(fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        os.write(ready, came.encode())
        os.read(go, 1)
        heard = signal.sigtimedwait({signal.SIGIO}, 0 if came != "done" else 10)
        return "a signal" if heard else "nothing"

    taken, ready = os.pipe()
    try:
        with child(hold) as holder:
            os.close(ready)
            ready = -1
            came = os.read(taken, 100).decode()
            opened = outcome(lambda: os.close(os.open("leased", os.O_WRONLY | os.O_NONBLOCK)))
            os.close(gone)
            gone = -1
            return [came, opened, holder.told(20)]
    finally:
        for number in (go, taken, ready, gone):
            if number >= 0:
                os.close(number)
