"""The last checks of the stage: after all that was refused and survived, the module is as good as before."""

from __future__ import annotations

import pytest

from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.reload import module_reloads
from vexlab.guest.testing.target import Target


def test_what_is_whole_still_mounts(corruptible: Corruptible) -> None:
    """A filesystem that wasn't damaged mounts, and can be read, written and unmounted."""
    corruptible.is_whole()


@pytest.mark.needs("module")
def test_module_unloads_loads_and_mounts(
    guest: Guest, target: Target, corruptible: Corruptible, lab_taken_down: None
) -> None:
    """One reference, inode or slab object that an error path kept would show here, by name in the kernel's log."""
    module_reloads(guest, target)
    corruptible.is_whole()
