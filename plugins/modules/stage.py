#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Announces a stage: to the kernel's log of the machine under test, and to whoever follows the playbook."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stage
short_description: Announce that a stage begins
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Writes a marker into the kernel's log. By it the checks of the stage tell which of the kernel's messages, and which
    of its taint flags, came in this stage.
  - The result names the stage, so that a program which follows the playbook needs no names of tasks.
options:
  name:
    description: Name of the stage.
    type: str
    required: true
  marker:
    description: The word of this run that nobody could know before it. Only markers with it count.
    type: str
    required: true
  kernel_log:
    description: Where the kernel takes messages from programs.
    type: path
    default: /dev/kmsg
attributes:
  check_mode:
    support: full
    description: Nothing is written in check mode.
"""

EXAMPLES = r"""
- name: Begin stage mount
  vexfs.vexlab.stage:
    name: mount
    marker: 9f2c61d0a4b34e17
"""

RETURN = r"""
stage:
  description: The stage that begins, and the taint flags of the kernel at that moment.
  returned: success
  type: dict
  sample: {name: mount, taint: 12288}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages

TAINT = Path("/proc/sys/kernel/tainted")


def main() -> None:
    """Write the marker and say which stage begins."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "marker": {"type": "str", "required": True},
            "kernel_log": {"type": "path", "default": "/dev/kmsg"},
        },
        supports_check_mode=True,
    )
    name, log = module.params["name"], module.params["kernel_log"]
    try:
        taint = int(TAINT.read_text(encoding="ascii"))
        if not module.check_mode:
            line = kernel_messages.marker_of(name, taint, module.params["marker"])
            Path(log).write_text(f"{line}\n", encoding="ascii")
    except OSError as problem:
        module.fail_json(
            msg=f"{problem.filename or log} can't be used on this machine: {problem.strerror}; "
            "stages are run as root, on a machine with a kernel of its own"
        )
    module.exit_json(changed=False, stage={"name": name, "taint": taint})


if __name__ == "__main__":
    main()
