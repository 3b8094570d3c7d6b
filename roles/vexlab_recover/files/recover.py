#!/usr/bin/env python3
"""Take a filesystem that went wrong down, as far as the kernel lets go of it, and tell what is left.

Usage: recover.py JSON, with {"type", "module", "point", "work", "device", "lazy", "sysrq", "evidence"} as role
vexlab_recover has them. Standard library only; it may be read from standard input, and needs no file of the host.

Only what is the lab's is touched: mounts at its mount point, in its work directory and of its devices; those devices,
which are the named one, loop devices on files of the work directory and the checks' mappings; and the module. Every
step has a deadline: what hangs in the kernel is left behind and told of, since nothing ends it. What the kernel tells
of itself is written down when all that is done, where there is room for it. The last line on stdout is a JSON object:
{"did": what was done, "left": what is still there and why, "evidence": the file, empty when it could not be written}.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEP_SECONDS = 30.0  # for each command; a busy disk takes a while to write what an unmount has it write
SYSRQ = "wl"  # blocked tasks, what each CPU does
SPARE = "/run/vexlab-recover.txt"  # in memory, for a host whose disk is full or can't be written
BLOCK = Path("/sys/block")


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


class Lab:
    """What belongs to the lab, as the kernel has it now."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        """Keep the names; `inputs` are those of the script."""
        self.kind, self.point, self.work = inputs["type"], inputs["point"], inputs["work"]
        self._device = inputs["device"]

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


def take_down(lab: Lab, module: str, *, lazy: bool) -> tuple[list[str], list[str]]:
    """Unmount, unmap, detach, unload: what was done, and what was not possible."""
    did, failed = [], []
    for point in [mount.point for mount in lab.mounts()]:
        why = run("umount", point)
        if why and lazy and not (why := run("umount", "--lazy", point)):
            did.append(f"unmounted {point} lazily")
        elif why:
            failed.append(f"{point} is still mounted: {why}{users(point)}")
        else:
            did.append(f"unmounted {point}")
    steps = [(f"mapping {name}", ["dmsetup", "remove", "--retry", name]) for name in lab.maps()]
    steps += [(device, ["losetup", "--detach", device]) for device in lab.loops()]
    others = lab.others()
    if module_state(module) and others:  # it isn't even asked to go: that a module counts its users is to be proven
        failed.append(
            f"module {module} is still there: what is not the lab's is mounted with it, at {', '.join(others)}"
        )
    elif module_state(module):
        steps.append((f"module {module}", ["rmmod", module]))
    for what, command in steps:
        if why := run(*command):
            failed.append(f"{what} is still there: {why}")
        else:
            did.append(f"{' '.join(command)}")
    return did, failed


def still_there(lab: Lab, module: str, *, unloaded: bool) -> list[str]:
    """What the kernel has of the lab now, whatever was done about it. `unloaded`: the module was there before."""
    found = [f"{mount.point} is still mounted" for mount in lab.mounts()]
    found += [f"mapping {name} is still there" for name in lab.maps()]
    deadline = time.monotonic() + 5  # the kernel frees a loop device when the last who looked at it has closed it
    while lab.loops() and time.monotonic() < deadline:
        time.sleep(0.1)
    found += [f"{device} is still there" for device in lab.loops()]
    if state := module_state(module):
        _, uses, by, how = state.split()[1:5]
        found.append(f"module {module} is still there, {how}, use count {uses}, used by {by.rstrip(',')}")
    elif unloaded and registered(lab.kind):
        found.append(f"filesystem type {lab.kind} is still registered")
    return found


def told(failed: list[str], left: list[str]) -> list[str]:
    """What is left, with the reason that was given when it could not be taken down, where there is one."""
    reasons = [why for why in failed if any(why.startswith(one.partition(" is ")[0]) for one in left)]
    return reasons + [one for one in left if not any(why.startswith(one.partition(" is ")[0]) for why in reasons)]


# ---------------------------------------------------------------- evidence


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


def main() -> int:
    """Take down, look what is left, write the evidence; the answer is one JSON line on stdout."""
    inputs = json.loads(sys.argv[1])
    lab, module = Lab(inputs), inputs["module"]
    before = state("before")  # kept in memory
    if inputs["sysrq"]:
        for key in SYSRQ:
            with contextlib.suppress(OSError):
                Path("/proc/sysrq-trigger").write_text(key)
    loaded = bool(module_state(module))
    did, failed = take_down(lab, module, lazy=inputs["lazy"])
    left = told(failed, still_there(lab, module, unloaded=loaded))
    lines = [f"did: {line}\n" for line in did] + [f"left: {line}\n" for line in left]
    text = before + state("afterwards") + tried("the kernel's log", log) + "\n" + "".join(lines)
    print(json.dumps({"did": did, "left": left, "evidence": write(text, [inputs["evidence"], SPARE])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
