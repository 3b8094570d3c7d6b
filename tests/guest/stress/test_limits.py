"""Full, crowded, deep: what a filesystem meets when somebody uses it up."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

# Arguments: mount point, seconds until freed space must be back, how often. Prints free bytes: before, full, after.
FILL = """
import sys, time
point, patience, rounds = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
os.chdir(point)
block = os.urandom(1 << 16) * 16
def free():
    syncfs()
    seen = os.statvfs(".")
    return seen.f_bfree * seen.f_frsize
def fill(number):
    written = 0
    with open(f"full-{number}", "wb", buffering=0) as file:
        try:
            while True:
                written += file.write(block)
                if written % (8 << 20) == 0:
                    os.fsync(file.fileno())
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
        os.fsync(file.fileno())
        return written
for turn in range(rounds):
    before, sizes = free(), []
    while not sizes or sizes[-1] > 0:
        sizes.append(fill(len(sizes)))
    full = free()
    for number, size in enumerate(sizes):
        with open(f"full-{number}", "rb") as file:
            place = 0
            while data := file.read(len(block)):
                if data != block[: len(data)]:
                    sys.exit(f"round {turn}: the full filesystem lost data of full-{number} near {place}")
                place += len(data)
        if place != size:
            sys.exit(f"round {turn}: full-{number} has {place} bytes, {size} were written")
        os.unlink(f"full-{number}")
    deadline = time.monotonic() + patience
    while (after := free()) < before - (1 << 20) and time.monotonic() < deadline:
        time.sleep(0.2)
    print(before, full, after)
"""

# Arguments: mount point, how many. `make` them, or `check` and remove them.
SMALL = """
import os, sys
what, point, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.chdir(point)
if what == "make":
    for number in range(count):
        with open(f"file-{number}", "w") as file:
            file.write(str(number) * (number % 50))
else:
    names = [name for name in os.listdir(".") if name.startswith("file-")]
    if len(names) != count or len(set(names)) != count:
        sys.exit(f"{len(names)} names are listed, {len(set(names))} different ones, {count} were made")
    for number in range(count):
        with open(f"file-{number}") as file:
            if file.read() != str(number) * (number % 50):
                sys.exit(f"file-{number} has other content")
        os.unlink(f"file-{number}")
    if left := set(os.listdir(".")) - {"lost+found"}:
        sys.exit(f"{len(left)} names are still there")
"""

# Arguments: mount point, depth. As deep as that, by relative names, which are never too long.
DEEP = """
import os, sys
what, point, depth = sys.argv[1], sys.argv[2], int(sys.argv[3])
down = "down" * 15
os.chdir(point)
for level in range(depth):
    if what == "make":
        os.mkdir(down)
    os.chdir(down)
    if what == "make":
        open("level", "w").write(str(level))
    elif open("level").read() != str(level):
        sys.exit(f"level {level} has other content")
if what == "check":
    for level in range(depth - 1, -1, -1):
        os.unlink("level")
        os.chdir("..")
        os.rmdir(down)
    if os.stat(".").st_ino != os.stat(point).st_ino:
        sys.exit("the way back up ends elsewhere")
"""


@pytest.mark.requires("statfs")
def test_full_and_empty_again(guest: Guest, lab: Lab, part: Scratch) -> None:
    """ENOSPC and no other error, all that was written is there, and all the space comes back, each time."""
    rounds = 1 if lab.quick else 2
    lines = guest.program(FILL, part.point, "30", str(rounds), seconds=400).splitlines()
    assert len(lines) == rounds
    for line in lines:
        before, full, after = map(int, line.split())
        assert full < before // 10, f"ENOSPC with {full} of {before} bytes free"
        assert after >= before - (1 << 20), f"{before - after} bytes were not given back"
    part.remount()
    guest.ok(f"cd {part.point}; echo still works >file; sync -f .; rm file")


def test_many_small_files(guest: Guest, lab: Lab, part: Scratch) -> None:
    """In one directory; each is listed once and holds its own content after a remount, and all can be removed."""
    count = "250" if lab.quick else "1000"
    guest.program(SMALL, "make", part.point, count, seconds=180)
    part.remount()
    guest.program(SMALL, "check", part.point, count, seconds=180)


@pytest.mark.requires("directories")
def test_deep_tree(guest: Guest, lab: Lab, part: Scratch) -> None:
    """Deeper than a path can name at once."""
    depth = "80" if lab.quick else "200"
    guest.program(DEEP, "make", part.point, depth, seconds=180)
    part.remount()
    guest.program(DEEP, "check", part.point, depth, seconds=180)
