"""Loaded and unloaded, mounted and unmounted, again and again: what is leaked each time adds up."""

from __future__ import annotations

import accounting
import pytest
from guest import Guest, Lab, contract
from scratch import Scratch

# Arguments: cycles, what loads, what unloads, name, filesystem type.
LOAD = """
import sys
cycles, insmod, rmmod, module, kind = int(sys.argv[1]), *sys.argv[2:]
def registered():
    return kind in [line.split()[-1] for line in open("/proc/filesystems")]
for cycle in range(1, cycles + 1):
    subprocess.run(["sh", "-euc", insmod], check=True)
    if not registered() or references(module):
        sys.exit(f"cycle {cycle}: registered: {registered()}, use count: {references(module)}")
    subprocess.run(["sh", "-euc", rmmod], check=True)
    if registered() or os.path.exists("/sys/module/" + module):
        sys.exit(f"cycle {cycle}: unloaded, and still there")
"""

# Arguments: cycles, device, mount point, type, module, options to alternate between, whether what is written stays.
MOUNT = """
import sys
cycles, device, point, kind, module = int(sys.argv[1]), *sys.argv[2:6]
options, keeps = json.loads(sys.argv[6]), sys.argv[7] == "True"
before, wrote = references(module), None
for cycle in range(1, cycles + 1):
    chosen = options[cycle % len(options)]
    if (came := outcome(mount, device, point, kind, chosen)) != "done":
        sys.exit(f"cycle {cycle}: mount with {chosen}: {came}")
    if keeps and wrote and open(point + "/cycle").read() != wrote:
        sys.exit(f"cycle {cycle}: what the last writable mount wrote is gone")
    if "ro" not in chosen.split(","):
        wrote = f"{cycle}" * 1000
        open(point + "/cycle", "w").write(wrote)
    if (left := outcome(umount, point)) != "done":
        sys.exit(f"cycle {cycle}: unmount: {left}")
    if references(module) != before:
        sys.exit(f"cycle {cycle}: the use count went from {before} to {references(module)}")
"""

# Arguments: cycles, mount point, type, options of a read-only mount, of a writable one.
REMOUNT = """
import sys
cycles, point, kind, ro, rw = int(sys.argv[1]), *sys.argv[2:]
for cycle in range(1, cycles + 1):
    open(point + "/cycle", "w").write(str(cycle))
    if (came := outcome(mount, "none", point, kind, f"remount,{ro}")) != "done":
        sys.exit(f"cycle {cycle}: remount with {ro}: {came}")
    try:
        open(point + "/cycle", "w")
        sys.exit(f"cycle {cycle}: a file could be opened for writing after a remount with {ro}")
    except OSError as problem:
        if problem.errno != errno.EROFS:
            sys.exit(f"cycle {cycle}: {problem}")
    if open(point + "/cycle").read() != str(cycle):
        sys.exit(f"cycle {cycle}: the content is gone")
    if (came := outcome(mount, "none", point, kind, f"remount,{rw}")) != "done":
        sys.exit(f"cycle {cycle}: remount with {rw}: {came}")
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """How often it is done is part of the check's name: results and reports tell what was seen to go well."""
    lab = contract(metafunc.config)
    amounts = {"loads": lab.load_cycles, "mounts": lab.mount_cycles, "remounts": max(1, lab.mount_cycles // 5)}
    for name in set(amounts) & set(metafunc.fixturenames):
        metafunc.parametrize(name, [pytest.param(amounts[name], id=f"{amounts[name]} times")])


def halves(cycles: int) -> tuple[int, int]:
    """A number of cycles as two, of which the first may be 0."""
    return cycles // 2, cycles - cycles // 2


def test_module_is_loaded_and_unloaded(guest: Guest, lab: Lab, part: Scratch, loads: int) -> None:
    """After each time the type is gone, after all of them no slab cache has grown."""
    part.unmount()
    guest.ok(f"rmmod {lab.module_name}")
    looks = [accounting.look(guest, lab)]
    for cycles in halves(loads):
        arguments = (lab.insmod_command, f"rmmod {lab.module_name}", lab.module_name, lab.filesystem_type)
        guest.program(LOAD, str(cycles), *arguments, seconds=30 + 10 * cycles)
        looks.append(accounting.look(guest, lab))
    guest.ok(lab.insmod_command)
    grown = accounting.growth(looks, loads)
    assert not grown, "; ".join(grown)
    part.mount()  # what was formatted before still is a filesystem to the module that was loaded last


def test_filesystem_is_mounted_and_unmounted(guest: Guest, lab: Lab, part: Scratch, mounts: int) -> None:
    """Read-only and writable by turns; no slab cache has grown after them."""
    part.unmount()
    options = f'["{lab.mount_options_ro}", "{lab.mount_options()}"]'
    keeps = str("persistent" in lab.capabilities)
    looks = [accounting.look(guest, lab)]
    for cycles in halves(mounts):
        arguments = (part.device, part.point, lab.filesystem_type, lab.module_name, options, keeps)
        guest.program(MOUNT, str(cycles), *arguments, seconds=30 + 5 * cycles)
        looks.append(accounting.look(guest, lab))
    grown = accounting.growth(looks, mounts)
    assert not grown, "; ".join(grown)


@pytest.mark.requires("read-write", "remount")
def test_filesystem_is_remounted(guest: Guest, lab: Lab, part: Scratch, remounts: int) -> None:
    """Read-only and back; what is written in between is kept."""
    arguments = (part.point, lab.filesystem_type, lab.mount_options_ro, lab.mount_options_rw)
    guest.program(REMOUNT, str(remounts), *arguments, seconds=30 + 5 * remounts)
    part.remount()
    assert guest.ok(f"cat {part.point}/cycle") == str(remounts)
