#!/usr/bin/env python3
"""Prints, as one JSON object, what role vexfs_load decides by. Reads only; standard library only.

Usage: look.py MODULE_NAME MODULE_FILE FILESYSTEM_TYPE
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

FIELDS = {"vermagic": "vermagic", "name": "file_name", "srcversion": "srcversion"}
BUILD_ID = ".note.gnu.build-id"


def sections(module: bytes) -> dict[str, bytes]:
    """The sections of a module by name; raises ValueError for what is no 64-bit ELF file, or a damaged one."""
    if module[:5] != b"\x7fELF\x02" or module[5:6] not in (b"\x01", b"\x02"):
        raise ValueError("it is no 64-bit ELF file")
    order = "<" if module[5] == 1 else ">"
    try:
        (start,) = struct.unpack_from(f"{order}Q", module, 40)
        size, count, names = struct.unpack_from(f"{order}HHH", module, 58)
        # of each: where its name is, then where it is and how long
        table = [struct.unpack_from(f"{order}I20xQQ", module, start + index * size) for index in range(count)]
        _, names_at, names_length = table[names]
    except (struct.error, IndexError, OverflowError) as error:
        raise ValueError("its table of sections is damaged") from error
    texts = module[names_at : names_at + names_length]
    return {
        texts[name:].partition(b"\0")[0].decode(errors="replace"): module[at : at + length]
        for name, at, length in table
    }


def of_file(file: Path, name: str) -> dict[str, Any]:
    """Hash and words of a module file, and whether the kernel has it loaded under that name: all of the same bytes.

    Of a word that is there twice the first counts, as for the kernel.
    """
    found: dict[str, Any] = dict.fromkeys((*FIELDS.values(), "sha256"), "") | {"file_there": False, "same": False}
    if not file.is_file():
        return found
    module = file.read_bytes()
    parts = sections(module)
    for entry in reversed(parts.get(".modinfo", b"").decode(errors="replace").split("\0")):
        word, _, value = entry.partition("=")
        if word in FIELDS:
            found[FIELDS[word]] = value
    # The bytes of the note are the identity: a srcversion is the same for two builds of one source.
    note = Path("/sys/module") / name / "notes" / BUILD_ID
    same = note.is_file() and note.read_bytes() == parts.get(BUILD_ID)
    return found | {"file_there": True, "sha256": hashlib.sha256(module).hexdigest(), "same": same}


def of_kernel(name: str) -> dict[str, Any]:
    """Whether a module of that name is loaded, and who keeps it."""
    loaded = Path("/sys/module") / name
    if not name or not loaded.is_dir():
        return {"loaded": False, "permanent": False, "users": 0}
    lines = Path("/proc/modules").read_text().splitlines()
    permanent = any(line.startswith(f"{name} ") and "[permanent]" in line for line in lines)
    return {"loaded": True, "permanent": permanent, "users": int((loaded / "refcnt").read_text())}


def main() -> None:
    """Print what is found."""
    name, file = sys.argv[1], Path(sys.argv[2])
    types = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    host = {"release": os.uname().release, "registered": sys.argv[3] in types}
    try:
        print(json.dumps(host | of_file(file, name) | of_kernel(name)))
    except (ValueError, OSError) as error:
        sys.exit(f"{file} can't be looked at as a module: {error}")


if __name__ == "__main__":
    main()
