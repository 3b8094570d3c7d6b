"""What mkfs put on a filesystem, compared with the directory that it came from."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from vexlab.guest.inside.filesystem import Filesystem

PIECES = 20  # of each file that are read by themselves
TOLD = 5  # differences


def names(source: str) -> list[str]:
    """What is in the directory that the content comes from; raises AssertionError when there is none."""
    assert os.path.isdir(source), (
        f"there is no directory {source} in the tree that was built (vexlab_content_directory)"
    )
    return os.listdir(source)


def looks(root: str, can: Collection[str]) -> dict[str, list[str]]:
    """Each name below a directory, with what it is: `what it is` and its value by turns, for messages."""
    found = {}
    for place, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(place, name)
            found[os.path.relpath(path, root)] = list(look(path, can))
    return found


def look(path: str, can: Collection[str]) -> Iterator[str]:
    """What there is to say of a name: its kind, what it holds, and as far as claimed mode, owner and time."""
    seen = os.lstat(path)
    yield f"kind {stat.filemode(seen.st_mode)[0]}"
    if stat.S_ISREG(seen.st_mode):
        yield f"size {seen.st_size}"
        yield f"sha256 {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    elif stat.S_ISLNK(seen.st_mode):
        yield f"target {os.readlink(path)}"
    if "permissions" in can and not stat.S_ISLNK(seen.st_mode):
        yield f"mode {stat.S_IMODE(seen.st_mode):o}"
        yield f"owner {seen.st_uid}:{seen.st_gid}"
    if "timestamps" in can and stat.S_ISREG(seen.st_mode):
        yield f"time {int(seen.st_mtime)}"


def differences(fs: Filesystem, source: str, can: Collection[str]) -> list[str]:
    """Mount it read-only and compare all that is there with a directory; the first differences, in words."""
    names(source)
    fs.mount(fs.read_only_options)
    wrong = compare(fs.point, source, can)
    fs.unmount()
    return wrong[:TOLD]


def compare(root: str, source: str, can: Collection[str]) -> list[str]:
    """What a directory holds that another one doesn't, and the other way round, in words; mkfs's own names aside."""
    wanted = looks(source, can)
    found = {name: words for name, words in looks(root, can).items() if name.partition("/")[0] != "lost+found"}
    wrong = [f"{name} is missing" for name in sorted(set(wanted) - set(found))]
    wrong += [f"{name} was not in {source}" for name in sorted(set(found) - set(wanted))]
    for name in sorted(set(wanted) & set(found)):
        pairs = zip(found[name], wanted[name], strict=False)
        differ = [f"{name}: {one}, and not {other}" for one, other in pairs if one != other]
        if not differ and found[name][0] == "kind -":
            differ = list(pieces(f"{source}/{name}", f"{root}/{name}"))
        wrong += differ[:1]
    return wrong


def pieces(source: str, path: str) -> Iterator[str]:
    """Read pieces of a file from the last to the first, as nobody does who reads it whole; those that differ."""
    some = random.Random(7)  # noqa: S311 - it is to be the same each time
    size = os.stat(path).st_size
    places = sorted((some.randrange(size + 1), some.randrange(1, 10000)) for _ in range(PIECES))
    with open(source, "rb") as one, open(path, "rb") as other:
        for place, length in reversed(places):
            if os.pread(one.fileno(), length, place) != os.pread(other.fileno(), length, place):
                yield f"{path}: {length} bytes at {place} are others when they are read by themselves"
