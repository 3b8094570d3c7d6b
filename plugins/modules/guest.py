#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Starts and ends the QEMU guest of a lab.

One lock is held from the first look at the lab to its end, and everything that could race is done by the one process
that owns it: QEMU itself binds the forwarded port, so two labs can't both believe that a port is free.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest
short_description: Start and end the QEMU guest of a lab
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Starts a guest on a fresh overlay of an image, waits until it answers ssh, and writes its inventory entry. A guest
    of the same lab that runs and is not the one that is wanted is ended first.
  - Or ends it, and removes what must not outlive it.
  - Only a process that carries the UUID that was made for this guest is ever ended. QEMU listens on 127.0.0.1 only, and
    the guest reaches no network.
options:
  state:
    description:
      - V(running) has the guest up.
      - V(saved) keeps the guest as it is as O(checkpoint), while it runs. Where that can't be done RV(reason) says why.
      - V(stopped) ends it and removes its disk and keys. Logs stay.
      - V(absent) removes the lab's directory as well.
    type: str
    choices: [running, saved, stopped, absent]
    default: running
  lab:
    description: Name of the lab, which is the guest's name in the inventory.
    type: str
    required: true
  directory:
    description: Directory of the lab. Made if missing, readable by its owner only.
    type: str
    required: true
  runtime_directory:
    description:
      - Directory of the sockets, a short path. Empty takes one under C(XDG_RUNTIME_DIR), or a private one under
        C(/tmp).
    type: str
    default: ""
  image:
    description: Directory of an image as role C(vexlab_image) makes it. Required for V(running) and V(saved).
    type: str
  memory_mb:
    description: Memory of the guest, in MiB.
    type: int
    default: 2048
  cpus:
    description: Number of virtual CPUs.
    type: int
    default: 2
  accelerator:
    description: V(auto) takes KVM when it was seen to run the guest's kernel, else emulation (TCG).
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  ssh_port:
    description: First port tried on 127.0.0.1 for ssh.
    type: int
    default: 2222
  source:
    description: Directory that the guest may read over 9p. Empty shares none.
    type: str
    default: ""
  mount_tag:
    description: Tag under which the guest finds the share.
    type: str
    default: vexfs_source
  kernel_arguments:
    description: Further arguments for the guest's kernel.
    type: str
    default: ""
  boot_deadline:
    description:
      - Seconds from the start of QEMU until ssh must have answered. Somebody else's work is waited for as long.
    type: int
    default: 300
  warm:
    description:
      - Whether to start from the saved state of a booted guest, which is saved at the first start of its kind. Where
        that can't be done the guest boots, and RV(guest) says why.
    type: bool
    default: true
  checkpoint:
    description:
      - Name of what is brought about in the guest, a hash over all that decides it. A guest that has one is started
        in a way that lets it be saved. The four that were used last are kept.
    type: str
    default: ""
  from_checkpoint:
    description: Whether to go on from the guest that was saved under that name; it fails where there is none.
    type: bool
    default: false
  disks:
    description: Blank disks that the guest has beside its own. They go with it.
    type: list
    elements: dict
    default: []
    suboptions:
      serial:
        description: Serial number. In the guest the disk is C(/dev/disk/by-id/virtio-SERIAL).
        type: str
        required: true
      size_mb:
        description: Size in MiB.
        type: int
        required: true
attributes:
  check_mode:
    support: full
    description: It is told whether a guest would be started or ended.
requirements: [QEMU 6.2 or later, OpenSSH]
"""

EXAMPLES = r"""
- name: Bring up the guest
  vexfs.vexlab.guest:
    lab: default
    directory: /home/me/.local/state/vexlab/labs/default
    image: "{{ vexlab_image_result.directory }}"

- name: End it
  vexfs.vexlab.guest:
    state: stopped
    lab: default
    directory: /home/me/.local/state/vexlab/labs/default
"""

RETURN = r"""
reason:
  description: Why something was done, or nothing.
  returned: success
  type: str
  sample: memory_mb changed
guest:
  description:
    - What is written down of the guest, in C(guest.json) of its directory. How it is reached is in its inventory entry.
  returned: for state V(running)
  type: dict
started:
  description: Whether this is a new guest.
  returned: for state V(running)
  type: bool
checkpoint:
  description: Directory of the saved guest; empty when it could not be saved.
  returned: for state V(saved)
  type: str
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import checkpoint
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import GuestError, LabFiles
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.private import private_directory
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.process import open_guest_process, stop_guest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.start import difference, start
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import Interrupted, interruptible

TEXT = {"type": "str", "default": ""}
DISK = {"serial": {"type": "str", "required": True}, "size_mb": {"type": "int", "required": True}}
OPTIONS = {
    "state": {"type": "str", "choices": ["running", "saved", "stopped", "absent"], "default": "running"},
    "lab": {"type": "str", "required": True},
    "directory": {"type": "str", "required": True},
    "runtime_directory": TEXT,
    "image": {"type": "str"},
    "memory_mb": {"type": "int", "default": 2048},
    "cpus": {"type": "int", "default": 2},
    "accelerator": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
    "ssh_port": {"type": "int", "default": 2222},
    "source": TEXT,
    "mount_tag": {"type": "str", "default": "vexfs_source"},
    "kernel_arguments": TEXT,
    "boot_deadline": {"type": "int", "default": 300},
    "warm": {"type": "bool", "default": True},
    "checkpoint": TEXT,
    "from_checkpoint": {"type": "bool", "default": False},
    "disks": {"type": "list", "elements": "dict", "default": [], "options": DISK},
}


@contextmanager
def locked(lab: LabFiles) -> Iterator[None]:
    """Hold the lab; raises GuestError when somebody else holds it for longer than a start takes."""
    with (lab.directory / "guest.lock").open("w") as handle:
        os.set_inheritable(handle.fileno(), False)
        deadline = time.monotonic() + float(lab.inputs["boot_deadline"])
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise GuestError(f"another run holds the guest of lab {lab.name}", "wait for it to end") from None
                time.sleep(0.5)
        yield


def plan(state: str, lab: LabFiles) -> dict[str, Any]:
    """Tell whether something has to be done for a state, and why; changes nothing."""
    if state == "running":
        reason = difference(lab) if lab.directory.exists() else "there was no guest"
        return {
            "changed": bool(reason),
            "started": bool(reason),
            "reason": reason or "the guest is up",
            "guest": lab.record(),
        }
    process = open_guest_process(lab, lab.record())
    if process is not None:
        os.close(process[1])
    if state == "saved":
        return {"changed": process is not None, "reason": "it would be saved", "checkpoint": ""}
    there = lab.directory.exists() if state == "absent" else process is not None
    return {"changed": there, "reason": "it would be ended" if there else "nothing to end"}


def apply(state: str, lab: LabFiles) -> dict[str, Any]:
    """Bring the state about; returns what was done, and why. Raises GuestError."""
    if state in ("stopped", "absent") and not lab.directory.exists():
        return {"changed": False, "reason": "there is no such lab"}
    private_directory(lab.directory)
    private_directory(lab.runtime)
    with locked(lab):
        if state == "running":
            return start(lab)
        if state == "saved":
            return checkpoint.save(lab)
        was_up = stop_guest(lab)
        if state == "absent":
            shutil.rmtree(lab.directory)
            shutil.rmtree(lab.runtime, ignore_errors=True)
            return {"changed": True, "reason": "guest stopped, lab removed" if was_up else "lab removed"}
        return {"changed": was_up, "reason": "guest stopped" if was_up else "the guest was not up"}


def main() -> None:
    """Bring the state about, or say what is wrong and what to do, each on a line of its own."""
    module = AnsibleModule(
        argument_spec=OPTIONS,
        required_if=[("state", "running", ["image"]), ("state", "saved", ["image", "checkpoint"])],
        supports_check_mode=True,
    )
    lab, state = LabFiles(module.params), module.params["state"]
    try:
        with interruptible():
            answer = (plan if module.check_mode else apply)(state, lab)
    except GuestError as problem:
        module.fail_json(msg=f"{problem.message}\n{problem.hint}".strip())
    except OSError as problem:
        module.fail_json(msg=f"{problem.strerror}: {problem.filename}")
    except Interrupted as end:
        module.fail_json(msg=f"the work on the guest of lab {lab.name} was ended by {end}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
