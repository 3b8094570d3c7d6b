"""The loaded module is of the variant that was asked for, by what it says of itself."""

from __future__ import annotations

import shlex

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted


def test_sysfs_file(guest: Guest, target: Target, sysfs_file: tuple[str, str]) -> None:
    """The loaded module says of which variant it is: what is in its file need not be what is used."""
    name, expected = sysfs_file
    shown = guest.ok(f"cat {shlex.quote(f'/sys/module/{target.module_name}/{name}')}")
    assert shown == expected.strip(), f"the module was built as {target.variant}, but its {name} reads {quoted(shown)}"
