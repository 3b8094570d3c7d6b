"""The loaded module is of the variant that was asked for, by what it says of itself."""

from __future__ import annotations

import shlex

from guest import Guest, Lab
from words import quoted


def test_sysfs_file(guest: Guest, lab: Lab, sysfs_file: tuple[str, str]) -> None:
    """What is in the module file need not be what is used; the implementation that runs is asked itself."""
    name, expected = sysfs_file
    shown = guest.ok(f"cat {shlex.quote(f'/sys/module/{lab.module_name}/{name}')}")
    assert shown == expected.strip(), f"the module was built as {lab.variant}, but its {name} reads {quoted(shown)}"
