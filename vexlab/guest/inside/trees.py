"""A whole tree, and its manifest."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from vexlab.guest.inside.amounts import SPARE, most
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import load, registered, unload, write

FILES = 60
MODES = (0o600, 0o644, 0o755, 0o4711)


def plant(fs: Filesystem, can: Collection[str]) -> list[str]:
    """Make a tree of what a target can have that claims this; its manifest."""
    some = random.Random(6)  # noqa: S311 - it is to be the same each time
    count = FILES if most(fs, "files", 2 * FILES) == 2 * FILES else most(fs, "files", 2 * FILES) // 3
    places, largest = ["."], most(fs, "file_bytes", 100_003)
    if "directories" in can:
        places += [f"dir{number}" for number in range(min(6, count // 3))]
        places += ["dir1/deep", "dir1/deep/deeper"] if len(places) > 2 else []
        for place in places[1:]:
            os.mkdir(place)
    entries = most(fs, "directory_entries", 2 * count // len(places) + SPARE) - SPARE
    for number in range(min(count, entries * len(places) // 2)):
        path = f"{places[number % len(places)]}/file {number}"
        write(path, some.randbytes(number * number * 97 % largest))
        decorate(fs, path, number, some)
    return manifest(can)


def decorate(fs: Filesystem, path: str, number: int, some: random.Random) -> None:
    """Give a file owner, mode and times, a second name and a link beside it, as far as the target claims them."""
    if "permissions" in fs.can:
        os.chmod(path, some.choice(MODES))
        os.chown(path, number, number * 3)
        os.chmod(path, some.choice(MODES))
    if "timestamps" in fs.can:
        os.utime(path, (number * 1000003, number * 10000019))
    if "hard-links" in fs.can and number % 7 == 0:
        os.link(path, path + " +")
    if "symbolic-links" in fs.can and number % 5 == 0:
        os.symlink("t" * most(fs, "symbolic_link_bytes", (number + 1) * 8), path + " @")


def manifest(can: Collection[str]) -> list[str]:
    """A line for each name: type and, as far as claimed, inode, mode, owner, links, size, hash, time, target."""
    return list(lines(can))


def lines(can: Collection[str]) -> Iterator[str]:
    """The lines of `manifest`."""
    for root, directories, files in os.walk("."):
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(root, name)
            seen = os.lstat(path)
            kind = stat.S_IFMT(seen.st_mode)
            fields: list[object] = [path, oct(seen.st_mode if "permissions" in can else kind)]
            if "inode-numbers" in can:
                fields.append(seen.st_ino)
            if "permissions" in can:
                fields += [seen.st_uid, seen.st_gid]
            if kind == stat.S_IFREG:
                fields += [seen.st_nlink, seen.st_size, hashlib.sha256(Path(path).read_bytes()).hexdigest()]
                if "timestamps" in can:
                    fields.append(int(seen.st_mtime))
            elif kind == stat.S_IFLNK:
                fields.append(os.readlink(path))
            yield ", ".join(map(str, fields))


def after_a_remount(fs: Filesystem, can: Collection[str]) -> list[str]:
    """The manifest after a remount."""
    fs.remount()
    return manifest(can)


def after_memory_was_wanted(_fs: Filesystem, can: Collection[str]) -> list[str]:
    """The manifest when the kernel has let go of all that it can read again, with the filesystem mounted."""
    os.sync()
    for _ in range(2):  # an inode goes after the names that lead to it
        write("/proc/sys/vm/drop_caches", "3")
    return manifest(can)


def read_only(fs: Filesystem, can: Collection[str]) -> list[str]:
    """The manifest under a read-only mount."""
    fs.unmount()
    fs.mount(fs.read_only_options)
    found = manifest(can)
    fs.remount()
    return found


def after_a_reload(fs: Filesystem, can: Collection[str], module: str, path: str, parameters: str) -> list[str]:
    """The manifest after the module was unloaded and loaded again from this file."""
    fs.unmount()
    unload(module)
    assert not os.path.exists(f"/sys/module/{module}"), "the module is still there after it was unloaded"
    assert not registered(fs.kind), "the filesystem's type is still registered after the module was unloaded"
    load(path, parameters)
    fs.mount()
    return manifest(can)
