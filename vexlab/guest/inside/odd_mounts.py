"""Mounts that are out of the ordinary: detached ones, bound ones, two filesystems at once, devices of other kinds."""

from __future__ import annotations

import os
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

from vexlab.guest.inside import second_device
from vexlab.guest.inside.attempts import ended, outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import attach, discard, size_of
from vexlab.guest.inside.system import check, libc, mount, mounts, open_and_close, read, statfs, umount, write

DETACH, BIND = 2, 4096  # MNT_DETACH, MS_BIND


def detached(fs: Filesystem) -> dict[str, str]:
    """Unmount with MNT_DETACH while a file is open: what comes of a write to it; whether the device is free then.

    And what the file holds in the next mount.
    """
    fs.mount()
    with open("kept", "w") as file:
        os.chdir("/")
        umount(fs.point, DETACH)
        seen = {"what is mounted": str(len(mounts(fs.point)))}
        file.write("on")
        seen["a write to the open file"] = outcome(file.flush)
    deadline = monotonic() + 10
    while fs.shape == "block" and outcome(open_and_close, fs.device, os.O_RDWR | os.O_EXCL) != "done":
        if monotonic() > deadline:
            seen["the device, when the file was closed"] = outcome(open_and_close, fs.device, os.O_RDWR | os.O_EXCL)
            return seen
        sleep(0.01)
    fs.mount()
    if fs.persistent:
        seen["the file, in the next mount"] = outcome(read, "kept") if not os.path.exists("kept") else read("kept")
    fs.unmount()
    return seen


def bound(fs: Filesystem) -> list[str]:
    """Bind a directory elsewhere and unmount the first: what a file there holds, and what comes of a write."""
    elsewhere = f"{fs.point}-bound"
    os.makedirs(elsewhere, exist_ok=True)
    fs.mount()
    os.mkdir("directory")
    write("directory/file", "bound")
    os.chdir("/")
    check(libc.mount(f"{fs.point}/directory".encode(), elsewhere.encode(), None, BIND, None), elsewhere)
    try:
        umount(fs.point)
        return [outcome(os.stat, f"{elsewhere}/../file"), read(f"{elsewhere}/file"),
                outcome(write, f"{elsewhere}/new", "x")]  # fmt: skip
    finally:
        umount(elsewhere)
        os.rmdir(elsewhere)


def two_at_once(fs: Filesystem, mkfs: str) -> list[Any]:
    """Format a second device and mount both: what each holds when both were written, and when the first was unmounted.

    And what each holds in the next mount.
    """
    image = f"{fs.point}.other"
    with open(image, "wb") as file:
        file.truncate(size_of(fs.image))
    other = replace(fs, device=attach(image), point=f"{fs.point}-other")
    os.makedirs(other.point, exist_ok=True)
    try:
        code, _, said = ended(second_device.exports(other.device) + mkfs)
        assert code == 0, f"mkfs of a second device ended with {code}: {said}"
        fs.mount()
        other.mount()
        for number in range(20):
            write(f"{fs.point}/first-{number}", f"first{number}" * 900)
            write(f"{other.point}/second-{number}", f"second{number}" * 900)
        both = [held(fs.point, "first"), held(other.point, "second")]
        fs.unmount()
        both.append(held(other.point, "second"))
        other.unmount()
        fs.mount()
        both.append(held(fs.point, "first"))
        fs.unmount()
        other.mount()
        return [*both, held(other.point, "second")]
    finally:
        os.chdir("/")
        for point in (fs.point, other.point):
            for _ in mounts(point):
                umount(point)
        os.rmdir(other.point)
        discard(image)


def held(point: str, name: str) -> str:
    """`right`, or what is wrong with the twenty files of one of two filesystems."""
    names = {f"{name}-{number}" for number in range(20)}
    found = {each for each in os.listdir(point) if each.startswith(("first-", "second-"))}
    if found != names:
        return f"missing {sorted(names - found)[:3]}, strange {sorted(found - names)[:3]}"
    wrong = [each for each in names if read(f"{point}/{each}") != each.replace("-", "") * 900]
    return f"{sorted(wrong)[:3]} hold something else" if wrong else "right"


def on_another_device(fs: Filesystem, mkfs: str, size: int, sector: int) -> list[str]:
    """Format a device of so many bytes with sectors of so many, mount it and write a file: how far that came.

    `refused` with the words of mkfs, the errno of the mount, or what the file holds in the next mount; and whether
    statfs tells of more than the device has.
    """
    image = f"{fs.point}.odd"
    with open(image, "wb") as file:
        file.truncate(size)
    device = attach(image, sector=sector)
    try:
        code, _, said = ended(second_device.exports(device) + mkfs)
        if code:
            return ["refused", said.strip()]
        odd = replace(fs, device=device)
        if (came := outcome(mount, device, fs.point, fs.kind, fs.options)) != "done":
            return ["mount", came]
        try:
            os.chdir(fs.point)
            write("file", "odd" * 5000)
            whole = statfs()
            fits = whole.f_blocks * whole.f_frsize <= size_of(device)
            odd.unmount()
            odd.mount()
            found = read("file")
        finally:
            os.chdir("/")
            for _ in mounts(fs.point):
                umount(fs.point)
        return ["works" if found == "odd" * 5000 else "is damaged", "fits" if fits else "more than the device has"]
    finally:
        discard(image)
