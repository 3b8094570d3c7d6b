"""The guest's kernel looks as hard for mistakes as it was asked to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vexlab.guest.inside import slabs
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


@pytest.mark.needs("slab-debugging")
def test_kernel_looks_harder(guest: Guest, target: Target, advise: Callable[[str], None]) -> None:
    """The kernel that --debug asks for looks at each object; another one would pass what it is there to catch."""
    seen = guest.call(slabs.asked)
    wanted = target.debug_kinds[target.debug]["arguments"].split()
    missing = [word for word in wanted if word not in seen["arguments"]]
    assert not missing, f"the kernel was not booted with {' '.join(missing)}"
    off = [flag for flag, is_on in seen["flags"].items() if not is_on]
    assert not off, f"kmalloc-64, as every slab cache, is to have them, and lacks {', '.join(off)}"
    assert seen["options"]["PAGE_POISONING"], "the kernel was built without CONFIG_PAGE_POISONING"
    if not seen["options"]["KFENCE"]:
        advise("the kernel has no KFENCE, which came with 5.12: a read behind an object is not seen")
        return
    assert seen["interval"], f"KFENCE looks every {seen['interval']} ms, which is never"
