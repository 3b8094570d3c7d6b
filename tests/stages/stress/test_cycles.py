"""Loaded and unloaded, mounted and unmounted, again and again: what is leaked each time adds up."""

from __future__ import annotations

from functools import partial

import pytest

from vexlab.guest.inside import cycles as inside_cycles
from vexlab.guest.inside import system
from vexlab.guest.testing import accounting
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target, target_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """How often it is done is part of the check's name: results and reports tell what was seen to go well."""
    target = target_of(metafunc.config)
    amounts = {"loads": target.load_cycles, "mounts": target.mount_cycles, "remounts": max(1, target.mount_cycles // 5)}
    for name in set(amounts) & set(metafunc.fixturenames):
        metafunc.parametrize(name, [pytest.param(amounts[name], id=f"{amounts[name]} times")])


@pytest.mark.needs("module")
def test_module_is_loaded_and_unloaded(guest: Guest, target: Target, part: Scratch, loads: int) -> None:
    """The module goes and comes: the type is gone each time, and in the end no slab cache has grown."""
    part.unmount()
    guest.call(system.unload, target.module_name)
    module = (target.module_path, target.module_parameters, target.module_name)

    def turn(cycles: int) -> None:
        arguments = (cycles, *module, target.filesystem_type)
        guest.call(inside_cycles.load_and_unload, *arguments, seconds=30 + 10 * cycles)

    grown = accounting.grown(partial(accounting.look, guest, target), loads, turn)
    guest.call(system.load, target.module_path, target.module_parameters)
    assert not grown, "; ".join(grown)
    part.mount()  # what was formatted before still is a filesystem to the module that was loaded last


def test_filesystem_is_mounted_and_unmounted(guest: Guest, target: Target, part: Scratch, mounts: int) -> None:
    """No slab cache has grown after mounts, read-only and writable by turns."""
    part.unmount()
    options = [target.mount_options_ro, target.mount_options()]
    keeps = "persistent" in target.capabilities

    def turn(cycles: int) -> None:
        arguments = (cycles, target.module_name, options, keeps)
        part.call(inside_cycles.mount_and_unmount, *arguments, seconds=30 + 5 * cycles)

    grown = accounting.grown(partial(accounting.look, guest, target), mounts, turn)
    assert not grown, "; ".join(grown)


@pytest.mark.requires("read-write", "remount")
def test_filesystem_is_remounted(guest: Guest, target: Target, part: Scratch, remounts: int) -> None:
    """What is written between remounts, to read-only and back, is kept."""
    arguments = (remounts, target.mount_options_ro, target.mount_options_rw)
    part.call(inside_cycles.remount, *arguments, seconds=30 + 5 * remounts)
    part.remount()
    content = guest.ok(f"cat {part.point}/cycle")
    assert content == str(remounts), f"remounted {remounts} times with a write each, the file reads {content}"
