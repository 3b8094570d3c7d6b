"""A kernel that is asked to look harder at its memory: whether it does, and a look at all that it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vexlab.guest.inside.system import read

CACHES = Path("/sys/kernel/slab")
FLAGS = ("sanity_checks", "red_zone", "poison", "store_user")  # F, Z, P and U of slub_debug
OPTIONS = ("PAGE_POISONING", "KFENCE")
KFENCE = Path("/sys/module/kfence/parameters/sample_interval")


def look_at_all() -> None:
    """Have the kernel look at every object of every slab cache, in use or free; what is wrong is in its log."""
    for cache in _caches():
        (cache / "validate").write_text("1\n")


def _caches() -> Iterator[Path]:
    """Yield the directory of each cache; a link is another name of one."""
    for cache in sorted(CACHES.iterdir()):
        if not cache.is_symlink() and (cache / "validate").exists():
            yield cache


def asked() -> dict[str, Any]:
    """What the kernel was asked for when it booted, and what it does: of slabs, of pages, of KFENCE.

    None for an interval when it has no KFENCE.
    """
    config = read(f"/lib/modules/{os.uname().release}/build/.config")
    return {
        "arguments": read("/proc/cmdline").split(),
        "flags": {flag: (CACHES / "kmalloc-64" / flag).read_text().strip() == "1" for flag in FLAGS},
        "options": {name: re.search(rf"^CONFIG_{name}=y$", config, re.MULTILINE) is not None for name in OPTIONS},
        "interval": int(KFENCE.read_text()) if KFENCE.exists() else None,
    }
