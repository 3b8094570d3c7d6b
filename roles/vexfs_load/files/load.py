#!/usr/bin/env python3
"""Inserts a module, if it is the one that was looked at; standard library only.

Usage: load.py MODULE_FILE SHA256 [PARAMETER…]

The file is read once. What was read is hashed, and inserted from a copy in a directory that nobody else can enter, so
that what is loaded is what was hashed, whoever writes to the file meanwhile.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Insert it; on standard error why not. Returns the exit code."""
    file, sha256, parameters = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        print(
            f"{file} changed after it was looked at: its sha256 was {sha256} and is {found} now. Nothing is loaded; "
            "see who writes to it, and begin again.",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory(prefix="vexfs_load-") as private:
        copy = Path(private) / file.name
        copy.write_bytes(data)
        done = subprocess.run(["insmod", str(copy), *parameters], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = done.stderr.replace(str(copy), str(file)).strip()
        print(f"`{' '.join(['insmod', str(file), *parameters])}` failed: {said}", file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
