"""Damage behind the superblock, each kind made by a command of the target file."""

from __future__ import annotations

import pytest

from vexlab.guest.testing.corruptible import Corruptible, Outcome
from vexlab.guest.testing.target import Target, target_of

pytestmark = pytest.mark.needs("device")

DEMANDS = {
    "refused": Outcome.must_be_refused,
    "noticed": Outcome.must_be_noticed,
    "harmless": Outcome.must_be_safe,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One check for each kind of damage; one that says so where the target knows none."""
    if "damage" in metafunc.fixturenames:
        known: dict[str, list[str]] = target_of(metafunc.config).damages
        cases = [pytest.param((name, expected), id=name) for expected, names in known.items() for name in names]
        metafunc.parametrize("damage", cases or [pytest.param(None, id="none")])


def test_damage(target: Target, corruptible: Corruptible, damage: tuple[str, str] | None) -> None:
    """An errno at the mount or at the use of what is broken; never an oops, and always an unmount that succeeds."""
    if damage is None:
        pytest.skip(f"target {target.target_name} knows no damage (vexlab_damages)")
    name, expected = damage
    DEMANDS[expected](corruptible.trial(name, commands=[f"DAMAGE={name}; export DAMAGE; {target.damage_command}"]))
