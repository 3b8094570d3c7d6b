#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Builds images that guests boot from, finds them in a cache, and removes them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Build what a guest boots from, or find it in the cache
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Makes a Debian root file system as a qcow2, with its kernel and a small initramfs beside it, in a directory of the
    cache that is named after a key of everything that went in. An image that is there and whole is only looked at.
  - A lock is held from the look into the cache to the last byte of the image. Whoever ends the module, or its deadline,
    ends all that it started, and nothing half-built is kept.
  - Role C(vexlab_image) calls it with its files.
options:
  state:
    description:
      - V(present) has the image there.
      - V(absent) removes the image of these inputs, its log and its lock.
      - V(pruned) removes every image but those in O(keep), those that a guest runs on and those that are being built.
        So it does with kernels, headers and user spaces for builds of none of them.
    type: str
    choices: [present, absent, pruned]
    default: present
  cache:
    description: Directory that keeps the images.
    type: str
    required: true
  suite:
    description: Name of the Debian release.
    type: str
    default: trixie
  packages:
    description: Debian packages to install.
    type: list
    elements: str
    default: []
  source_packages:
    description: Debian packages that are unpacked and not installed.
    type: list
    elements: str
    default: []
  disk_size_mb:
    description: Virtual size of the disk in MiB.
    type: int
    default: 8192
  files:
    description: Text of each file that makes the image or goes into it, by its name. All of it goes into the key.
    type: dict
    default: {}
  kernel:
    description:
      - What kernel the image has, if not that of its packages. A Debian suite, whose own is taken; a release, or its
        first numbers, of any suite in O(kernel_suites); C(.deb) files with commas between them, or a directory of such;
        a kernel's build tree.
      - A kernel is fetched or copied once, and put over a finished image. One without its headers, or without what a
        guest needs, is refused.
    type: str
    default: ""
  kernel_suites:
    description: Debian suites in which a release is looked for, in this order.
    type: list
    elements: str
    default: []
  keep:
    description: Keys of images that V(pruned) leaves alone.
    type: list
    elements: str
    default: []
  deadline:
    description: Seconds until a build, or the wait for somebody else's, is given up.
    type: int
    default: 1800
attributes:
  check_mode:
    support: full
    description: It is told what would be built or removed.
requirements: [mmdebstrap, e2fsprogs, qemu-img, "bubblewrap, for O(kernel)"]
"""

EXAMPLES = r"""
- name: Remove the images that nobody uses
  vexfs.vexlab.image:
    state: pruned
    cache: ~/.cache/vexlab/images
"""

RETURN = r"""
directory:
  description: Directory of the image.
  returned: but for state V(pruned)
  type: str
key:
  description: What the directory is named after.
  returned: but for state V(pruned)
  type: str
  sample: 46591df27288994a
kernel_release:
  description: The kernel of the image. Empty for one that is not there.
  returned: but for state V(pruned)
  type: str
built:
  description: Whether this run built it.
  returned: but for state V(pruned)
  type: bool
reason:
  description: Why it was built or removed, or not.
  returned: but for state V(pruned)
  type: str
waited:
  description: Whether another run on the same image was waited for.
  returned: but for state V(pruned)
  type: bool
leftovers:
  description: What builds had left that were killed. It is removed.
  returned: but for state V(pruned)
  type: list
  elements: str
removed:
  description: Keys of the images that were removed, and the MiB that each took.
  returned: for state V(pruned)
  type: dict
of_request:
  description: What was asked for can't be had, which says nothing of this machine.
  returned: when that is so
  type: bool
kept:
  description: Keys of the others, and why each was kept.
  returned: for state V(pruned)
  type: dict
"""

import dataclasses
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import cache
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.limits import limited
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible

NAMES = {"type": "list", "elements": "str", "default": []}
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent", "pruned"], "default": "present"},
    "cache": {"type": "str", "required": True},
    "suite": {"type": "str", "default": "trixie"},
    "packages": NAMES,
    "source_packages": NAMES,
    "disk_size_mb": {"type": "int", "default": 8192},
    "files": {"type": "dict", "default": {}},
    "kernel": {"type": "str", "default": ""},
    "kernel_suites": NAMES,
    "keep": NAMES,
    "deadline": {"type": "int", "default": 1800},
}


def apply(inputs: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Bring the state about, or tell what would be done; returns the answer. Raises ImageError."""
    place = cache.directory_of(inputs["cache"])
    if inputs["state"] == "pruned":
        return cache.prune(place, frozenset(inputs["keep"]), check=check)
    spec = Spec(
        inputs["suite"], tuple(inputs["packages"]), tuple(inputs["source_packages"]), inputs["disk_size_mb"]
    )  # fmt: skip
    wanted = cache.Wanted(place, spec, inputs["files"], inputs["kernel"], tuple(inputs["kernel_suites"]))
    act = cache.ensure if inputs["state"] == "present" else cache.remove
    return dataclasses.asdict(act(wanted, check=check))


def main() -> None:
    """Bring the state about, or say what is wrong and what to do."""
    # The texts of all files are no words for the system's log.
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True, no_log=True)
    try:
        with interruptible(), limited(module.params["deadline"]):
            answer = apply(module.params, check=module.check_mode)
    except ImageError as problem:
        asked: dict[str, Any] = {"of_request": True} if problem.of_request else {}
        module.fail_json(msg=f"{problem.message} {problem.hint}".strip(), **asked)
    except Interrupted as end:
        module.fail_json(msg=f"Ended by {end}; nothing half-built was kept. Run it again.")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
