#!/usr/bin/env python3
"""Prints, as one JSON object, what role vexfs_load decides by. Reads only; standard library only.

Usage: look.py MODULE_NAME MODULE_FILE FILESYSTEM_TYPE [JSON]

JSON has the `modules` that are loaded before it, in order, each with its `name` and, as wanted, `parameters` and a
`file`, which is relative to `directory`; one without a file is the kernel's own. `read`: whether to read the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

FIELDS = {"vermagic": "vermagic", "name": "file_name", "srcversion": "srcversion", "depends": "depends"}
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


def look(name: str, file: Path) -> dict[str, Any]:
    """Both of these, and by its name; a file that can't be read as a module ends the program with a sentence."""
    try:
        return {"name": name} | of_file(file, name) | of_kernel(name)
    except (ValueError, OSError) as error:
        sys.exit(f"{file} can't be looked at as a module: {error}")


def of_the_kernel(release: str) -> set[str]:
    """Names of the modules that come with a kernel, or that are loaded, with underscores."""
    lists = [Path("/lib/modules") / release / name for name in ("modules.dep", "modules.builtin")]
    lines = [line for path in lists if path.is_file() for line in path.read_text().splitlines()]
    files = {Path(line.partition(":")[0]).name.partition(".")[0] for line in lines}
    return {name.replace("-", "_") for name in files} | {path.name for path in Path("/sys/module").iterdir()}


def needs(module: dict[str, Any]) -> list[str]:
    """The modules that a module needs, as its file says."""
    return [name.replace("-", "_") for name in str(module["depends"]).split(",") if name]


def refusals(modules: Sequence[dict[str, Any]], known: Collection[str], release: str) -> list[str]:
    """Why these can't be loaded in this order, each in a sentence; `known` are names of the kernel's own modules."""
    order = {module["name"]: place for place, module in enumerate(modules)}
    own = {module["name"]: set(needs(module)) & set(order) for module in modules}
    found = [problem for module in modules if (problem := misfit(module, known, release))]
    for module in modules:
        name = module["name"]
        for needed in needs(module):
            if needed not in order:
                if needed not in known:
                    found.append(f"{name} needs module {needed}, which neither is among these modules nor the kernel's")
            elif name in below(needed, own):
                if order[name] <= order[needed]:
                    found.append(f"{name} and {needed} need each other, so neither can be loaded first")
            elif order[needed] > order[name]:
                found.append(f"{name} needs {needed}, which comes after it; put {needed} first")
    return found


def below(name: str, own: dict[str, set[str]]) -> set[str]:
    """The modules of ours that one needs, and those that these need, and so on."""
    found, todo = set[str](), list(own[name])
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += own[one]
    return found


def misfit(module: dict[str, Any], known: Collection[str], release: str) -> str:
    """What is wrong with one of the modules that come first; empty for the module itself, which the role looks at."""
    if not module.get("built", True):
        return "" if module["name"] in known else f"the kernel has no module {module['name']}"
    return built_misfit(module, release) if "built" in module else ""


def built_misfit(module: dict[str, Any], release: str) -> str:
    """What is wrong with one of them that was built."""
    name = module["name"]
    if not module["file_there"]:
        return f"there is no module file {module['file']}; role vexfs_build makes it"
    if module["file_name"] != name:
        return f"the module in {module['file']} is called {module['file_name']}, not {name}"
    if (built_for := (module["vermagic"].split() or ["(none)"])[0]) != release:
        return f"{module['file']} was built for kernel {built_for}, and {release} runs; build it for the running kernel"
    if module["loaded"] and not module["same"]:
        return f"another build of {name} is loaded ({module['users']} users); unload all first"
    return ""


def before(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The modules that are loaded before the module, each with what is known of it."""
    found = []
    for one in told["modules"]:
        file = f"{told['directory']}/{one['file']}" if one.get("file") else ""
        known = look(one["name"], Path(file if told["read"] else ""))
        found.append(known | {"built": bool(file), "file": file, "parameters": one.get("parameters", "")})
    return found


def main() -> None:
    """Print what is found."""
    types = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    release = os.uname().release
    own = look(sys.argv[1], Path(sys.argv[2]))
    first = before(json.loads(sys.argv[4])) if len(sys.argv) > 4 else []
    names = {module["name"] for module in (*first, own)}
    needed = dict.fromkeys(name for module in (*first, own) for name in needs(module) if name not in names)
    host = {
        "release": release, "registered": sys.argv[3] in types, "modules": first, "needs": list(needed),
        "refusals": refusals([*first, own], of_the_kernel(release), release),
    }  # fmt: skip
    print(json.dumps(host | own))


if __name__ == "__main__":
    main()
