#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Builds in the guest's own user space, on the machine that runs the guest, and brings the result to the guest."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox
short_description: Build in a guest's user space, on the machine that runs the guest
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Does what M(vexfs.vexlab.build) does, with the same result to the byte, under bubblewrap in the unpacked user space
    of the guest. An emulated guest takes thirty times as long.
  - The build sees no network, no process and no file of this machine but the source, read-only, and its work directory.
    It is never root and has no capability.
  - With O(ssh) the build, its record and its log are brought to the guest. It has changed something when they weren't
    there as they are.
  - To be delegated to the machine that runs the guest.
extends_documentation_fragment: [vexfs.vexlab.build]
options:
  root:
    description: Directory with the guest's user space, unpacked.
    type: str
    required: true
  work:
    description: Directory in which builds are kept from one to the next. Inside, it is the parent of O(record).
    type: str
    required: true
  tree:
    description: The source's directory on this machine. Empty when the source is in the guest's user space.
    type: str
    default: ""
  source_in_guest:
    description: Directory, or glob that matches one, of a source that is in the guest's user space.
    type: str
    default: ""
  exclude:
    description: rsync patterns of what is not copied.
    type: list
    elements: str
    default: []
  stamp:
    description: What M(vexfs.vexlab.build) said in the guest that it would build from. Empty takes whatever is there.
    type: str
    default: ""
  ssh:
    description: Command that reaches the guest over ssh, without its name. Without it nothing is brought over.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: none
    description: Whether a build is needed is told by M(vexfs.vexlab.build) in the guest.
requirements: [bubblewrap 0.5 or later, rsync]
"""

EXAMPLES = r"""
- name: Build the module
  vexfs.vexlab.sandbox:
    source: /var/lib/vexlab/source
    destination: /var/lib/vexlab/build
    record: /var/lib/vexlab/build.json
    module_file: myfs.ko
    root: "{{ vexlab_image_result.directory }}/sandbox"
    work: /home/me/.local/state/vexlab/labs/default/build
    tree: /home/me/src/myfs
  delegate_to: localhost
"""

RETURN = r"""
rebuilt:
  description: Whether something was built, or in check mode would be.
  returned: success
  type: bool
module:
  description: Identity of the module. Empty where a build would make it.
  returned: success
  type: dict
  sample:
    file: /var/lib/vexlab/build/myfs.ko
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    name: myfs
    srcversion: 533BB7E5866E52F63B9ACCB
    vermagic: 6.12.48+deb13-amd64 SMP preempt mod_unload modversions
    depends: ""
    version: ""
    build_id: 0c3b1d6ab0a8e2f1c5a4
stamp:
  description: What it was built from, as one word. Source, commands and kernel are in it.
  returned: success
  type: str
log_written:
  description: Whether there is a log of the build.
  returned: always
  type: bool
host_problem:
  description: Why this machine could not build, which says nothing of the source.
  returned: when that is so
  type: str
"""

import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import build, sandbox
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable
from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of


def copy_command(inputs: dict[str, Any]) -> list[str]:
    """Return the command that brings a build to the guest.

    The whole tree, since a target's own tests may need any of it; packed, since an emulated guest decrypts slowly. By
    content: what another hand replaced in the guest may have kept its size and time.
    """
    record = Path(inputs["record"])
    return [
        "rsync", "--archive", "--checksum", "--no-owner", "--no-group", "--delete", "--compress", "--itemize-changes",
        f"--rsh={shlex.join(inputs['ssh'])}", f"--include=/{Path(inputs['destination']).name}/***",
        f"--include=/{record.name}", f"--include=/{record.stem}.log", "--exclude=*",
        f"{inputs['work']}/", f"guest:{record.parent}/",
    ]  # fmt: skip


def bring_over(module: AnsibleModule) -> bool:
    """Bring the build to the guest; whether it had to be. Raises SandboxError."""
    command = copy_command(module.params)
    code, said, complained = module.run_command(command, expand_user_and_vars=False)
    if code:
        raise sandbox.SandboxError(f"`{shlex.join(command)}` failed: {(complained or said).strip()[-1500:]}")
    return bool(said)


def perform(module: AnsibleModule) -> dict[str, Any]:
    """Build, and bring it over if that is asked for; returns the answer. Raises SandboxError, which says why not."""
    inputs = module.params
    with sandbox.held(Path(inputs["work"])):
        answer = sandbox.run(inputs, text_of(build))
        if "error" in answer:
            return answer
        if inputs["stamp"] not in ("", answer["stamp"]):
            raise sandbox.SandboxError("The source changed while it was copied and built; run again.")
        if inputs["ssh"]:
            answer |= {"rebuilt": True, "changed": bring_over(module)}
    return answer


def main() -> None:
    """Build, or tell the first errors."""
    own = {"stamp": {"type": "str", "default": ""}, "ssh": {"type": "list", "elements": "str", "default": []}}
    module = AnsibleModule(argument_spec={**build.OPTIONS, **sandbox.OPTIONS, **own})
    try:
        with interruptible():
            answer = perform(module)
    except sandbox.SandboxError as problem:
        reason = printable(problem)
        blame = {"host_problem": reason} if problem.of_host else {}
        module.fail_json(msg=reason, log_written=problem.log_written, **blame)
    except OSError as problem:
        module.fail_json(msg=printable(problem), log_written=False)
    except Interrupted as end:
        module.fail_json(msg=f"the build was ended by {end}", log_written=False)
    if "error" in answer:
        module.fail_json(msg=printable(answer["error"]), log_written=answer["log_written"])
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
