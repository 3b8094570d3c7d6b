"""Mount options as the kernel shows them, values that can't be, and contexts that are never mounted (fsopen(2))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.syscalls import counted
from vexlab.guest.inside.system import FLAGS, mounts, read, references

# Of the options of a superblock, those that the kernel's own code shows, and reads: fs/proc_namespace.c, security/.
OF_THE_KERNEL = ("rw", "seclabel", "lazytime", "mand", *FLAGS)
WRONG_VALUES = ("", "=", "=-1", "=99999999999999999999", f"={'x' * 2000}")  # behind the name of an option
ODD_LISTS = (",,", "=", "=x", ",=,")
KEYS = 6  # options of a filesystem that are tried
# The numbers of x86-64's system calls, and of fsconfig(2) what is set: linux/mount.h
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
SET_STRING, CREATE = 1, 6
LET_GO_SECONDS = 5.0  # for a context that was closed, whose last steps the kernel may do later


def shown(fs: Filesystem) -> list[str]:
    """The filesystem's own options of what is mounted, in the order in which /proc/self/mountinfo shows them."""
    lines = [line.split(" - ") for line in read("/proc/self/mountinfo").splitlines()]
    words = [about.split()[2] for mount, about in lines if mount.split()[4] == fs.point][-1].split(",")
    return [_plain(word) for word in words if word not in OF_THE_KERNEL]


def _plain(word: str) -> str:
    """An option without the escapes that /proc has for blanks and backslashes: proc(5)."""
    return word.encode().decode("unicode_escape") if "\\" in word else word


def given_again(fs: Filesystem) -> dict[str, Any]:
    """Mount, and mount again with the options that are shown then: what came of it, and what both showed."""
    fs.mount()
    first = shown(fs)
    fs.unmount()
    mode = ["ro"] if "ro" in fs.options.split(",") else []
    came = outcome(fs.mount, ",".join([*mode, *first]) or "rw")
    second = shown(fs) if came == "done" else []
    if came == "done":
        fs.unmount()
    return {"shown": ",".join(first), "mount(2) with that": came, "shown then": ",".join(second)}


def _own(fs: Filesystem) -> list[str]:
    """The filesystem's own options that the target gives, or that are shown; each name once."""
    fs.mount()
    words = [word for word in fs.options.split(",") if word and word not in OF_THE_KERNEL] + shown(fs)
    fs.unmount()
    return list({word.partition("=")[0]: word for word in words}.values())[:KEYS]


def _wrong(fs: Filesystem) -> Iterator[str]:
    """Lists of options with something in them that can't be."""
    given = [word for word in fs.options.split(",") if word]
    for key in (word.partition("=")[0] for word in _own(fs)):
        others = [word for word in given if word.partition("=")[0] != key]
        yield from (",".join([*others, f"{key}{value}"]) for value in WRONG_VALUES)
    yield from (f"{fs.options}{odd}" for odd in ODD_LISTS)


def wrong_values(fs: Filesystem, module: str) -> dict[str, Any]:
    """Mount with values that can't be: what was wrong with a mount that was not refused, and at the end."""
    before, wrong = references(module), {}
    for options in _wrong(fs):
        if outcome(fs.mount, options) != "done":
            assert not mounts(fs.point), f"mount(2) with {_short(options)} failed, and there is something mounted"
            continue
        listed, left = outcome(os.listdir, fs.point), outcome(fs.unmount)
        if (listed, left) != ("done", "done"):
            wrong[f"mounted with {_short(options)}"] = f"a listing: {listed}, unmount(2): {left}"
    return wrong | _afterwards(fs, module, before)


def _short(options: str) -> str:
    return options if len(options) < 80 else f"{options[:77]}..."


def _afterwards(fs: Filesystem, module: str, before: int) -> dict[str, Any]:
    """What is wrong when all was let go of: uses of the module, and what comes of an ordinary mount."""
    deadline = monotonic() + LET_GO_SECONDS
    while references(module) != before and monotonic() < deadline:
        sleep(0.05)
    uses, came = references(module), outcome(fs.mount)
    wrong = {} if came == "done" else {"an ordinary mount afterwards": came}
    if came == "done":
        fs.unmount()
    return wrong | ({} if uses == before else {"the module's use count": f"was {before}, and is {uses}"})


@contextlib.contextmanager
def _context(fs: Filesystem) -> Iterator[int]:
    """A context for a superblock, as mount(8) makes one; it is closed without being mounted."""
    descriptor = counted("syscall", FSOPEN, fs.kind.encode(), 1)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _set(context: int, name: str, value: str) -> str:
    return outcome(counted, "syscall", FSCONFIG, context, SET_STRING, name.encode(), value.encode(), 0)


def drop_contexts(fs: Filesystem, times: int) -> dict[str, Any]:
    """Make contexts that are never mounted, each in four ways; what comes of an option that nobody knows."""
    came = ""
    for _ in range(times):
        with _context(fs):
            pass
        with _context(fs) as context:
            _set(context, "source", fs.device)
        with _context(fs) as context:
            came = _set(context, "vexlab-no-such-option", "x")
        with _context(fs) as context:
            _set(context, "source", fs.device)
            for word in (word for word in fs.options.split(",") if word and word not in OF_THE_KERNEL):
                _set(context, *word.partition("=")[::2])
            outcome(counted, "syscall", FSCONFIG, context, CREATE, None, None, 0)
    return {"an option that nobody knows": came}


def contexts(fs: Filesystem, module: str) -> dict[str, Any]:
    """What came of contexts that were never mounted, and what is wrong when they are closed."""
    before = references(module)
    seen = drop_contexts(fs, 3)
    return seen | _afterwards(fs, module, before)


def dropped(fs: Filesystem, cycles: int, module: str) -> None:
    """Make contexts that are never mounted, so many times, and wait until the module is let go."""
    before = references(module)
    drop_contexts(fs, cycles)
    wrong = _afterwards(fs, module, before)
    assert not wrong, "; ".join(f"{what}: {how}" for what, how in wrong.items())
