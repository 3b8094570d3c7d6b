"""Does random things to a filesystem, and keeps in memory what it must look like.

The same seed does the same things, so that what failed can be repeated. The whole tree is compared with the model after
each remount, each file also whenever it is read in between.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NoReturn

from vexlab.guest.inside.amounts import most, room
from vexlab.guest.inside.attempts import outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import put, write

LARGEST = 200_000  # bytes of a file, where it can have so many
MOST = 60  # names at a time
LINKS = 8  # names of a file: no filesystem that has hard links is known to have fewer


@dataclass
class Node:
    """What a name leads to; two names of one file lead to the same node."""

    kind: str  # file, directory, link
    content: bytearray = field(default_factory=bytearray)
    target: str = ""
    mode: int = 0


class Churn:
    """The filesystem and its model, `names`: path to node, without the root."""

    def __init__(self, fs: Filesystem, seed: int, capabilities: Collection[str]) -> None:
        """Begin with an empty filesystem that is mounted, and what a target claims."""
        self.fs = fs
        self.seed = seed
        self.can = set(capabilities)
        self.random = random.Random(seed)  # noqa: S311 - it is to be repeatable
        self.names: dict[str, Node] = {}
        self.made = 0
        self.step = 0
        self.doing = "nothing"
        self.largest = min(most(fs, "file_bytes", LARGEST), max(4096, room(2 * MOST)))
        self.longest = most(fs, "name_bytes", 210)
        self.entries = most(fs, "directory_entries", MOST + 1) - 1  # beside lost+found
        self.most = min(MOST, most(fs, "files", MOST + 1) - 1)
        self.target = most(fs, "symbolic_link_bytes", 300) if "symbolic-links" in self.can else 0
        self.operations = [self.create, self.create, self.write, self.write, self.append, self.read, self.unlink]
        optional = {
            "directories": [self.make_directory, self.remove_directory], "rename": [self.rename, self.rename],
            "hard-links": [self.link], "symbolic-links": [self.symlink], "truncate": [self.truncate],
            "permissions": [self.change_mode], "mmap": [self.map], "sync": [self.fsync],
        }  # fmt: skip
        for capability, operations in optional.items():
            if capability in self.can:
                self.operations += operations

    # --- choosing

    def some(self, kind: str) -> str:
        """A name of that kind; raises LookupError when there is none."""
        return self.random.choice([name for name, node in self.names.items() if node.kind == kind])

    def new(self) -> str:
        """A name that isn't there yet, somewhere in the tree."""
        if len(self.names) >= self.most:
            raise LookupError
        self.made += 1
        places = ["", *(f"{name}/" for name, node in self.names.items() if node.kind == "directory")]
        place, length = self.random.choice(places), self.random.choice([0, 0, 3, 40, 200])
        if sum(name.rpartition("/")[0] == place.rstrip("/") for name in self.names) >= self.entries:
            raise LookupError
        return place + f"{self.made}{'n' * length}"[: self.longest]

    def data(self, up_to: int) -> bytes:
        """Some bytes."""
        least = max(100, up_to)
        return self.random.randbytes(self.random.choice([1, 100, self.random.randint(1, least), least]))

    # --- operations; each tells what it does before it does it

    def create(self) -> None:
        """A new file."""
        name, data = self.new(), self.data(self.largest // 4)
        self.doing = f"create {name} with {len(data)} bytes"
        write(name, data, "x")
        self.names[name] = Node("file", bytearray(data), mode=stat.S_IMODE(os.stat(name).st_mode))

    def write(self) -> None:
        """Bytes in the middle of a file, or behind its end."""
        name = self.some("file")
        content = self.names[name].content
        place, data = self.random.randint(0, len(content) + 9000), self.data(self.largest // 8)
        place = min(place, self.largest - len(data))
        self.doing = f"write {len(data)} bytes at {place} of {name}"
        with open(name, "r+b", buffering=0) as file:
            file.seek(place)
            put(file.fileno(), data)
        content.extend(bytes(max(0, place - len(content))))
        content[place : place + len(data)] = data

    def append(self) -> None:
        """Bytes at the end of a file."""
        name, data = self.some("file"), self.data(5000)
        if len(self.names[name].content) + len(data) > self.largest:
            raise LookupError
        self.doing = f"append {len(data)} bytes to {name}"
        write(name, data, "a")
        self.names[name].content += data

    def truncate(self) -> None:
        """A file made shorter or longer."""
        name = self.some("file")
        content, size = self.names[name].content, self.random.randint(0, self.largest)
        self.doing = f"truncate {name} from {len(content)} to {size} bytes"
        os.truncate(name, size)
        del content[size:]
        content.extend(bytes(size - len(content)))

    def map(self) -> None:
        """A byte stored through a shared mapping."""
        name = self.some("file")
        content = self.names[name].content
        if not content:
            raise LookupError
        place = self.random.randrange(len(content))
        self.doing = f"store a byte at {place} of {name} through mmap"
        with open(name, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
            mapping[place] = content[place] = self.random.randrange(256)

    def read(self) -> None:
        """A file compared."""
        name = self.some("file")
        self.doing = f"read {name}"
        self.compare(name, self.names[name])

    def fsync(self) -> None:
        """A file written out."""
        name = self.some("file")
        self.doing = f"fsync {name}"
        with open(name, "rb") as file:
            os.fsync(file.fileno())

    def unlink(self) -> None:
        """A name gone."""
        name = self.some(self.random.choice(["file", "link"]))
        self.doing = f"unlink {name}"
        os.unlink(name)
        del self.names[name]

    def make_directory(self) -> None:
        """A new directory."""
        name = self.new()
        if name.count("/") > 5:
            raise LookupError
        self.doing = f"make directory {name}"
        os.mkdir(name)
        self.names[name] = Node("directory", mode=stat.S_IMODE(os.stat(name).st_mode))

    def remove_directory(self) -> None:
        """A directory gone; one that isn't empty stays."""
        name = self.some("directory")
        inhabited = any(other.startswith(f"{name}/") for other in self.names)
        self.doing = f"remove {'inhabited' if inhabited else 'empty'} directory {name}"
        try:
            os.rmdir(name)
        except OSError as problem:
            if not inhabited or problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return
        if inhabited:
            self.fail("it was removed")
        del self.names[name]

    def rename(self) -> None:
        """A name moved, with all that is below it; sometimes over a file."""
        old = self.random.choice(list(self.names) or [""])
        over = self.random.random() < 0.3 and self.names[old].kind != "directory" if old else False
        new = self.some("file") if over else self.new()
        if not old or new == old or new.startswith(f"{old}/") or self.names.get(new) is self.names[old]:
            raise LookupError
        self.doing = f"rename {old} to {new}"
        os.rename(old, new)
        moved = {name: node for name, node in self.names.items() if name == old or name.startswith(f"{old}/")}
        for name in moved:
            del self.names[name]
        self.names |= {new + name[len(old) :]: node for name, node in moved.items()}

    def link(self) -> None:
        """A second name of a file."""
        old, new = self.some("file"), self.new()
        if sum(node is self.names[old] for node in self.names.values()) >= int(self.fs.limits.get("hard_links", LINKS)):
            raise LookupError
        self.doing = f"link {old} to {new}"
        os.link(old, new)
        self.names[new] = self.names[old]

    def symlink(self) -> None:
        """A symbolic link, mostly to nowhere."""
        name, target = self.new(), "t" * min(self.target, self.random.choice([1, 50, 300]))
        self.doing = f"make symbolic link {name} of {len(target)} bytes"
        os.symlink(target, name)
        self.names[name] = Node("link", target=target)

    def change_mode(self) -> None:
        """Another mode."""
        name, mode = self.some("file"), self.random.choice([0o600, 0o644, 0o755, 0o4711])
        self.doing = f"chmod {mode:o} {name}"
        os.chmod(name, mode)
        self.names[name].mode = mode

    # --- comparing

    def fail(self, what: str) -> NoReturn:
        """Raise a sentence that lets somebody repeat it."""
        told = f"seed {self.seed}, operation {self.step}, {self.doing}: {what}"
        raise AssertionError(f"{told} (vexlab test --seed {self.seed} repeats it)")

    def compare(self, name: str, node: Node) -> None:
        """One name with its node."""
        seen = os.lstat(name)
        if node.kind == "link":
            if not stat.S_ISLNK(seen.st_mode) or os.readlink(name) != node.target:
                self.fail(f"{name} is not the symbolic link that it was")
            return
        if "permissions" in self.can and stat.S_IMODE(seen.st_mode) != node.mode:
            self.fail(f"mode of {name} is {stat.S_IMODE(seen.st_mode):o}, not {node.mode:o}")
        if node.kind == "directory":
            return
        links = sum(other is node for other in self.names.values()) if "hard-links" in self.can else seen.st_nlink
        if seen.st_nlink != links:
            self.fail(f"{name} has {seen.st_nlink} links, not {links}")
        with open(name, "rb") as file:
            content = file.read()
        if content != node.content:
            differ = (place for place, (a, b) in enumerate(zip(content, node.content, strict=False)) if a != b)
            self.fail(f"{name} has {len(content)} bytes, should have {len(node.content)}; "
                      f"the first that differs is {next(differ, min(len(content), len(node.content)))}")  # fmt: skip

    def compare_all(self) -> None:
        """The whole tree with the model."""
        seen = {os.path.relpath(os.path.join(root, name), ".") for root, directories, files in os.walk(".")
                for name in directories + files} - {"lost+found"}  # fmt: skip
        if self.fs.limits.get("name_case") == "insensitive":  # all names here are of small letters
            seen = {name.lower() for name in seen}
        if seen != set(self.names):
            lost, found = sorted(set(self.names) - seen)[:3], sorted(seen - set(self.names))[:3]
            self.fail(f"names that are gone: {', '.join(lost) or 'none'}; "
                      f"names that should not be there: {', '.join(found) or 'none'}")  # fmt: skip
        for name, node in self.names.items():
            self.compare(name, node)

    def remount(self) -> None:
        """Unmounted and mounted, so that what is compared comes from the device."""
        if "persistent" in self.can:
            left, came = outcome(self.fs.unmount), outcome(self.fs.mount)
            if (left, came) != ("done", "done"):
                self.fail(f"unmount: {left}, mount: {came}")
        self.compare_all()

    def run(self, count: int) -> None:
        """So many operations, with a remount eight times on the way."""
        for self.step in range(1, count + 1):
            try:
                self.random.choice(self.operations)()
            except LookupError:
                continue  # nothing there to do it to, or no room for more
            if self.step % max(1, count // 8) == 0 or self.step == count:
                self.remount()


def run(fs: Filesystem, seed: int, operations: int, capabilities: Collection[str]) -> None:
    """Do so many random things; raises AssertionError with seed, operation and difference."""
    churn = Churn(fs, seed, capabilities)
    try:
        churn.run(operations)
    except OSError as problem:
        churn.fail(f"{errno.errorcode.get(problem.errno or 0, 'an error')} ({problem.strerror or problem})")
