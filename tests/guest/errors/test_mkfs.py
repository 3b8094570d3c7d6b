"""mkfs, pointed at what it must not touch, seen from what is there: it lives on as it was."""

from __future__ import annotations

import pytest
from corruptible import Corruptible
from guest import Guest, Lab, Result, refused

# Arguments: mkfs. Answers how it ended under a mount that is being written, and what the files hold afterwards.
MOUNTED = """
fs.mount()
write("precious", "precious")
done = ended(arguments[0])
write("more", "more")
fs.remount()
answer([done, read("precious") + " " + read("more")])
fs.unmount()
"""

# Arguments: mkfs, what makes the filesystem that is there (or nothing), its type, its mount options. Answers how mkfs
# ended, whether each byte is what it was, and what came of a mount.
CARRIES = """
mkfs, make, kind, options = arguments
if make:
    shell(make)
before = fs.digest()
done = ended(mkfs)
same = fs.digest() == before
came = outcome(mount, fs.device, fs.point, kind, options)
if came == "done":
    umount(fs.point)
answer([done, same, came])
"""

# Arguments: mkfs, size. Answers how it ended on a device full of `x`, and whether it still is.
SMALL = """
mkfs, size = arguments
image = fs.image + ".small"
write(image, "x" * size)
device = attach(image)
done = ended(f"DEVICE={device}; export DEVICE; {mkfs}")
with open(device, "r+b") as file:
    os.fsync(file)
same = read(image) == "x" * size
detach(device)
os.unlink(image)
answer([done, same])
"""

# Arguments: mkfs for the mount point. Answers how it ended, and whether the directory is what it was.
DIRECTORY = """
fs.mount()
before = sorted(os.listdir())
done = ended(arguments[0])
answer([done, sorted(os.listdir()) == before])
fs.unmount()
"""


@pytest.fixture
def whole(corruptible: Corruptible) -> Corruptible:
    """The filesystem as it was made."""
    corruptible.trial("whole", mounts=[corruptible.lab.mount_options_ro]).must_be_safe()
    return corruptible


@pytest.mark.requires("mkfs-refuses-mounted", "read-write")
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_mounted_device(lab: Lab, whole: Corruptible, force: bool) -> None:
    """The filesystem that is mounted there goes on, and still is there after the next mount."""
    mkfs = lab.mkfs(whole.device, force=force)
    done, kept = whole.run(MOUNTED, mkfs)
    refused(Result(mkfs, *done))
    assert kept == "precious more"


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", ["own", "ext4"])
def test_device_with_a_signature(lab: Lab, whole: Corruptible, kind: str) -> None:
    """Not a byte changes, and what was there can be used."""
    mkfs = lab.mkfs(whole.device)
    if kind == "own":
        there = ("", lab.filesystem_type, lab.mount_options())
    else:
        there = (f"mke2fs -q -F -t ext4 {whole.device}", "ext4", "ro")
    done, same, came = whole.run(CARRIES, mkfs, *there)
    refused(Result(mkfs, *done))
    assert same, "mkfs refused the device, but wrote to it"
    assert came == "done", f"what was there can't be mounted any more: {came}"


@pytest.mark.requires("mkfs-refuses-small")
@pytest.mark.parametrize("size", [512, 4096])
def test_small_device(lab: Lab, corruptible: Corruptible, size: int) -> None:
    """Refused, with the few bytes as they were."""
    mkfs = lab.in_build(lab.mkfs_command, {"LABEL": "vexlab"})
    done, same = corruptible.run(SMALL, mkfs, size)
    refused(Result(mkfs, *done))
    assert same, "mkfs refused the device, but wrote to it"


def test_directory(guest: Guest, lab: Lab, whole: Corruptible) -> None:
    """Such as the mount point, when the two are mixed up."""
    mkfs = lab.mkfs(whole.point)
    done, same = whole.run(DIRECTORY, mkfs)
    refused(Result(mkfs, *done))
    assert same, "the directory is not what it was"
