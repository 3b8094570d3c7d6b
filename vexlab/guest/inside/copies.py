"""What a copy of the device shows that is taken while the filesystem is mounted: what a power cut would leave."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vexlab.guest.inside.attempts import NAMES
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.freezing import frozen
from vexlab.guest.inside.images import attach, discard, keep
from vexlab.guest.inside.system import read, syncfs, write


class Case(NamedTuple):
    """What is there and synced before, what is done, how a copy is looked at, what it must show, what that needs."""

    prepare: Callable[[], object]
    act: Callable[[], object]
    look: Callable[[], str]
    shows: str
    capabilities: tuple[str, ...] = ()


def synced(path: str, sync: Callable[[int], None] = os.fsync) -> None:
    """Sync what is there by a name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def append() -> None:
    """Lengthen a file and fdatasync(2): without its new length nobody can read the data."""
    write("appended", "b" * 9000, "a")
    synced("appended", os.fdatasync)


def overwrite() -> None:
    """Write over the middle of a file and fsync(2)."""
    descriptor = os.open("overwritten", os.O_WRONLY)
    os.pwrite(descriptor, b"b" * 5000, 2000)
    os.fsync(descriptor)
    os.close(descriptor)


def store() -> None:
    """Store through a shared mapping and msync(2)."""
    with open("mapped", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[2000:7000] = b"b" * 5000
        memory.flush()


def rename() -> None:
    """Write a file, fsync(2), rename it over another: how editors save; then fsync(2) of the directory."""
    write("saved-new", "b" * 9000)
    synced("saved-new")
    os.rename("saved-new", "saved")
    synced(".")


def change_names() -> None:
    """Remove a name, make a directory with a file in it and a link, and fsync(2) of both directories."""
    os.unlink("removed")
    os.mkdir("made")
    write("made/file", "b" * 3)
    synced("made/file")
    synced("made")
    synced(".")


def cut() -> None:
    """Cut a file and fsync(2)."""
    os.truncate("cut", 2000)
    synced("cut")


def sync_all() -> None:
    """Write a file and sync(2) all that there is."""
    write("all", "a" * 9000)
    os.sync()


def whole_of(name: str) -> Callable[[], str]:
    """What tells a file by the runs of its letters, as `a2000 b5000`."""

    def look() -> str:
        content, words = read(name), list[str]()
        while content:
            rest = content.lstrip(content[0])
            words.append(f"{content[0]!a}"[1:-1] + str(len(content) - len(rest)))
            content = rest
        return " ".join(words)

    return look


def names() -> str:
    """Whether the name is gone, and what the new file holds."""
    left = "removed is there" if os.path.lexists("removed") else "removed is gone"
    return f"{left}, made/file holds {read('made/file')}"


def settle_in() -> None:
    """Make a directory of files, each with its own name in it."""
    os.mkdir("busy")
    for number in range(8):
        write(f"busy/kept-{number}", f"kept-{number}" * 300)


def be_busy() -> None:
    """Make, rename, cut and remove files there, and sync nothing."""
    for number in range(8):
        write(f"busy/new-{number}", f"new-{number}" * 300)
    for number in range(0, 8, 4):
        os.rename(f"busy/new-{number}", f"busy/renamed-{number}")
        os.unlink(f"busy/new-{number + 1}")
        os.unlink(f"busy/kept-{number + 2}")
        os.truncate(f"busy/new-{number + 3}", 100)


def whole_tree() -> str:
    """Whether each name that is listed there reads, what was left alone holds what it held, and all can be removed."""
    for entry in list(os.scandir("busy")):
        content = Path(entry.path).read_bytes()
        kept = entry.name.startswith("kept-") and int(entry.name.partition("-")[2]) % 4 != 2
        if kept and content != entry.name.encode() * 300:
            return f"{entry.name} was synced and left alone, and holds something else"
        os.unlink(entry.path)
    os.rmdir("busy")
    return "all of it"


CASES: dict[str, Case] = {
    "appended to, fdatasync": Case(lambda: write("appended", "a" * 9000), append, whole_of("appended"), "a9000 b9000"),
    "written over, fsync": Case(
        lambda: write("overwritten", "a" * 9000), overwrite, whole_of("overwritten"), "a2000 b5000 a2000"
    ),
    "stored into through a mapping, msync": Case(
        lambda: write("mapped", "a" * 9000), store, whole_of("mapped"), "a2000 b5000 a2000", ("mmap",)
    ),
    "renamed over another, fsync of the directory": Case(
        lambda: write("saved", "a" * 9000), rename, whole_of("saved"), "b9000", ("rename",)
    ),
    "names removed and made, fsync of the directories": Case(
        lambda: write("removed", "a"), change_names, names, "removed is gone, made/file holds bbb", ("directories",)
    ),
    "cut, fsync": Case(lambda: write("cut", "a" * 9000), cut, whole_of("cut"), "a2000", ("truncate",)),
    "changed without a sync": Case(
        settle_in, be_busy, whole_tree, "all of it", ("directories", "rename", "truncate", "crash-recovery")
    ),
    "sync(2) of all": Case(
        lambda: None, sync_all, whole_of("all"), "a9000",
    ),
}  # fmt: skip


def shown(fs: Filesystem, path: str, look: Callable[[], str]) -> str:
    """What a copy of the device shows, in a writable mount, which may replay its journal; the copy goes.

    The device itself must not be mounted then: two that claim to be the same one are not mounted at once.
    """
    device = attach(path)
    copy = replace(fs, device=device, fsck="")
    try:
        copy.mount()
        try:
            return look()
        except OSError as problem:
            return str(problem)
        finally:
            copy.unmount()
    finally:
        discard(path)


def look(fs: Filesystem, chosen: Sequence[str]) -> dict[str, str]:
    """For each of these CASES, what the copy shows that was taken right after it."""
    seen, paths = dict[str, str](), dict[str, str]()
    for number, name in enumerate(chosen):
        case = CASES[name]
        case.prepare()
        syncfs()
        try:
            case.act()
        except OSError as problem:
            seen[name] = str(problem)
            continue
        paths[name] = f"{fs.point}.copy-{number}"
        keep(fs.image, paths[name])
    fs.unmount()
    for name, path in paths.items():
        seen[name] = shown(fs, path, CASES[name].look)
    fs.mount()
    return seen


def room() -> str:
    """Bytes and inodes that are free."""
    syncfs()
    seen = os.statvfs(".")
    return f"{seen.f_bfree * seen.f_frsize} {seen.f_ffree}"


def without_a_name(fs: Filesystem) -> list[int]:
    """Write 4 MiB to an open file without a name, and syncfs: bytes and inodes free before, and in the copy."""
    before, path = room(), f"{fs.point}.copy"
    with open("nameless", "wb") as file:
        os.unlink("nameless")
        file.write(bytes(range(256)) * (4 << 12))
        file.flush()
        syncfs()
        keep(fs.image, path)
        os.chdir("/")
    fs.unmount()
    after = shown(fs, path, room)
    fs.mount()
    return [int(word) for word in (before + " " + after).split()]


def mounted_with(fs: Filesystem, option: str) -> str:
    """Mount with `sync` or `dirsync`, write a file or change names, and what the copy shows without any sync."""
    path = f"{fs.point}.copy"
    fs.unmount()
    fs.mount(f"{fs.options},{option}")
    if option == "sync":
        write("by-sync", "a" * 9000)
        look = whole_of("by-sync")
    else:
        os.mkdir("dirs")
        os.mkdir("dirs-old")
        os.rename("dirs-old", "dirs-new")
        look = names_made
    keep(fs.image, path)
    fs.unmount()
    found = shown(fs, path, look)
    fs.mount()
    return found


def names_made() -> str:
    """The names that `mounted_with` made."""
    return " ".join(sorted(name for name in os.listdir(".") if name.startswith("dirs")))


def while_frozen(fs: Filesystem) -> list[str]:
    """Write a file without a sync, freeze, and copy the device: how the freeze ended, and what the copy shows."""
    path = f"{fs.point}.copy"
    write("frozen", "a" * 9000)
    try:
        with frozen():
            keep(fs.image, path)
    except OSError as problem:
        return [NAMES.get(problem.errno or 0, str(problem)), ""]
    fs.unmount()
    found = shown(fs, path, whole_of("frozen"))
    fs.mount()
    return ["done", found]
