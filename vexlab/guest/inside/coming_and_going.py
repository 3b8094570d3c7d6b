"""Directories that are read while entries come and go."""

from __future__ import annotations

import os
import select

from vexlab.guest.inside.amounts import most
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.listing import DOTS, batches, compared, entries, opened, populate
from vexlab.guest.inside.system import write


def while_removed(fs: Filesystem, count: int) -> dict[str, list[str]]:
    """List with a small buffer and remove of each batch all but each third; what is wrong with what is listed."""
    there = populate(fs, "removed", count)
    stay, listed = there[::3], list[str]()
    directory = opened("removed")
    for found in batches(directory, 3 * count, 1024):
        for entry in found:
            listed.append(entry.name)
            if entry.name not in DOTS and entry.name not in stay:
                os.unlink(f"removed/{entry.name}")
    os.close(directory)
    wrong = compared([name for name in listed if name not in DOTS], there)
    return {**wrong, "still there": sorted(set(os.listdir("removed")) - set(stay))[:3]}


def while_others_go(fs: Filesystem, count: int) -> dict[str, list[str]]:
    """List with a small buffer while others are removed and made; what is wrong with those that stay."""
    there = populate(fs, "others", count)
    stay, go, listed = there[::2], there[1::2], list[str]()
    directory = opened("others")
    for number, found in enumerate(batches(directory, 10 * count, 1024)):
        listed += [entry.name for entry in found if entry.name not in DOTS]
        for name in (*go[number * 4 : number * 4 + 4], *go[-number * 4 - 4 : len(go) - number * 4]):
            if os.path.exists(f"others/{name}"):
                os.unlink(f"others/{name}")
        if number < count // 8:
            write(f"others/new-{number}", "")
    os.close(directory)
    return compared(listed, stay)


def while_renamed(fs: Filesystem, count: int) -> dict[str, list[str]]:
    """List with a small buffer and rename each entry once it is listed; what is wrong with what then is there."""
    there = populate(fs, "renamed", count)
    directory = opened("renamed")
    for found in batches(directory, 20 * count, 1024):
        for entry in found:
            if entry.name in there and os.path.exists(f"renamed/{entry.name}"):
                os.rename(f"renamed/{entry.name}", f"renamed/r{entry.name}")
    os.close(directory)
    return compared(os.listdir("renamed"), [f"r{name}" for name in there])


def come_and_go(directory: str, longest: int, until: int) -> None:
    """Make and remove names in a directory, a few at a time, until a pipe is closed."""
    turn = 0
    while not select.select([until], [], [], 0)[0]:
        turn += 1
        names = [f"{directory}/{number}-{turn}{'t' * 150}"[: len(directory) + 1 + longest] for number in range(6)]
        for name in names:
            write(name, "")
        for name in names:
            os.unlink(name)


def while_another_works(fs: Filesystem, count: int) -> dict[str, list[str]]:
    """List thirty times while another process makes and removes names; what is wrong with those that stay."""
    there = populate(fs, "busy", count)
    longest = most(fs, "name_bytes", 150)
    until, stop = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(stop)
            come_and_go("busy", longest, until)
        finally:
            os._exit(0)
    os.close(until)
    wrong = dict[str, list[str]]()
    for _ in range(30):
        directory = opened("busy")
        found = compared([entry.name for entry in entries(directory, 20 * count, 1024)], there)
        os.close(directory)
        if any(found.values()):
            wrong = found
    os.close(stop)
    os.waitpid(child, 0)
    return wrong or compared(there, there)
