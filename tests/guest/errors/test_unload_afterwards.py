"""The last checks of the stage: after all that was refused and survived, the module is as good as before."""

from __future__ import annotations

import pytest
from corruptible import Corruptible
from guest import Guest, Lab
from reload import module_reloads


def test_what_is_whole_still_mounts(corruptible: Corruptible) -> None:
    """And can be read, written and unmounted."""
    corruptible.is_whole()


@pytest.mark.needs("module")
def test_module_unloads_loads_and_mounts(
    guest: Guest, lab: Lab, corruptible: Corruptible, lab_taken_down: None
) -> None:
    """One reference, inode or slab object that an error path kept would show here, by name in the kernel's log."""
    module_reloads(guest, lab)
    corruptible.is_whole()
