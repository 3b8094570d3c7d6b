#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Loads a kernel module after those that it needs, and unloads it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_module
short_description: Load a kernel module after those that it needs, and unload it
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Loads a module that was built with C(insmod), or one that comes with the running kernel with C(modprobe), after the
    modules that it needs. B(The kernel is tainted from then on, and may crash).
  - A module that was built for another kernel is refused, as is one of which another build is loaded, told by its
    build-id. So are modules that can't be loaded in the order of the list.
  - What is loaded is what was looked at. A file is read once, its sha256 compared with the one that was decided on, and
    a private copy of the same bytes is inserted.
  - Whether the machine may be used for that isn't asked here. M(vexfs.vexlab.machine) and M(vexfs.vexlab.readiness) do.
options:
  state:
    description:
      - V(loaded) loads what isn't loaded.
      - V(unloaded) removes the module, and then the built ones that came first, the last one first. One in use is not
        forced out. What comes with the kernel is never unloaded.
    type: str
    choices: [loaded, unloaded]
    default: loaded
  from:
    description:
      - V(file) takes a module that was built.
      - V(kernel) takes the one that comes with the running kernel, unless the kernel knows the O(type) already.
    type: str
    choices: [file, kernel]
    default: file
  name:
    description: Name of the module as C(/proc/modules) has it. Empty for what is a part of the kernel itself.
    type: str
    default: ""
  file:
    description: Path of the module's file. Empty from the kernel.
    type: str
    default: ""
  type:
    description: The filesystem's type as C(/proc/filesystems) has it.
    type: str
    default: ""
  parameters:
    description: Parameters of the module, separated by spaces.
    type: str
    default: ""
  dependencies:
    description: Modules of the kernel to load first, beside those that the modules' files name. They stay.
    type: list
    elements: str
    default: []
  modules:
    description: Modules that are loaded before the module, in this order. One without a file is the kernel's own.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the module as C(/proc/modules) has it.
        type: str
        required: true
      file:
        description: Path of its file, relative to O(directory).
        type: str
        default: ""
      parameters:
        description: Its parameters, separated by spaces.
        type: str
        default: ""
  directory:
    description: Directory that the files of O(modules) are relative to.
    type: str
    default: ""
  sha256:
    description:
      - The RV(sha256) that an earlier look gave, in check mode say. A file that has another one now is not loaded.
      - A file that isn't named is looked at now.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: All is looked at and refused as it would be, and nothing is loaded or unloaded.
requirements: [insmod, modprobe, rmmod]
"""

EXAMPLES = r"""
- name: See whether the module may be loaded
  vexfs.vexlab.kernel_module:
    name: myfs
    file: /var/lib/vexlab/build/myfs.ko
  check_mode: true
  changed_when: false
  register: look

- name: Load the module that was looked at
  vexfs.vexlab.kernel_module:
    name: myfs
    file: /var/lib/vexlab/build/myfs.ko
    sha256: "{{ look.sha256 }}"
"""

RETURN = r"""
module:
  description:
    - What the file and the kernel say of the module, before anything was done.
    - The file's C(sha256), C(srcversion), C(vermagic) and C(depends). Whether a module of this name is C(loaded), how
      many C(users) it has, whether it is the C(same) build, and whether it is C(permanent).
  returned: success
  type: dict
release:
  description: Release of the running kernel.
  returned: success
  type: str
  sample: 6.12.48+deb13-amd64
registered:
  description: Whether the kernel knew the filesystem's type.
  returned: success
  type: bool
sha256:
  description: The sha256 of each file that was looked at, by its path.
  returned: success
  type: dict
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import commands, kernel_modules
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.vexfs.vexlab.plugins.module_utils.kernel_modules import ModuleError
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable


def insert(file: str, sha256: str, parameters: list[str]) -> None:
    """Insert a module whose file has this sha256; raises ModuleError when it has another one, CommandError by insmod.

    The file is read once. What was read is hashed, and inserted from a copy in a directory that nobody else can enter,
    so that what is loaded is what was hashed, whoever writes to the file meanwhile.
    """
    content = Path(file).read_bytes()
    if (read := hashlib.sha256(content).hexdigest()) != sha256:
        raise ModuleError(kernel_modules.another_file(file, sha256, read))
    with tempfile.TemporaryDirectory(prefix="kernel_module-") as private:
        copy = Path(private) / Path(file).name
        copy.write_bytes(content)
        done = commands.run(["insmod", str(copy), *parameters])
    if done.code:
        said = done.said.replace(str(copy), file)
        raise ModuleError(f"`{' '.join(['insmod', file, *parameters])}` failed: {said}")


def load(inputs: dict[str, Any], seen: dict[str, Any], *, check: bool) -> bool:
    """Load what isn't there, the kernel's own first: none of them needs one that was built outside of its tree.

    Returns whether something was loaded, or would be. Raises ModuleError and CommandError.
    """
    built = inputs["from"] == "file"
    if seen["module"]["loaded"] if built else seen["registered"]:
        return False
    if check:
        return True
    if needed := list(dict.fromkeys([*inputs["dependencies"], *seen["needs"]])):
        commands.output(["modprobe", "--all", *needed])
    missing = [one for one in seen["first"] if not one["loaded"]]
    for one in missing:
        if not one["built"]:
            commands.output(["modprobe", one["name"], *one["parameters"].split()])
    for one in missing:
        if one["built"]:
            insert(one["file"], one["sha256"], one["parameters"].split())
    parameters = inputs["parameters"].split()
    if built:
        insert(inputs["file"], seen["module"]["sha256"], parameters)
    else:
        commands.output(["modprobe", inputs["name"], *parameters])
    return True


def unload(inputs: dict[str, Any], seen: dict[str, Any], *, check: bool) -> bool:
    """Remove the module, then the built ones that came first; returns whether something was, or would be, removed."""
    if inputs["from"] == "kernel":  # others may use what comes with the kernel
        return False
    first = [one for one in reversed(seen["first"]) if one["built"]]
    loaded = [one["name"] for one in (seen["module"], *first) if one["loaded"]]
    if not check:
        for name in loaded:
            commands.output(["rmmod", name])
    return bool(loaded)


def apply(inputs: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Look, refuse, and load or unload; returns the answer. Raises ModuleError and CommandError."""
    seen = kernel_modules.look_at_all(inputs)
    loads = inputs["state"] == "loaded"
    refusal = (kernel_modules.load_refusal if loads else kernel_modules.unload_refusal)(inputs, seen)
    if refusal:
        raise ModuleError(refusal)
    changed = (load if loads else unload)(inputs, seen, check=check)
    files = {one["file"]: one["sha256"] for one in (*seen["first"], seen["module"]) if one["sha256"]}
    told = {name: seen[name] for name in ("module", "release", "registered")}
    return told | {"changed": changed, "sha256": files}


def main() -> None:
    """Load or unload, or say why not."""
    text = {"type": "str", "default": ""}
    first = {"name": {"type": "str", "required": True}, "file": text, "parameters": text}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["loaded", "unloaded"], "default": "loaded"},
            "from": {"type": "str", "choices": ["file", "kernel"], "default": "file"},
            "name": text,
            "file": text,
            "type": text,
            "parameters": text,
            "dependencies": {"type": "list", "elements": "str", "default": []},
            "modules": {"type": "list", "elements": "dict", "default": [], "options": first},
            "directory": text,
            "sha256": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    try:
        with interruptible():
            answer = apply(module.params, check=module.check_mode)
    except (ModuleError, commands.CommandError) as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        module.fail_json(msg=of_system(problem))
    except Interrupted as end:
        module.fail_json(msg=f"the work on module {module.params['name']} was ended by {end}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
