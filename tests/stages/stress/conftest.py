"""What each part of the stage begins and ends with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from vexlab.guest.inside import modules, system
from vexlab.guest.inside import part as inside_part
from vexlab.guest.testing import accounting, kernel_log
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


@pytest.fixture(scope="session")
def seed(target: Target, evidence: Path) -> int:
    """The seed of all that is random: the one that was asked for, or a new one, which is kept as evidence."""
    chosen = int(target.seed) or secrets.randbelow(1 << 31) + 1
    (evidence / "seed").write_text(f"{chosen}\n")
    return chosen


@pytest.fixture(scope="module")
def unloaded(guest: Guest, target: Target, lab_down: None) -> list[accounting.Holdings]:
    """What the kernel held each time when nothing was mounted, nor the target's own module loaded; in that order."""
    if not target.lacks("module"):
        guest.call(system.unload, target.module_name)
    return [accounting.look(guest, target)]


@pytest.fixture
def part(guest: Guest, target: Target, unloaded: list[accounting.Holdings]) -> Iterator[Scratch]:
    """A fresh filesystem, mounted, and the module loaded for this part alone.

    Afterwards all that the part made is taken down, and then the kernel must be as it was: the module's use count is 0,
    it unloads, and nothing is left of it, of its memory and of its loop device, nor a complaint in the kernel's log.
    """
    guest.new_kernel_warnings()
    scratch = Scratch(guest, target, "stress")
    mkfs = "" if target.lacks("device") else target.in_build(target.mkfs_command, {"LABEL": "vexlab"})
    own = not target.lacks("module")
    before = 0 if own else guest.call(system.references, target.module_name)
    try:
        if own:
            guest.call(modules.load_unless_there, target.module_path, target.module_parameters, target.filesystem_type)
        scratch.device = scratch.call(inside_part.begin, scratch.size, mkfs, seconds=120)
        yield scratch
    finally:
        uses = scratch.call(inside_part.end, target.module_name, own)
    assert uses == before, f"nothing of the part is mounted, and the module's use count went from {before} to {uses}"
    after, left = accounting.settled(partial(accounting.look, guest, target), unloaded[-1])
    unloaded.append(after)
    assert not left, f"after the module was unloaded: {'; '.join(left)}"
    said = kernel_log.complaints(guest.new_kernel_warnings())
    assert not said, f"the kernel complained: {' / '.join(said[:5])}"
