#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""A command that goes on for as long as somebody asks for it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leased
short_description: Run a command for as long as somebody asks for it
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Begins a command that outlives the connection, tells how far it is, and ends it.
  - Each question is what keeps it going. When nobody has asked for O(patience) seconds, since who asks was killed or
    the link is cut, the command is ended on its machine, with nobody's help.
options:
  state:
    description:
      - V(started) begins it, and fails if something was begun in O(directory) before.
      - V(asked) tells how far it is.
      - V(absent) ends it, if it goes on, and removes O(directory).
    type: str
    choices: [started, asked, absent]
    required: true
  directory:
    description: Where it works, and what it writes is kept. It belongs to the command alone.
    type: path
    required: true
  command:
    description: The command, word by word. Required to begin it.
    type: list
    elements: str
    default: []
  environment:
    description: What its environment has beside that of the connection.
    type: dict
    default: {}
  patience:
    description: Seconds without a question after which it is ended.
    type: int
    default: 120
  seconds:
    description: How long a question waits for something new, and how long the end is waited for.
    type: int
    default: 0
attributes:
  check_mode:
    support: none
    description: It is refused.
"""

EXAMPLES = r"""
- name: Begin
  vexfs.vexlab.leased:
    state: started
    directory: ~/.local/state/vexlab/hosted/one
    command: [sh, -c, "sleep 60; echo done"]

- name: Ask until it has ended
  vexfs.vexlab.leased:
    state: asked
    directory: ~/.local/state/vexlab/hosted/one
    seconds: 5
  register: __asked
  until: not __asked.running
  retries: 100000
  delay: 1
"""

RETURN = r"""
running:
  description: Whether it goes on.
  returned: with state V(asked)
  type: bool
said:
  description: The last that it wrote on stderr, from the beginning of a line.
  returned: with state V(asked)
  type: str
left_out:
  description: Number of lines that it wrote before that.
  returned: with state V(asked)
  type: int
free_mb:
  description: Free space of the disk that it works on.
  returned: with state V(asked)
  type: int
answer:
  description: What it wrote on stdout.
  returned: with state V(asked), when it has ended
  type: str
code:
  description: Its exit code, which is negative for a signal, and none where it couldn't be started.
  returned: with state V(asked), when it has ended
  type: int
why:
  description: Why it was ended, or could not be started; empty when it ended by itself.
  returned: with state V(asked), when it has ended
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import leased
from ansible_collections.vexfs.vexlab.plugins.module_utils.leased import LeasedError
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable
from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of


def apply(inputs: dict[str, Any]) -> dict[str, Any]:
    """Do what the state says; returns the answer. Raises LeasedError."""
    directory = Path(inputs["directory"])
    if inputs["state"] == "started":
        environment = {str(name): str(value) for name, value in inputs["environment"].items()}
        leased.start(directory, inputs["command"], environment, inputs["patience"], text_of(leased))
        return {"changed": True}
    if inputs["state"] == "asked":
        found = leased.ask(directory, inputs["seconds"])
        return {"changed": False, **found, "ansible_facts": {"vexlab_leased_result": found}}
    return {"changed": leased.end(directory, inputs["seconds"])}


def main() -> None:
    """Begin, ask or end."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "asked", "absent"], "required": True},
            "directory": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}},
            "patience": {"type": "int", "default": 120},
            "seconds": {"type": "int", "default": 0},
        },
        required_if=[("state", "started", ["command"])],
    )
    try:
        answer = apply(module.params)
    except LeasedError as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        module.fail_json(msg=of_system(problem))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
