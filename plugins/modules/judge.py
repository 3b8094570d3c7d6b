#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Runs the checks of a stage on the controller, with what makes them start fast."""

from __future__ import annotations

DOCUMENTATION = r"""
module: judge
short_description: Run the checks of a stage
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Runs pytest on the controller, on the checks of a stage. They reach the machine under test as the inventory says.
  - Without O(stage) nothing is checked; a process is made ready that has pytest loaded, and that the stages of the run
    share.
  - To be delegated to the controller.
options:
  stage:
    description: Name of the stage, which is also the name of the directory of its checks.
    type: str
  host:
    description: Name of the machine under test in the inventory.
    type: str
    required: true
  inventory:
    description: The inventory that says how it is reached.
    type: path
    required: true
  run_directory:
    description: Where the checks write what they find.
    type: path
    required: true
  checks:
    description: Directory of all checks, in the collection whose package C(vexlab) they stand on.
    type: path
    required: true
  python:
    description: The Python that has pytest and testinfra.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: The checks change nothing on the controller but the run's directory, and run in check mode too.
"""

EXAMPLES = r"""
- name: Verify stage mount
  vexfs.vexlab.judge:
    stage: mount
    host: "{{ inventory_hostname }}"
    inventory: "{{ ansible_inventory_sources | last }}"
    run_directory: "{{ vexlab_run_directory }}"
    checks: "{{ playbook_dir }}/../tests/stages"
    python: "{{ ansible_playbook_python }}"
  delegate_to: localhost
  register: judged
  failed_when: judged.rc != 0
"""

RETURN = r"""
rc:
  description: The exit code of pytest. 74 when what the checks found could not be written.
  returned: always
  type: int
stdout:
  description: What pytest said.
  returned: always
  type: str
stderr:
  description: What pytest complained of.
  returned: always
  type: str
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import pytest_environment


def environment(checks: str) -> dict[str, str]:
    """Return what Python needs to find what the checks stand on: in the collection, if vexlab isn't installed.

    And what keeps pytest from options that are not ours.

    An installed vexlab has its package beside the collection, and what roles and checks share in it.
    """
    paths = [str(Path(checks).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)} | pytest_environment.PLAIN


def command(parameters: dict[str, str]) -> list[str]:
    """Return the command that makes the verifier ready, or has it run the checks of a stage."""
    checks, run, inventory = parameters["checks"], parameters["run_directory"], parameters["inventory"]
    host = f"ansible://{parameters['host']}"
    words = [parameters["python"], "-P", "-m", "vexlab.guest.testing.verifier", run, host, inventory]
    if stage := parameters["stage"]:
        words += [
            f"--config-file={checks}/pytest.ini", f"--rootdir={checks}", f"--hosts={host}",
            f"--ansible-inventory={inventory}", f"--stage={stage}", f"--run-directory={run}",
            f"--junit-xml={run}/stages/{stage}/junit.xml", f"{checks}/{stage}", f"{checks}/every_stage",
        ]  # fmt: skip
    return words


def main() -> None:
    """Run the checks and tell pytest's exit code."""
    required = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
            "stage": {"type": "str"},
            "host": {"type": "str", "required": True},
            "inventory": required,
            "run_directory": required,
            "checks": required,
            "python": required,
        },
        supports_check_mode=True,
    )
    programs = str(Path(module.params["python"]).parent)
    code, said, complained = module.run_command(
        command(module.params), path_prefix=programs, environ_update=environment(module.params["checks"])
    )
    module.exit_json(changed=False, rc=code, stdout=said, stderr=complained)


if __name__ == "__main__":
    main()
