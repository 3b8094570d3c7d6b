"""Loaded and unloaded, mounted and unmounted, again and again: what is leaked each time adds up."""

from __future__ import annotations

from functools import partial

import accounting
import pytest
from guest import Guest, Lab, contract
from scratch import Scratch

# Arguments: cycles, module, its parameters, name, filesystem type.
LOAD = """
import sys
cycles, path, parameters, module, kind = arguments
for cycle in range(1, cycles + 1):
    load(path, parameters)
    if not registered(kind) or references(module):
        sys.exit(f"cycle {cycle}: registered: {registered(kind)}, use count: {references(module)}")
    unload(module)
    if registered(kind) or os.path.exists("/sys/module/" + module):
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


def test_module_is_loaded_and_unloaded(guest: Guest, lab: Lab, part: Scratch, loads: int) -> None:
    """After each time the type is gone, after all of them no slab cache has grown."""
    part.unmount()
    guest.python("unload(arguments[0])", lab.module_name)
    module = (lab.module_path, lab.module_parameters, lab.module_name)

    def turn(cycles: int) -> None:
        guest.python(LOAD, cycles, *module, lab.filesystem_type, seconds=30 + 10 * cycles)

    grown = accounting.grown(partial(accounting.look, guest, lab), loads, turn)
    guest.python("load(*arguments)", lab.module_path, lab.module_parameters)
    assert not grown, "; ".join(grown)
    part.mount()  # what was formatted before still is a filesystem to the module that was loaded last


def test_filesystem_is_mounted_and_unmounted(guest: Guest, lab: Lab, part: Scratch, mounts: int) -> None:
    """Read-only and writable by turns; no slab cache has grown after them."""
    part.unmount()
    options = f'["{lab.mount_options_ro}", "{lab.mount_options()}"]'
    arguments = (part.device, part.point, lab.filesystem_type, lab.module_name, options)

    def turn(cycles: int) -> None:
        keeps = str("persistent" in lab.capabilities)
        guest.program(MOUNT, str(cycles), *arguments, keeps, seconds=30 + 5 * cycles)

    grown = accounting.grown(partial(accounting.look, guest, lab), mounts, turn)
    assert not grown, "; ".join(grown)


@pytest.mark.requires("read-write", "remount")
def test_filesystem_is_remounted(guest: Guest, lab: Lab, part: Scratch, remounts: int) -> None:
    """Read-only and back; what is written in between is kept."""
    arguments = (part.point, lab.filesystem_type, lab.mount_options_ro, lab.mount_options_rw)
    guest.program(REMOUNT, str(remounts), *arguments, seconds=30 + 5 * remounts)
    part.remount()
    assert guest.ok(f"cat {part.point}/cycle") == str(remounts)
