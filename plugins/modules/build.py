#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Builds a kernel module from a copy of its source."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build
short_description: Build a kernel module from a copy of its source
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Copies the source to the build directory and runs the commands there, unless source, commands and kernel are those
    of the last build, and all that it left is still there as it was.
  - What another hand changed in the build directory has everything built again. Nothing outside of it is removed,
    whatever names and links are in it.
  - It has changed something when the module's bytes are not those of the last build.
extends_documentation_fragment: [vexfs.vexlab.build]
attributes:
  check_mode:
    support: full
    description: It is told whether a build is needed. Nothing is copied or run.
requirements: [modinfo, readelf]
"""

EXAMPLES = r"""
- name: Build the module
  vexfs.vexlab.build:
    source: /var/lib/vexlab/source
    destination: /var/lib/vexlab/build
    record: /var/lib/vexlab/build.json
    module_file: myfs.ko
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
guest_problem:
  description: Which program of the build was killed, which says nothing of the source.
  returned: when that is so
  type: str
seconds:
  description: How long the commands took.
  returned: when something was built
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils import build
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import (
    Interrupted,
    interruptible,
    uninterrupted,
)
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable


def main() -> None:
    """Build, or tell the first errors."""
    module = AnsibleModule(argument_spec=build.OPTIONS, supports_check_mode=True)
    log = build.log_of(module.params)
    try:
        with interruptible():
            answer = build.build(module.params, plan=module.check_mode, starting=uninterrupted)
    except build.BuildError as problem:
        blame = {"guest_problem": printable(problem.killed)} if problem.killed else {}
        module.fail_json(msg=printable(problem), log_written=log.is_file(), **blame)
    except OSError as problem:
        module.fail_json(msg=printable(problem), log_written=log.is_file())
    except Interrupted as end:
        module.fail_json(msg=f"the build was ended by {end}", log_written=log.is_file())
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
