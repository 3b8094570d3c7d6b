#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""What a machine that is to run cells is: its Python, CPUs, room, and clock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor
short_description: Tell what a machine is that is to run cells of a matrix
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Reads the version of Python, the number of CPUs, the home directory, free space and the clock.
options:
  directory:
    description: Directory, or one that is to be made, of whose disk the free space is told.
    type: path
    required: true
  now:
    description: Seconds since 1970 by the clock of the machine that asks.
    type: float
    required: true
attributes:
  check_mode:
    support: full
    description: It changes nothing in any mode.
"""

EXAMPLES = r"""
- name: See what the machine is
  vexfs.vexlab.hypervisor:
    directory: ~/.cache/vexlab
    now: "{{ now().timestamp() }}"
"""

RETURN = r"""
python:
  description: Path of the Python that ran this, and its version.
  returned: success
  type: dict
  sample: {path: /usr/bin/python3, version: [3, 11]}
machine:
  description: Its architecture.
  returned: success
  type: str
  sample: x86_64
cpus:
  description: Number of CPUs.
  returned: success
  type: int
home:
  description: Home directory of the user.
  returned: success
  type: str
free_mb:
  description: Free space.
  returned: success
  type: int
clock_ahead:
  description: Seconds that its clock is ahead of the one that asks; negative when it is behind.
  returned: success
  type: float
"""

import os
import platform
import shutil
import sys
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def free_mb(directory: Path) -> int:
    """Free space of the disk that a directory is on, or will be."""
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free // 1_000_000


def main() -> None:
    """Look, and tell."""
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "required": True}, "now": {"type": "float", "required": True}},
        supports_check_mode=True,
    )
    found = {
        "python": {"path": sys.executable, "version": list(sys.version_info[:2])}, "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)), "home": str(Path.home()),
        "free_mb": free_mb(Path(module.params["directory"]).absolute()),
        "clock_ahead": round(time.time() - module.params["now"], 1),
    }  # fmt: skip
    module.exit_json(changed=False, **found, ansible_facts={"vexlab_hypervisor_result": found})


if __name__ == "__main__":
    main()
