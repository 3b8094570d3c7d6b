#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Takes or frees a machine for tests, which one controller at a time may have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: claim
short_description: Take or free a machine for tests
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - A claim is a file in a directory below C(/run), so that a restart ends it together with what it was for. It is taken
    when nobody has it, or the one who may be replaced, and freed by the one who has it.
options:
  state:
    description: Whether to take the machine or to free it.
    type: str
    choices: [taken, free]
    required: true
  claim:
    description: Who wants it. It has a key C(id).
    type: dict
    required: true
  instead_of:
    description: The C(id) whose claim may be replaced.
    type: str
    default: ""
  directory:
    description: Directory of the claim.
    type: str
    default: /run/vexlab
attributes:
  check_mode:
    support: full
    description: It is told who would have the machine.
"""

EXAMPLES = r"""
- name: Take the machine
  vexfs.vexlab.claim:
    state: taken
    claim: {id: 0c3b1d6a, who: me on my laptop}
  register: claim
"""

RETURN = r"""
holder:
  description: The claim that is there now. Empty when there is none.
  returned: success
  type: dict
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def read(path: Path) -> dict[str, Any] | None:
    """The claim that is there; one that can't be read is somebody's too."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "id" in found else {"id": "unreadable"}


def apply(inputs: dict[str, Any], *, check: bool) -> tuple[bool, dict[str, Any] | None]:
    """Take or free it; returns whether that changed something, and who has it then.

    It is done under a lock, so that of two at once one is refused.
    """
    directory = Path(inputs["directory"])
    if check and not directory.is_dir():
        return inputs["state"] == "taken", inputs["claim"] if inputs["state"] == "taken" else None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, claim = directory / "claim.json", inputs["claim"]
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder = read(path)
        if inputs["state"] == "taken" and (holder is None or holder["id"] in (claim["id"], inputs["instead_of"])):
            if not check:
                temporary = path.with_suffix(".tmp")
                temporary.write_text(json.dumps(claim) + "\n", encoding="utf-8")
                temporary.replace(path)
            return holder != claim, claim
        if inputs["state"] == "free" and holder is not None and holder["id"] == claim["id"]:
            if not check:
                path.unlink()
            return True, None
        return False, holder
    finally:
        os.close(lock)


def main() -> None:
    """Take or free the machine, and tell who has it."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["taken", "free"], "required": True},
            "claim": {"type": "dict", "required": True},
            "instead_of": {"type": "str", "default": ""},
            "directory": {"type": "str", "default": "/run/vexlab"},
        },
        supports_check_mode=True,
    )
    try:
        changed, holder = apply(module.params, check=module.check_mode)
    except OSError as problem:
        module.fail_json(
            msg=f"the claim on this machine can't be kept: {problem.filename}: {problem.strerror}; root can keep it"
        )
    module.exit_json(changed=changed, holder=holder)


if __name__ == "__main__":
    main()
