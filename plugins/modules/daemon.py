#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Starts or stops a program that runs as long as a kernel module is loaded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon
short_description: Start or stop a program that runs as long as a kernel module is loaded
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Runs a shell command in the foreground of a transient unit of systemd, C(vexlab-daemon.service). There is one at a
    time on a machine.
  - It must still run 2 seconds after its start, and end within 15 seconds of SIGTERM. Else the module fails, with the
    last words of the program.
  - A record in C(/run) tells who unloads and loads the kernel module again what to stop and to start with it.
options:
  state:
    description: Whether the program is to run.
    type: str
    choices: [started, stopped]
    default: started
  command:
    description: The shell command.
    type: str
    required: true
  directory:
    description: Directory in which it runs.
    type: str
    default: /
  module:
    description: Name of the kernel module that it belongs to, as C(/proc/modules) has it.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: It is told whether the program would be started or stopped.
requirements: [systemd]
"""

EXAMPLES = r"""
- name: Start the daemon of the filesystem
  vexfs.vexlab.daemon:
    command: ./toyd --foreground
    directory: /var/lib/vexlab/build
    module: toyfs
"""

RETURN = r"""
running:
  description: Whether the program runs now, or in check mode would.
  returned: success
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import daemon
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable


def apply(inputs: dict[str, Any], *, check: bool) -> bool:
    """Start or stop the program; returns whether that changed something. Raises DaemonError."""
    if check:
        return bool(daemon.is_running() != (inputs["state"] == "started"))
    if inputs["state"] == "started":
        return daemon.start(inputs["command"], inputs["directory"], inputs["module"])
    stopped = daemon.stop()
    daemon.forget()
    return stopped


def main() -> None:
    """Start or stop it, or say how it went wrong."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "command": {"type": "str", "required": True},
            "directory": {"type": "str", "default": "/"},
            "module": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        changed = apply(module.params, check=module.check_mode)
    except daemon.DaemonError as wrong:
        module.fail_json(msg=printable(wrong))
    except OSError as problem:
        module.fail_json(
            msg=f"the daemon `{module.params['command']}` can't be looked after: {of_system(problem)}; it is a unit of "
            "systemd, which root starts"
        )
    module.exit_json(changed=changed, running=module.params["state"] == "started")


if __name__ == "__main__":
    main()
