"""What a check may need of a target beyond what a target claims: the words of the mark `needs`, see pytest.ini.

The checks go by it, and so does what tells without a guest which of them a target has skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Value = Callable[[str], Any]
"""Gives the value of a variable of the lab's contract, by its name without the prefix."""

# Of each thing that a check can need: whether a target lacks it, and why, with the name of the target.
NEEDS: dict[str, tuple[Callable[[Value], bool], str]] = {
    "device": (lambda value: value("device_kind") != "block", "target {} is mounted without a device"),
    "directory": (lambda value: value("device_kind") != "directory", "target {} is not mounted over a directory"),
    "lasting": (
        lambda value: value("device_kind") == "none", "each mount of target {} is a filesystem of its own, and empty",
    ),
    "module": (
        lambda value: value("module_source") == "kernel",
        "the module of target {} comes with the kernel: it is neither built nor unloaded here",
    ),
    "loadable": (lambda value: not value("module_name"), "target {} is no module, but a part of the kernel"),
    "daemon": (lambda value: not value("daemon_command"), "target {} has no program that runs meanwhile"),
    "content": (
        lambda value: not value("content_directory"),
        "target {} has an empty filesystem made (vexlab_content_directory)",
    ),
    "fsck": (lambda value: not value("fsck_command"), "target {} has no fsck (vexlab_fsck_command)"),
    "slab-debugging": (
        lambda value: value("debug") != "slab",
        "the kernel under target {} is not asked to look at each object of a slab (--debug slab)",
    ),
    "other-than-ext4": (
        lambda value: bool({value("filesystem_type"), value("blkid_type")} & {"ext2", "ext3", "ext4"}),
        "what mke2fs makes is a filesystem of its own to target {}",
    ),
}  # fmt: skip


def lacks(what: str, value: Value) -> str:
    """Why a target lacks what a check needs; empty when it doesn't."""
    lacking, reason = NEEDS[what]
    return reason.format(value("target_name")) if lacking(value) else ""
