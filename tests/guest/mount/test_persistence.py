"""A whole tree, told by its manifest, before and after."""

from __future__ import annotations

import pytest
from guest import Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "persistent")

# Makes what the target can have: the first argument of each order holds its capabilities.
PLANT = """
import random
can = arguments[0]
random.seed(6)
places = ["."]
if "directories" in can:
    places += [f"dir{number}" for number in range(6)] + ["dir1/deep", "dir1/deep/deeper"]
    for place in places[1:]:
        os.mkdir(place)
for number in range(60):
    path = f"{places[number % len(places)]}/file {number}"
    write(path, random.randbytes(number * number * 97 % 100003))
    if "permissions" in can:
        os.chmod(path, random.choice([0o600, 0o644, 0o755, 0o4711]))
        os.chown(path, number, number * 3)
        os.chmod(path, random.choice([0o600, 0o644, 0o755, 0o4711]))
    if "timestamps" in can:
        os.utime(path, (number * 1000003, number * 10000019))
    if "hard-links" in can and number % 7 == 0:
        os.link(path, path + " again")
    if "symbolic-links" in can and number % 5 == 0:
        os.symlink("t" * (number + 1) * 8, path + " link")
"""

# A line for each name: type, inode and, as far as claimed, mode, owner, links, size, hash, time, target.
MANIFEST = """
def lines(can):
    for root, directories, files in os.walk("."):
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(root, name)
            seen = os.lstat(path)
            kind = stat.S_IFMT(seen.st_mode)
            fields = [path, oct(seen.st_mode if "permissions" in can else kind), seen.st_ino]
            if "permissions" in can:
                fields += [seen.st_uid, seen.st_gid]
            if kind == stat.S_IFREG:
                fields += [seen.st_nlink, seen.st_size, hashlib.sha256(Path(path).read_bytes()).hexdigest()]
                if "timestamps" in can:
                    fields.append(int(seen.st_mtime))
            elif kind == stat.S_IFLNK:
                fields.append(os.readlink(path))
            yield "\\t".join(map(str, fields))

def manifest():
    return list(lines(arguments[0]))
"""

READ_ONLY = """
fs.unmount()
fs.mount(fs.read_only_options)
found = manifest()
fs.remount()
answer(found)
"""

RELOAD = """
module, insmod = arguments[1:]
fs.unmount()
shell(f"rmmod {module}")
assert not os.path.exists(f"/sys/module/{module}"), "the module is still there after rmmod"
assert fs.kind not in read("/proc/filesystems").split(), "the filesystem's type is still registered after rmmod"
shell(insmod)
fs.mount()
answer(manifest())
"""


@pytest.fixture(scope="module")
def planted(lab: Lab, mounted: Scratch) -> list[str]:
    """The manifest of a tree that was just made, while all of it is still in memory."""
    lines: list[str] = mounted.run(f"{PLANT}{MANIFEST}answer(manifest())", lab.capabilities)
    assert len(lines) >= 60
    return lines


def test_tree_is_the_same_after_a_remount(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """What was in memory only is lost by an unmount."""
    assert mounted.run(f"{MANIFEST}fs.remount()\nanswer(manifest())", lab.capabilities) == planted


def test_tree_is_the_same_read_only(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """A read-only mount goes other ways through the code, and must not need to repair anything first."""
    assert mounted.run(f"{MANIFEST}{READ_ONLY}", lab.capabilities) == planted


@pytest.mark.usefixtures("lab_taken_down")
def test_tree_is_the_same_after_the_module_was_reloaded(lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """What a module keeps in memory of its own isn't on the disk; and an idle module must go, and come back."""
    found = mounted.run(f"{MANIFEST}{RELOAD}", lab.capabilities, lab.module_name, lab.insmod_command)
    assert found == planted
