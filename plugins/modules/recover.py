#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Takes a filesystem that went wrong down, as far as the kernel lets go of it, and tells what is left.

It needs no file of the host but its Python. Every step has a deadline: what hangs in the kernel is left behind and told
of, since nothing ends it.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: recover
short_description: Take a filesystem that went wrong down, and tell what is left
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Only what is the lab's is touched. That are mounts at its mount point, in its work directory and of its devices;
    those devices, which are the named one, loop devices on files of the work directory and the mappings that the checks
    make; the module, those that were loaded before it, and the program that runs meanwhile.
  - Nothing is forced. What is busy stays, and is told of with the names of who uses it.
  - Afterwards the kernel's log, and its state as it was before and as it is then, are written down where there is room.
options:
  type:
    description:
      - Filesystem type as C(/proc/filesystems) has it. Of its mounts only the lab's own are unmounted. While there are
        others, the module is left.
    type: str
    required: true
  module:
    description: Name of the module as C(/proc/modules) has it. Empty for what comes with the kernel.
    type: str
    default: ""
  modules:
    description: Modules that were loaded before it, in that order. They are unloaded after it, the last of them first.
    type: list
    elements: str
    default: []
  point:
    description: Mount point of the lab. A filesystem of the type that is mounted there is unmounted.
    type: str
    required: true
  work:
    description: Work directory. Mounts in it and loop devices on files in it are taken down.
    type: str
    required: true
  device:
    description: Block device of the lab. What is mounted of it is unmounted, wherever that is.
    type: str
    default: ""
  lazy:
    description: Whether what is busy is unmounted lazily. It B(stays in use) until its last user ends.
    type: bool
    default: false
  sysrq:
    description: Whether the kernel is to log its blocked tasks and what each CPU does, first.
    type: bool
    default: false
  evidence:
    description: File for the kernel's log and state. Where it can't be written, C(/run/vexlab-recover.txt) is taken.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: It is told what would be taken down. Nothing is, and no evidence is written.
"""

EXAMPLES = r"""
- name: Take it down
  vexfs.vexlab.recover:
    type: myfs
    module: myfs
    point: /mnt/vexlab
    work: /var/lib/vexlab
    evidence: /var/lib/vexlab/recover.txt
  register: recovered
  failed_when: recovered.left | length > 0
"""

RETURN = r"""
did:
  description: What was done, and in check mode what would be tried.
  returned: always
  type: list
  elements: str
  sample: [unmounted /mnt/vexlab, losetup --detach /dev/loop0, rmmod myfs]
left:
  description: What is still there, and why. Always empty in check mode.
  returned: always
  type: list
  elements: str
  sample: ["/mnt/vexlab is still mounted: umount: /mnt/vexlab: target is busy.; used by sleep (812)"]
evidence:
  description: The file that was written. Empty when none could be.
  returned: always
  type: str
  sample: /var/lib/vexlab/recover.txt
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.daemon import UNIT
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable

STEP_SECONDS = 30.0  # for each command; a busy disk takes a while to write what an unmount has it write
SYSRQ = "wl"  # blocked tasks, what each CPU does
SPARE = "/run/vexlab-recover.txt"  # in memory, for a host whose disk is full or can't be written
BLOCK = Path("/sys/block")
DAEMON = "the daemon"


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo: mount point, filesystem type, MAJOR:MINOR, and the device as it was named."""

    point: str
    kind: str
    number: str
    source: str


def run(*command: str) -> str:
    """Run a command: empty when it succeeded, else why not, in a sentence."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
    except OSError as problem:
        return f"{command[0]}: {problem.strerror}"
    try:
        said, _ = process.communicate(timeout=STEP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} hangs in the kernel ({where_in_kernel(process.pid)}); only a restart ends it"
        return f"{' '.join(command)} did not end within {STEP_SECONDS:.0f} s"
    return "" if process.returncode == 0 else " ".join(said.split()) or f"{command[0]} failed"


def where_in_kernel(pid: int) -> str:
    """The kernel's function in which a task waits."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text().strip() or "unknown place"
    return "unknown place"


def inside(path: str, directory: str) -> bool:
    """Whether a path is in a directory."""
    return path.startswith(directory.rstrip("/") + "/")


def all_mounts() -> list[Mount]:
    """Every mount, the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        number, point = left.split(" ")[2], left.split(" ")[4]
        kind, source = right.split(" ")[:2]
        found.append(Mount(plain(point), kind, number, plain(source)))
    return found[::-1]


def plain(text: str) -> str:
    """A path as it is, from its form in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def number_of(path: str) -> str:
    """MAJOR:MINOR of a block device; empty when there is none of that name."""
    try:
        device = os.stat(path).st_rdev  # noqa: PTH116
    except OSError:
        return ""
    return f"{os.major(device)}:{os.minor(device)}" if device else ""


class LabResources:
    """What belongs to the lab, as the kernel has it now."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        """Keep the names; `inputs` are those of the module."""
        self.kind, self.point, self.work = inputs["type"], inputs["point"], inputs["work"]
        self._device = inputs["device"]
        self.module: str = inputs["module"]
        self._before: list[str] = inputs["modules"]

    def modules(self) -> list[str]:
        """Those of its modules that are loaded, in the order in which they can go."""
        return [name for name in (self.module, *reversed(self._before)) if module_state(name)]

    def loops(self) -> list[str]:
        """Loop devices on files in the work directory, removed ones too."""
        found = []
        for path in sorted(BLOCK.glob("loop*/loop/backing_file")):
            with contextlib.suppress(OSError):
                if inside(path.read_text(errors="surrogateescape").strip(), self.work):
                    found.append(f"/dev/{path.parts[3]}")
        return found

    def maps(self) -> list[str]:
        """The mappings of the device mapper that the checks make; those of LVM and its like have a UUID."""
        found = []
        for path in BLOCK.glob("dm-*/dm"):
            with contextlib.suppress(OSError):
                name, uuid = ((path / key).read_text().strip() for key in ("name", "uuid"))
                if name.startswith("vexlab-") and not uuid:
                    found.append(name)
        return sorted(found)

    def mounts(self) -> list[Mount]:
        """Its mounts, the last mounted first."""
        devices = [self._device, *self.loops(), *(f"/dev/mapper/{name}" for name in self.maps())]
        numbers = {number for device in devices if device and (number := number_of(device))}
        return [
            mount
            for mount in all_mounts()
            if (mount.point == self.point and mount.kind == self.kind)
            or inside(mount.point, self.work)
            or mount.number in numbers
            or (mount.number.startswith("0:") and number_of(mount.source) in numbers)  # such as of btrfs
        ]

    def others(self) -> list[str]:
        """Where filesystems of its type are mounted that aren't its own."""
        own = self.mounts()
        return [mount.point for mount in all_mounts() if mount.kind == self.kind and mount not in own]


def users(point: str) -> str:
    """The processes that use a mount, in words."""
    found = []
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            links = [entry / "cwd", entry / "root", *(entry / "fd").iterdir()]
            for link in links:
                with contextlib.suppress(OSError):
                    if (used := str(link.readlink())) == point or inside(used, point):
                        found.append(f"{(entry / 'comm').read_text().strip()} ({entry.name})")
                        break
    return f"; used by {', '.join(found[:5])}" if found else ""


def registered(kind: str) -> bool:
    """Whether the kernel knows the filesystem."""
    return kind in [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]


def module_state(name: str) -> str:
    """What /proc/modules says of the module; empty when it isn't loaded."""
    try:
        lines = Path("/proc/modules").read_text().splitlines()
    except FileNotFoundError:  # a kernel that can't have modules
        return ""
    return next((line for line in lines if line.split()[0] == name), "")


def daemon_runs() -> bool:
    """Whether the program runs that was started with the module."""
    return not run("systemctl", "is-active", "--quiet", UNIT)


def take_down(lab: LabResources, *, lazy: bool) -> tuple[list[str], list[str]]:
    """Unmount, unmap, detach, end the program, unload: what was done, and what was not possible."""
    did, failed = [], []
    for point in [mount.point for mount in lab.mounts()]:
        why = run("umount", point)
        if why and lazy and not (why := run("umount", "--lazy", point)):
            did.append(f"unmounted {point} lazily")
        elif why:
            failed.append(f"{point} is still mounted: {why}{users(point)}")
        else:
            did.append(f"unmounted {point}")
    if module_state(lab.module) and (others := lab.others()):
        failed.append(
            f"module {lab.module} is still there: what is not the lab's is mounted with it, at {', '.join(others)}"
        )
    for what, command in commands(lab):
        if what == DAEMON and (served := lab.mounts()):  # without it, who uses that might wait for ever
            failed.append(f"{DAEMON} is still there: what it serves is mounted at {served[0].point}")
        elif why := run(*command):
            failed.append(f"{what} is still there: {why}")
        else:
            did.append(f"{' '.join(command)}")
    return did, failed


def commands(lab: LabResources) -> list[tuple[str, list[str]]]:
    """What is to go beside the mounts, and the command for each.

    A module with which others have something mounted isn't even asked to go: that it counts its users is to be proven.
    Nor is what it needs.
    """
    steps = [(f"mapping {name}", ["dmsetup", "remove", "--retry", name]) for name in lab.maps()]
    steps += [(device, ["losetup", "--detach", device]) for device in lab.loops()]
    if lab.others():
        return steps
    steps += [(DAEMON, ["systemctl", "stop", UNIT])] if daemon_runs() else []
    return steps + [(f"module {name}", ["rmmod", name]) for name in lab.modules()]


def planned(lab: LabResources) -> list[str]:
    """What would be tried, in the words of what is done."""
    points = [f"unmounted {mount.point}" for mount in lab.mounts()]
    return points + [" ".join(command) for _, command in commands(lab)]


def still_there(lab: LabResources, *, unloaded: bool) -> list[str]:
    """What the kernel has of the lab now, whatever was done about it. `unloaded`: the module was there before."""
    found = [f"{mount.point} is still mounted" for mount in lab.mounts()]
    found += [f"mapping {name} is still there" for name in lab.maps()]
    deadline = time.monotonic() + 5  # the kernel frees a loop device when the last who looked at it has closed it
    while lab.loops() and time.monotonic() < deadline:
        time.sleep(0.1)
    found += [f"{device} is still there" for device in lab.loops()]
    found += [f"{DAEMON} is still there"] if daemon_runs() else []
    for name in lab.modules():
        _, uses, by, how = module_state(name).split()[1:5]
        found.append(f"module {name} is still there, {how}, use count {uses}, used by {by.rstrip(',')}")
    if unloaded and not module_state(lab.module) and registered(lab.kind):
        found.append(f"filesystem type {lab.kind} is still registered")
    return found


def told(failed: list[str], left: list[str]) -> list[str]:
    """What is left, with the reason that was given when it could not be taken down, where there is one."""
    reasons = [why for why in failed if any(why.startswith(one.partition(" is ")[0]) for one in left)]
    return reasons + [one for one in left if not any(why.startswith(one.partition(" is ")[0]) for why in reasons)]


def tried(title: str, read: Callable[[], str]) -> str:
    """A part of the evidence, or why it could not be had."""
    try:
        return f"--- {title}\n{read().strip()}"
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        return f"--- {title}\ncould not be read: {problem}"


def loops_in_words() -> str:
    """Every loop device and its file."""
    lines = []
    for path in sorted(BLOCK.glob("loop*/loop/backing_file")):
        with contextlib.suppress(OSError):
            lines.append(f"{path.parts[3]}: {path.read_text(errors='replace').strip()}")
    return "\n".join(lines)


def waiting() -> str:
    """The stacks of tasks that wait in the kernel."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "D":
                lines.append(f"{entry.name} {(entry / 'comm').read_text().strip()}\n{(entry / 'stack').read_text()}")
    return "\n".join(lines)


def log() -> str:
    """The kernel's log."""
    return subprocess.run(
        ["dmesg"], capture_output=True, text=True, errors="replace", check=False, timeout=STEP_SECONDS
    ).stdout


def state(title: str) -> str:
    """The kernel's state as text: taint, modules, mounts, loop devices, tasks that wait in it."""
    files = ("/proc/sys/kernel/tainted", "/proc/modules", "/proc/self/mounts", "/proc/swaps", "/proc/filesystems")
    parts = [f"=== {title} ===", f"time: {time.strftime('%Y-%m-%dT%H:%M:%S%z')}", f"kernel: {os.uname().release}"]
    parts += [tried(path, Path(path).read_text) for path in files]
    parts += [tried("loop devices", loops_in_words), tried("tasks that can't be interrupted", waiting)]
    return "\n".join(parts) + "\n"


def write(text: str, paths: list[str]) -> str:
    """Write the evidence to the first of these files that takes it; its path, empty when none does."""
    for name in paths:
        path = Path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, errors="replace")
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()  # a part of it would take the room that others need
            continue
        return name
    return ""


def recover(inputs: dict[str, Any]) -> dict[str, Any]:
    """Take down, look what is left, write the evidence; returns `did`, `left` and `evidence`."""
    lab = LabResources(inputs)
    before = state("before")  # kept in memory
    if inputs["sysrq"]:
        for key in SYSRQ:
            with contextlib.suppress(OSError):
                Path("/proc/sysrq-trigger").write_text(key)
    loaded = bool(module_state(lab.module))
    did, failed = take_down(lab, lazy=inputs["lazy"])
    left = told(failed, still_there(lab, unloaded=loaded))
    lines = [f"did: {line}\n" for line in did] + [f"left: {line}\n" for line in left]
    text = before + state("afterwards") + tried("the kernel's log", log) + "\n" + "".join(lines)
    return {"did": did, "left": left, "evidence": write(text, [inputs["evidence"], SPARE])}


def main() -> None:
    """Take down, or tell what would be."""
    text, optional, no = (
        {"type": "str", "required": True},
        {"type": "str", "default": ""},
        {"type": "bool", "default": False},
    )
    module = AnsibleModule(
        argument_spec={
            "type": text,
            "module": optional,
            "modules": {"type": "list", "elements": "str", "default": []},
            "point": text,
            "work": text,
            "device": optional,
            "lazy": no,
            "sysrq": no,
            "evidence": text,
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        answer = {"did": planned(LabResources(module.params)), "left": [], "evidence": ""}
    else:
        answer = recover(module.params)
    answer |= {name: [printable(line) for line in answer[name]] for name in ("did", "left")}
    module.exit_json(changed=bool(answer["did"]), **answer)


if __name__ == "__main__":
    main()
