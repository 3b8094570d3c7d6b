#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Refuses a machine that is neither virtual nor declared to be test hardware."""

from __future__ import annotations

DOCUMENTATION = r"""
module: machine
short_description: Refuse a machine that is not virtual
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Asks C(systemd-detect-virt --vm), and fails unless it names a virtual machine. What can't be told is refused.
  - Containers aside. One on a real machine has that machine's kernel and disks.
options:
  host:
    description: Name of the machine, for the message.
    type: str
    required: true
  input:
    description: Name of the variable by which a person declares that it is test hardware, for the message.
    type: str
    required: true
  refused:
    description: What is not done on a machine that is refused, as a sentence of the message.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: Refuse what is not known to be a virtual machine
  vexfs.vexlab.machine:
    host: "{{ inventory_hostname }}"
    input: vexfs_mkfs_hardware
    refused: Nothing is formatted there.
"""

RETURN = r"""
virtualisation:
  description: What kind of virtual machine it is.
  returned: success
  type: str
  sample: kvm
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable


def asked() -> tuple[bool, str]:
    """Return whether this is a virtual machine, and what was said to that."""
    try:
        done = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, check=False)
    except OSError as problem:
        return False, f"nothing: {problem.strerror}"
    said = done.stdout.decode(errors="replace").strip()
    words = said or done.stderr.decode(errors="replace").strip() or "nothing"
    return done.returncode == 0 and said not in ("", "none"), words


def main() -> None:
    """Ask, and refuse in words that say what to do."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(argument_spec={"host": text, "input": text, "refused": text}, supports_check_mode=True)
    host, name, refused = (module.params[key] for key in ("host", "input", "refused"))
    is_virtual, said = asked()
    if not is_virtual:
        module.fail_json(
            msg=f"{host} is no virtual machine (systemd-detect-virt says {printable(said)}) and not declared to be "
            f"test hardware. {refused} If a crash does no harm there, set {name} for that host."
        )
    module.exit_json(changed=False, virtualisation=said)


if __name__ == "__main__":
    main()
