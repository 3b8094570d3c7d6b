#!/usr/bin/env python3
"""Prints, as one JSON object, what role vexfs_mount decides by. Reads only; standard library only.

Usage: look.py MOUNT_POINT TYPE DEVICE
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def mounted_type(point: str) -> str:
    """The type of what is mounted at a place, of several the uppermost; empty when nothing is."""
    command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--mountpoint", point]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: nothing is mounted there
        done.check_returncode()
    return done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    """Print what is found."""
    point, kind, device = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    there = mounted_type(point)
    registered = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    found = {
        "mounted": there == kind,
        "other": "" if there == kind else there, "device_there": device.exists(), "regular": device.is_file(),
        "registered": kind in registered,
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
