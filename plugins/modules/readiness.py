#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Refuses a kernel module that no readiness file stands for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: readiness
short_description: Refuse a kernel module that no readiness file stands for
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Reads a readiness file, which C(vexlab gate) writes, and fails unless it is whole, not too old, of the level that is
    asked for, and about this very module, kernel and use.
  - It is run where the file is, on the machine that runs Ansible.
options:
  path:
    description: Path of the readiness file. Without one the module is refused.
    type: str
    default: ""
  name:
    description: Name of the kernel module, for the message.
    type: str
    required: true
  host:
    description: Name of the machine that it is for, for the message.
    type: str
    required: true
  input:
    description: Name of the variable in which a person names the file, for the message.
    type: str
    required: true
  level:
    description: The level that the file must have reached.
    type: str
    choices: [vm, device, production]
    default: device
  sha256:
    description: sha256 of the module's file.
    type: str
    required: true
  srcversion:
    description: The module's srcversion.
    type: str
    required: true
  kernel:
    description: Release of the kernel that it is for.
    type: str
    required: true
  parameters:
    description: Parameters that the module is to be loaded with. They must be those that were tested.
    type: str
    default: ""
  options_ro:
    description: Options of the read-only mounts to come. They must be those that were tested. Empty doesn't ask.
    type: str
    default: ""
  options_rw:
    description: The same of read-write mounts.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Refuse a module without its readiness
  vexfs.vexlab.readiness:
    path: ~/readiness.json
    name: myfs
    host: "{{ inventory_hostname }}"
    input: vexfs_load_readiness
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    srcversion: 533BB7E5866E52F63B9ACCB
    kernel: 6.12.48+deb13-amd64
  delegate_to: localhost
  become: false
"""

RETURN = r"""
level:
  description: The level that the file reaches.
  returned: success
  type: str
  sample: device
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import readiness
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable

ABOUT = ("sha256", "srcversion", "kernel")
USE = ("parameters", "options_ro", "options_rw")


def main() -> None:
    """Read the file, and refuse in words that say what to do."""
    required: dict[str, Any] = {"type": "str", "required": True}
    optional: dict[str, Any] = {"type": "str", "default": ""}
    spec: dict[str, dict[str, Any]] = {
        "path": optional,
        "name": required,
        "host": required,
        "input": required,
        "level": {"type": "str", "choices": [*readiness.LEVELS[1:]], "default": "device"},
    }
    spec |= dict.fromkeys(ABOUT, required) | dict.fromkeys(USE, optional)
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    asked = module.params
    document, why = readiness.read(asked["path"]) if asked["path"] else ({}, "there is none")
    wanted = {name: asked[name] for name in (*ABOUT, *USE, "level")}
    refusals = [why] if why else readiness.refusals(document, wanted, time.time())
    if refusals:
        path = asked["path"] or f"({asked['input']} is not set)"
        module.fail_json(
            msg=printable(
                f"{asked['name']} is not loaded into the kernel of {asked['host']}: the readiness file {path} is "
                f"refused: {'; '.join(refusals)}. Test the module in a VM first; `vexlab gate --for {asked['level']}` "
                "says what is missing and writes the file."
            )
        )
    module.exit_json(changed=False, level=readiness.reached(document["criteria"]))


if __name__ == "__main__":
    main()
