"""Files made, written, moved and removed, by one program, by tools that verify, and by several programs at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guest import Guest, Lab, contract
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

PROGRAM = Path(__file__).parents[1] / "churn.py"

# What of stress-ng's class `filesystem` is about files and can be asked of any filesystem that claims the capability.
# Left out: what needs more of a filesystem than a target can claim (acl, fallocate, xattr and the like), what tests
# the VFS alone (dup, locks, leases; flock also has the kernel log a warning of its own), what makes no files, and
# fsize, which fails by itself when its time ends while it emulates fallocate.
STRESSORS = {
    "": ["access", "copy-file", "fstat", "hdd", "iomix", "metamix", "open", "pseek", "touch", "unlink"],
    "directories": ["chdir", "dentry", "dir", "dirdeep", "dirmany", "filename", "getdent", "inotify"],
    "rename": ["rename", "filerace"],
    "hard-links": ["link"],
    "symbolic-links": ["symlink"],
    "permissions": ["chmod", "chown", "umask"],
    "timestamps": ["utime"],
    "sync": ["sync-file"],
}  # fmt: skip

# Arguments: mount point, writers, files of each. Each writes files of its own, in a directory for all of them.
WRITERS = """
import os, random, sys
point, writers, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir(point)
def work(number):
    for turn in range(files):
        name = f"{number}-{turn}"
        with open(name, "wb") as file:
            for place in range(0, 65536, 8192):
                file.write(bytes([number]) * 8192)
        os.rename(name, name + "-done")
        if turn % 3 == 2:
            os.unlink(f"{number}-{turn - 1}-done")
        if turn % 5 == 4:
            os.sync()
children = []
for number in range(1, writers + 1):
    child = os.fork()
    if child == 0:
        try:
            work(number)
        except BaseException as problem:
            print(f"writer {number}: {problem}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""

VERIFY = """
import os, sys
point, writers, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
removed = {turn - 1 for turn in range(files) if turn % 3 == 2}
wanted = {f"{number}-{turn}-done" for number in range(1, writers + 1) for turn in range(files) if turn not in removed}
seen = set(os.listdir(point)) - {"lost+found"}
if seen != wanted:
    sys.exit(f"gone: {sorted(wanted - seen)[:3]}, too many: {sorted(seen - wanted)[:3]}")
for name in wanted:
    if open(f"{point}/{name}", "rb").read() != bytes([int(name.split("-")[0])]) * 65536:
        sys.exit(f"{name} does not hold what its writer wrote")
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """How many operations is part of the check's name: results and reports tell what was seen to go well."""
    if "operations" in metafunc.fixturenames:
        amount = contract(metafunc.config).churn_operations
        metafunc.parametrize("operations", [pytest.param(amount, id=str(amount))])


def test_random_operations(guest: Guest, lab: Lab, part: Scratch, seed: int, operations: int) -> None:
    """The tree is what the same operations make of a model in memory, after each of several remounts."""
    order = {
        "seed": seed, "operations": operations, "capabilities": lab.capabilities, "device": part.device,
        "point": part.point, "type": lab.filesystem_type, "options": lab.mount_options(),
    }  # fmt: skip
    seconds = 60 + operations // 10
    done = guest.run_program(PROGRAM.read_text(encoding="utf-8"), json.dumps(order), seconds=seconds)
    assert done.code == 0, f"{done.said or f'ended with {done.code}'} (vexlab test --seed {seed} repeats it)"


def test_fio_verifies_what_it_wrote(guest: Guest, lab: Lab, part: Scratch, seed: int) -> None:
    """Random writes of all sizes, each block with a checksum: read back at once, and again after a remount."""
    size = "1m" if lab.quick else "2m"
    job = (
        f"fio --name=churn --directory={part.point} --rw=randwrite --bsrange=512-64k --blockalign=512 --size={size} "
        f"--nrfiles=4 --ioengine=psync --fallocate=none --verify=crc32c --verify_fatal=1 --end_fsync=1 "
        f"--randseed={seed} --randrepeat=1 --output-format=terse"
    )
    guest.ok(f"cd /tmp; {job}", seconds=120)
    if "persistent" in lab.capabilities:
        part.remount()
        guest.ok(f"cd /tmp; {job} --verify_only", seconds=120)


def test_writers_at_once(guest: Guest, lab: Lab, part: Scratch) -> None:
    """Four programs make, rename and remove files in one directory; each file holds what its writer wrote."""
    arguments = (part.point, "4", "12" if lab.quick else "30")
    guest.program(WRITERS, *arguments, seconds=180)
    part.remount()
    guest.program(VERIFY, *arguments, seconds=120)


def test_stress_ng(guest: Guest, lab: Lab, part: Scratch) -> None:
    """Its filesystem stressors, as far as claimed, all at once and with verification."""
    chosen = [name for needs, names in STRESSORS.items() if not needs or needs in lab.capabilities for name in names]
    seconds = 2 if lab.quick else 6
    each = " ".join(f"--{name} 1" for name in chosen)
    command = f"stress-ng {each} --timeout {seconds}s --verify --temp-path {part.point} --metrics-brief"
    done = guest.run(command, seconds=seconds * 6 + 60)
    # 3 and 4: a stressor lacked something that it needs, such as file space or a system call.
    assert done.code in (0, 3, 4), f"stress-ng ended with {done.code}: {wrong_lines(done.stderr + done.stdout)}"
    part.remount()
    guest.ok(f"ls -lR {part.point} >/dev/null")


def wrong_lines(output: str) -> str:
    """The lines in which stress-ng says what failed."""
    lines = [line for line in output.splitlines() if "fail" in line and "failed: 0" not in line]
    return " / ".join(lines[:5]) or output[-500:]
