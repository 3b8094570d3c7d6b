"""Keeps what a guest can make QEMU write from filling the disk. It runs beside QEMU, and ends with it.

Usage: console.py PIDFD FILE...

Of each file the first and the last bytes stay; what is between them becomes a hole. The file keeps its size, so that
whoever reads it from an offset goes on. Standard library only, and nothing of this package: keeper.py has it run from
its text.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from pathlib import Path

BEGIN = 8 << 20  # bytes that stay of each end
END = 8 << 20
SLACK = 16 << 20  # beyond that much more, the middle is cut
SECONDS = 1.0  # between two looks; an emulated serial line brings some MB in that time
BLOCK = 4096


def cut(path: Path) -> None:
    """Make a hole of the middle of a file, if the file takes too much room."""
    found = path.stat()
    if found.st_blocks * 512 <= BEGIN + END + SLACK:
        return
    length = (found.st_size - END) // BLOCK * BLOCK - BEGIN
    place = ["--offset", str(BEGIN), "--length", str(length)]
    subprocess.run(["fallocate", "--punch-hole", *place, str(path)], capture_output=True, check=False)


def keep(process: int, paths: list[Path]) -> None:
    """Look at the files until the process behind a pidfd has ended."""
    while not select.select([process], [], [], SECONDS)[0]:
        for path in paths:
            with contextlib.suppress(OSError):
                cut(path)


if __name__ == "__main__":
    keep(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
