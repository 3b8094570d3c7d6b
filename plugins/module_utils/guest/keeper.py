"""The process beside QEMU that keeps its logs from filling the disk; see console.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of

from . import console


def start(process: int, paths: list[Path], environment: dict[str, str]) -> None:
    """Start it for a process, with which it ends; it outlives us."""
    descriptor = os.pidfd_open(process)
    try:
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", text_of(console), str(descriptor), *map(str, paths)],
            pass_fds=(descriptor,), env=environment, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        os.close(descriptor)
