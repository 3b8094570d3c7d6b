# SPDX-License-Identifier: GPL-2.0-only
"""The options that the modules build and sandbox have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ansible-doc."""

    DOCUMENTATION = r"""
options:
  source:
    description: Directory of the source. It is only read.
    type: str
    required: true
  destination:
    description: Directory in which the build runs. What an earlier build left in it stays.
    type: str
    required: true
  record:
    description:
      - File that says what was built from what. The log of the build is beside it, with the ending C(.log).
    type: str
    required: true
  directory:
    description: Directory below O(destination) in which the commands run.
    type: str
    default: .
  before:
    description: Shell commands to run before O(command).
    type: list
    elements: str
    default: []
  command:
    description: Shell command that builds. C(KDIR), C(KERNEL_RELEASE), C(JOBS) and C(VARIANT) are in its environment.
    type: str
    default: make
  variant:
    description: What C(VARIANT) says.
    type: str
    choices: [c-only, full]
    default: c-only
  module_file:
    description: The module that the build must bring forth, relative to O(destination).
    type: str
    required: true
  kernel_release:
    description: Release of the kernel to build for. Empty means the one that is running, or whose headers are there.
    type: str
    default: ""
  jobs:
    description: Number of parallel jobs that C(JOBS) says. 0 means one per CPU.
    type: int
    default: 0
  clean:
    description: Whether what earlier builds left is removed first.
    type: bool
    default: false
  deadline:
    description: Seconds after which the commands are ended and the build has failed.
    type: int
    default: 840
"""
