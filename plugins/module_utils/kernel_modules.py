"""THE home of whether kernel modules may be loaded, or unloaded: what their files and the kernel say of them.

Reads only; standard library only.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

FIELDS = {"vermagic": "vermagic", "name": "file_name", "srcversion": "srcversion", "depends": "depends"}
BUILD_ID = ".note.gnu.build-id"
MODULES = Path("/sys/module")
LOADED = Path("/proc/modules")


class ModuleError(Exception):
    """Why a kernel module is not loaded or unloaded, as a sentence."""


def sections(module: bytes) -> dict[str, bytes]:
    """Return the sections of a module by name; raises ValueError for what is no 64-bit ELF file, or a damaged one."""
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
    """Return hash and words of a module file, and whether it is what the kernel has under that name: of the same bytes.

    Of a word that is there twice the first counts, as for the kernel.
    """
    facts: dict[str, Any] = dict.fromkeys((*FIELDS.values(), "sha256"), "") | {"file_there": False, "same": False}
    if not file.is_file():
        return facts
    module = file.read_bytes()
    parts = sections(module)
    for entry in reversed(parts.get(".modinfo", b"").decode(errors="replace").split("\0")):
        word, _, value = entry.partition("=")
        if word in FIELDS:
            facts[FIELDS[word]] = value
    # The bytes of the note are the identity: a srcversion is the same for two builds of one source.
    note = MODULES / name / "notes" / BUILD_ID
    same = note.is_file() and note.read_bytes() == parts.get(BUILD_ID)
    return facts | {"file_there": True, "sha256": hashlib.sha256(module).hexdigest(), "same": same}


def of_kernel(name: str) -> dict[str, Any]:
    """Return whether a module of that name is loaded, or a part of the kernel itself, and who keeps it."""
    loaded = MODULES / name
    if not name or not loaded.is_dir():
        return {"loaded": False, "permanent": False, "users": 0}
    count = loaded / "refcnt"
    if not count.is_file():  # a part of the kernel
        return {"loaded": True, "permanent": True, "users": 0}
    lines = LOADED.read_text().splitlines()
    permanent = any(line.startswith(f"{name} ") and "[permanent]" in line for line in lines)
    return {"loaded": True, "permanent": permanent, "users": int(count.read_text())}


def look(name: str, file: str, parameters: str = "") -> dict[str, Any]:
    """Return all that is known of a module; raises ModuleError for a file that can't be read as one.

    `built` says whether it has a file, which is not the kernel's own.
    """
    try:
        facts = of_file(Path(file), name) | of_kernel(name)
    except (ValueError, OSError) as error:
        raise ModuleError(f"{file} can't be looked at as a module: {error}") from error
    return facts | {"name": name, "file": file, "built": bool(file), "parameters": parameters}


def look_at_all(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of the module, of those that come first, of what they need, and of the kernel.

    `inputs` are those of module kernel_module. What is to be unloaded is told by its name; what lies on the disk by now
    is of no account. Raises ModuleError for a file that can't be read as a module.
    """
    read = inputs["state"] == "loaded"
    module = look(inputs["name"], inputs["file"] if read and inputs["from"] == "file" else "")
    first = []
    for one in inputs["modules"]:
        file = f"{inputs['directory']}/{one['file']}" if one["file"] else ""
        first.append(look(one["name"], file if read else "", one["parameters"]) | {"file": file, "built": bool(file)})
    names = {one["name"] for one in (*first, module)}
    needed = dict.fromkeys(name for one in (*first, module) for name in needs(one) if name not in names)
    types = [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]
    return {
        "module": module, "first": first, "needs": list(needed), "release": os.uname().release,
        "registered": inputs["type"] in types,
    }  # fmt: skip


def of_the_kernel(release: str) -> set[str]:
    """Return the names of the modules that come with a kernel, or that are loaded, with underscores."""
    lists = [Path("/lib/modules") / release / name for name in ("modules.dep", "modules.builtin")]
    lines = [line for path in lists if path.is_file() for line in path.read_text().splitlines()]
    files = {Path(line.partition(":")[0]).name.partition(".")[0] for line in lines}
    return {name.replace("-", "_") for name in files} | {path.name for path in MODULES.iterdir()}


def needs(module: dict[str, Any]) -> list[str]:
    """Return the modules that a module needs, as its file says."""
    return [name.replace("-", "_") for name in str(module["depends"]).split(",") if name]


def order_refusals(modules: Sequence[dict[str, Any]], known: Collection[str], release: str) -> list[str]:
    """Return why modules can't be loaded in this order, each reason a sentence; the last one is the module itself.

    `known` are the names of the kernel's own modules.
    """
    order = {module["name"]: place for place, module in enumerate(modules)}
    own = {module["name"]: set(needs(module)) & set(order) for module in modules}
    reasons = [problem for module in modules[:-1] if (problem := misfit_of_first(module, known, release))]
    for module in modules:
        name = module["name"]
        for needed in needs(module):
            if needed not in order:
                if needed not in known:
                    reasons.append(
                        f"{name} needs module {needed}, which neither is among these modules nor the kernel's"
                    )
            elif name in below(needed, own):
                if order[name] <= order[needed]:
                    reasons.append(f"{name} and {needed} need each other, so neither can be loaded first")
            elif order[needed] > order[name]:
                reasons.append(f"{name} needs {needed}, which comes after it; put {needed} first")
    return reasons


def below(name: str, own: dict[str, set[str]]) -> set[str]:
    """Return the modules of ours that one needs, and those that these need, and so on."""
    reached, todo = set[str](), list(own[name])
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += own[one]
    return reached


def misfit_of_first(module: dict[str, Any], known: Collection[str], release: str) -> str:
    """Return what is wrong with a module that comes first; empty when nothing is."""
    if not module["built"]:
        return "" if module["name"] in known else f"the kernel has no module {module['name']}"
    if problem := misfit(module, release):
        return problem
    if module["loaded"] and not module["same"]:
        return f"another build of {module['name']} is loaded ({module['users']} users); unload all first"
    return ""


def misfit(module: dict[str, Any], release: str) -> str:
    """Return why the file of a module is none of it for this kernel; empty when it is."""
    file, name = module["file"], module["name"]
    if not module["file_there"]:
        return f"there is no module file {file}; role vexfs_build makes it"
    if module["file_name"] != name:
        return f"the module in {file} is called {module['file_name']}, not {name}"
    if (built_for := (module["vermagic"].split() or ["(none)"])[0]) != release:
        return f"{file} was built for kernel {built_for}, and {release} runs; build it for the running kernel"
    return ""


def load_refusal(inputs: dict[str, Any], seen: dict[str, Any]) -> str:
    """Return why the module may not be loaded, as a sentence; empty if it may. `seen` is what `look_at_all` gave."""
    module, name = seen["module"], inputs["name"]
    built = inputs["from"] == "file"
    if built and (problem := misfit(module, seen["release"])):
        return problem
    if reasons := order_refusals([*seen["first"], module], of_the_kernel(seen["release"]), seen["release"]):
        return f"{name or inputs['type']} is not loaded: {'; '.join(reasons)}."
    if built and module["loaded"] and not module["same"]:
        return (
            f"another build of {name} is loaded ({module['users']} users); unmount what uses it and unload it first, "
            "with vexfs_load_state set to unloaded."
        )
    if not built and not seen["registered"] and not name:
        return (
            f"the running kernel knows no filesystem {inputs['type']}, and vexfs_load_module_name doesn't say which "
            "module it is in"
        )
    return changed_since(inputs["sha256"], seen)


def unload_refusal(inputs: dict[str, Any], seen: dict[str, Any]) -> str:
    """Return why the module may not be unloaded, as a sentence; empty if it may. What comes with the kernel stays."""
    if inputs["from"] == "file" and seen["module"]["permanent"]:
        return f"{inputs['name']} has no exit function, so the kernel keeps it until the machine is restarted."
    return ""


def changed_since(sha256: dict[str, str], seen: dict[str, Any]) -> str:
    """Return which file is not the one whose sha256 was decided on, as a sentence; empty when all are."""
    for module in (*seen["first"], seen["module"]):
        wanted = sha256.get(module["file"], module["sha256"])
        if module["file"] and module["sha256"] != wanted:
            return another_file(module["file"], wanted, module["sha256"])
    return ""


def another_file(file: str, wanted: str, sha256: str) -> str:
    """Return that a file is not the one that was decided on, as a sentence."""
    return (
        f"{file} changed after it was looked at: its sha256 was {wanted} and is {sha256} now. It is not loaded; see "
        "who writes to it, and begin again."
    )
