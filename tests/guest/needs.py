"""What a check may need of a target beyond what a target claims: the words of the mark `needs`, see pytest.ini.

The standard library only: vexlab reads this as well, to tell without a guest which checks a target has skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def lacks(what: str, value: Callable[[str], Any]) -> str:
    """Why a target lacks what a check needs; empty when it doesn't.

    `value` gives the value of a variable of the lab's contract, by its name without the prefix.
    """
    target = value("target_name")
    if what == "device" and value("device_kind") != "block":
        held = "without a device" if value("device_kind") == "none" else "over a directory"
        return f"target {target} is mounted {held}"
    if what == "other-than-ext4" and {value("filesystem_type"), value("blkid_type")} & {"ext2", "ext3", "ext4"}:
        return f"what mke2fs makes is a filesystem of its own to target {target}"
    if what == "module" and value("module_source") == "kernel":
        return f"the module of target {target} comes with the kernel: it is neither built nor unloaded here"
    if what == "loadable" and not value("module_name"):
        return f"target {target} is no module, but a part of the kernel"
    if what == "fsck" and not value("fsck_command"):
        return f"target {target} has no fsck (vexlab_fsck_command)"
    return ""
