"""Mounts that are refused, again and again: what the way out forgets to give back adds up."""

from __future__ import annotations

from functools import partial

import pytest

from vexlab.guest.inside import cycles as inside_cycles
from vexlab.guest.inside import mount_options
from vexlab.guest.testing import accounting
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target, target_of

# What is done to the device, which then must be refused whatever the filesystem.
BREAK = {
    "zeros": "blkdiscard --zeroout {device}",
    "half of the device": "truncate -s {half} {image}; losetup --set-capacity {device}",
}

HALVE_MAPPING = (
    "table=$(dmsetup table {device} | cut -d ' ' -f 3-); dmsetup suspend {device}; "
    'dmsetup load {device} --table "0 {sectors} $table"; dmsetup resume {device}'
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """How often it is done is part of the check's name; to be refused takes no time."""
    amount = 4 * target_of(metafunc.config).mount_cycles
    metafunc.parametrize("mounts", [pytest.param(amount, id=f"{amount} times")])


def test_context_is_never_mounted(guest: Guest, target: Target, part: Scratch, mounts: int) -> None:
    """Closed at once, after its source was set, after a wrong option, ready to be mounted; no slab cache has grown."""
    part.unmount()

    def turn(cycles: int) -> None:
        part.call(mount_options.dropped, cycles, target.module_name, seconds=30 + cycles)

    grown = accounting.grown(partial(accounting.look, guest, target), mounts, turn)
    guest.new_kernel_warnings()  # whoever refuses an option says which
    assert not grown, "; ".join(grown)


@pytest.mark.needs("device")
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(name, marks=[pytest.mark.requires("device-size-checked")] * name.startswith("half"))
        for name in BREAK
    ],
)
def test_mount_is_refused(guest: Guest, target: Target, part: Scratch, broken: str, mounts: int) -> None:
    """Read-only and writable by turns; the use count stays, and no slab cache has grown after them."""
    part.unmount()
    broken_by = HALVE_MAPPING if part.on_device and "half" in broken else BREAK[broken]
    guest.ok(broken_by.format(device=part.device, image=part.image, half=part.size // 2, sectors=part.size // 1024))
    options = [target.mount_options_ro, target.mount_options()]

    def turn(cycles: int) -> None:
        part.call(inside_cycles.refused, cycles, target.module_name, options, seconds=30 + cycles)

    grown = accounting.grown(partial(accounting.look, guest, target), mounts, turn)
    guest.excuse_damage()
    guest.new_kernel_warnings()  # each refusal says why, as it should; that is no complaint of the part
    assert not grown, "; ".join(grown)
