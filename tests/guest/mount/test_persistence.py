"""A whole tree, told by its manifest, before and after."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "persistent")

# Makes what the target can have: argument 2 holds its capabilities.
PLANT = """
import os, random, sys
os.chdir(sys.argv[1])
can = sys.argv[2].split()
random.seed(6)
places = ["."]
if "directories" in can:
    places += [f"dir{number}" for number in range(6)] + ["dir1/deep", "dir1/deep/deeper"]
    for place in places[1:]:
        os.mkdir(place)
for number in range(60):
    path = f"{places[number % len(places)]}/file {number}"
    with open(path, "wb") as file:
        file.write(random.randbytes(number * number * 97 % 100003))
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

MANIFEST = """
import hashlib, os, stat, sys
os.chdir(sys.argv[1])
can = sys.argv[2].split()
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
            fields += [seen.st_nlink, seen.st_size, hashlib.sha256(open(path, "rb").read()).hexdigest()]
            if "timestamps" in can:
                fields.append(int(seen.st_mtime))
        elif kind == stat.S_IFLNK:
            fields.append(os.readlink(path))
        print(*fields, sep="\\t")
"""


def manifest(guest: Guest, lab: Lab, scratch: Scratch) -> list[str]:
    """One line for each name: type, inode and, as far as claimed, mode, owner, links, size, hash, time, target."""
    return guest.python(MANIFEST, scratch.point, " ".join(lab.capabilities)).splitlines()


@pytest.fixture(scope="module")
def planted(guest: Guest, lab: Lab, mounted: Scratch) -> list[str]:
    """The manifest of a tree that was just made, while all of it is still in memory."""
    guest.python(PLANT, mounted.point, " ".join(lab.capabilities))
    lines = manifest(guest, lab, mounted)
    assert len(lines) >= 60
    return lines


def test_tree_is_the_same_after_a_remount(guest: Guest, lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """What was in memory only is lost by an unmount."""
    mounted.remount()
    assert manifest(guest, lab, mounted) == planted


def test_tree_is_the_same_read_only(guest: Guest, lab: Lab, mounted: Scratch, planted: list[str]) -> None:
    """A read-only mount goes other ways through the code, and must not need to repair anything first."""
    mounted.unmount()
    mounted.mount(lab.mount_options_ro)
    found = manifest(guest, lab, mounted)
    mounted.remount()
    assert found == planted


@pytest.mark.usefixtures("lab_taken_down")
def test_tree_is_the_same_after_the_module_was_reloaded(
    guest: Guest, lab: Lab, mounted: Scratch, planted: list[str]
) -> None:
    """What a module keeps in memory of its own isn't on the disk; and an idle module must go, and come back."""
    mounted.unmount()
    guest.ok(f"rmmod {lab.module_name}; [ ! -d /sys/module/{lab.module_name} ]")
    assert lab.filesystem_type not in guest.ok("cat /proc/filesystems").split()
    guest.ok(lab.insmod_command)
    mounted.mount()
    assert manifest(guest, lab, mounted) == planted
