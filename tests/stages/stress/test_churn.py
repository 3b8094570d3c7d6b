"""Files made, written, moved and removed, by one program, by tools that verify, and by several programs at once."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import amounts, churn, writers
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target, target_of

# Each command has a deadline of its own, and two of them take longer together than a check usually may.
pytestmark = [pytest.mark.requires("read-write"), pytest.mark.timeout(400)]

# What of stress-ng's class `filesystem` is about files and can be asked of any filesystem that claims the capability.
# Left out: what needs more of a filesystem than a target can claim (acl, fallocate, xattr and the like), what tests
# the VFS alone (dup, locks, leases; flock also has the kernel log a warning of its own), what makes no files, and
# fsize, which fails by itself when its time ends while it emulates fallocate.
STRESSORS = {
    "": ["fstat", "hdd", "iomix", "metamix", "open", "pseek", "touch", "unlink"],
    "directories": ["chdir", "dentry", "dir", "dirdeep", "dirmany", "filename", "getdent", "inotify"],
    "rename": ["rename", "filerace"],
    "hard-links": ["link"],
    "symbolic-links": ["symlink"],
    "permissions": ["access", "chmod", "chown", "umask"],
    "access-time": ["utime"],
    "sync": ["sync-file"],
}  # fmt: skip
# Names as its stressors make them, sizes of files, and entries of the directories in which they make thousands.
STRESS_NG_NEEDS = {"name_bytes": 128, "file_bytes": 4 << 20, "directory_entries": 20000}
# Makes two files of 128 MiB at least, mostly holes, and each of the others takes a full filesystem for a broken one; so
# it is alone. On a small device without holes it fails itself, with the errno of what it tidies up.
FILLS, FILLED = ["copy-file"], 256 << 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """How many operations is part of the check's name: results and reports tell what was seen to go well."""
    if "operations" in metafunc.fixturenames:
        amount = target_of(metafunc.config).churn_operations
        metafunc.parametrize("operations", [pytest.param(amount, id=str(amount))])


def test_random_operations(target: Target, part: Scratch, seed: int, operations: int) -> None:
    """The tree is what the same operations make of a model in memory, after each of several remounts."""
    part.call(churn.run, seed, operations, target.capabilities, seconds=60 + operations // 10)


def test_fio_verifies_what_it_wrote(guest: Guest, target: Target, part: Scratch, seed: int) -> None:
    """Random writes of all sizes, each block with a checksum: read back at once, and again after a remount."""
    size = part.call(amounts.most, "file_bytes", 1 << (18 if target.quick else 19)) // 512 * 512
    job = (
        f"fio --name=churn --directory={part.point} --rw=randwrite --bsrange=512-{min(1 << 16, size)} --blockalign=512 "
        f"--size={4 * size} --nrfiles=4 --ioengine=psync --fallocate=none --verify=crc32c --verify_fatal=1 "
        f"--end_fsync={int('sync' in target.capabilities)} --randseed={seed} --randrepeat=1 --output-format=terse"
    )
    guest.ok(f"cd /tmp; {job}", seconds=120)
    if "persistent" in target.capabilities:
        part.remount()
        guest.ok(f"cd /tmp; {job} --verify_only", seconds=120)


def test_writers_at_once(target: Target, part: Scratch) -> None:
    """Four programs make, rename and remove files in one directory; each file holds what its writer wrote."""
    files, size = part.call(writers.amounts, 4, 12 if target.quick else 30)
    wrong = part.call(writers.write_at_once, 4, files, size, seconds=150)
    assert not wrong, "; ".join(wrong)
    part.remount()
    part.call(writers.check, 4, files, size, seconds=120)


def test_stress_ng(guest: Guest, target: Target, part: Scratch) -> None:
    """stress-ng's stressors of filesystems, as far as claimed, run at once and find nothing wrong."""
    for limit, least in STRESS_NG_NEEDS.items():
        if limit == "directory_entries" and limit not in target.limits:
            continue  # how many there can be is measured by others
        reached = part.call(amounts.most, limit, least)
        if reached < least:
            pytest.skip(f"stress-ng needs more than this filesystem has: {limit} {reached}, of {least} at least")
    chosen = [name for needs, names in STRESSORS.items() if not needs or needs in target.capabilities for name in names]
    seconds = 2 if target.quick else 6
    has_room = "sparse-files" in target.capabilities or target.device_kind != "block" or part.size >= FILLED
    for names, time in ((chosen, seconds), *([(FILLS, 1)] if has_room else [])):
        each = " ".join(f"--{name} 1" for name in names)
        command = (
            f"stress-ng {each} {bounds(part.size)} --timeout {time}s --verify --temp-path {part.point} --metrics-brief"
        )
        done = guest.run(command, seconds=time * 6 + 60)
        # 3 and 4: a stressor lacked something that it needs, such as file space or a system call.
        assert done.code in (0, 3, 4), f"stress-ng ended with {done.code}: {wrong_lines(done.stderr + done.stdout)}"
    part.remount()
    guest.ok(f"ls -lR {part.point} >/dev/null")


def bounds(size: int) -> str:
    """Options by which the stressors leave room on a filesystem of so many bytes; each takes 1 MiB at least."""
    room = max(1 << 20, size // 32)
    return f"--hdd-bytes {room} --iomix-bytes {room} --sync-file-bytes {room} --dirdeep-inodes 1000"


def wrong_lines(output: str) -> str:
    """The lines in which stress-ng says what failed."""
    lines = [line for line in output.splitlines() if "fail" in line and "failed: 0" not in line]
    return " / ".join(lines[:5]) or output[-500:]
