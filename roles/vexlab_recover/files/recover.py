#!/usr/bin/env python3
"""Take a filesystem that went wrong down, as far as the kernel lets go of it, and tell what is left.

Usage: recover.py JSON, with {"type", "module", "point", "work", "lazy", "sysrq", "evidence"} as role vexlab_recover has
them. Standard library only.

Every step has a deadline: what hangs in the kernel is left behind and told of, since nothing ends it. The kernel's log
and state are written to the file `evidence` before anything is touched, and again afterwards. The last line on stdout
is a JSON object: {"did": what was done, "left": what is still there and why}.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STEP_SECONDS = 30.0  # for each command; a busy disk takes a while to write what an unmount has it write
SYSRQ = "wl"  # blocked tasks, what each CPU does


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


def mounts(inputs: dict[str, Any]) -> list[str]:
    """Mount points of the filesystem's type, at its place and in the work directory, the last mounted first."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)
        if kind == inputs["type"] or (point == inputs["point"] and kind != "9p") or inside(point, inputs["work"]):
            found.append(point)
    return found[::-1]


def inside(path: str, directory: str) -> bool:
    """Whether a path is in a directory."""
    return path.startswith(directory.rstrip("/") + "/")


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


def loops(work: str) -> list[str]:
    """Loop devices on files in the work directory, removed ones too."""
    found = []
    for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with contextlib.suppress(OSError):
            if inside(path.read_text().strip(), work):
                found.append(f"/dev/{path.parts[3]}")
    return found


def maps() -> list[str]:
    """The mappings of the device mapper that the checks make."""
    names = [path.read_text().strip() for path in Path("/sys/block").glob("dm-*/dm/name")]
    return sorted(name for name in names if name.startswith("vexlab-"))


def registered(kind: str) -> bool:
    """Whether the kernel knows the filesystem."""
    return kind in [line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()]


def module_state(name: str) -> str:
    """What /proc/modules says of the module; empty when it isn't loaded."""
    lines = Path("/proc/modules").read_text().splitlines()
    return next((line for line in lines if line.split()[0] == name), "")


def take_down(inputs: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Unmount, unmap, detach, unload: what was done, and what was not possible."""
    did, failed = [], []
    for point in mounts(inputs):
        why = run("umount", point)
        if why and inputs["lazy"] and not (why := run("umount", "--lazy", point)):
            did.append(f"unmounted {point} lazily")
        elif why:
            failed.append(f"{point} is still mounted: {why}{users(point)}")
        else:
            did.append(f"unmounted {point}")
    steps = [(f"mapping {name}", ["dmsetup", "remove", "--retry", name]) for name in maps()]
    steps += [(device, ["losetup", "--detach", device]) for device in loops(inputs["work"])]
    if module_state(inputs["module"]):
        steps.append((f"module {inputs['module']}", ["rmmod", inputs["module"]]))
    for what, command in steps:
        if why := run(*command):
            failed.append(f"{what} is still there: {why}")
        else:
            did.append(f"{' '.join(command)}")
    return did, failed


def still_there(inputs: dict[str, Any]) -> list[str]:
    """What the kernel has of the filesystem now, whatever was done about it."""
    found = [f"{point} is still mounted" for point in mounts(inputs)]
    found += [f"mapping {name} is still there" for name in maps()]
    deadline = time.monotonic() + 5  # the kernel frees a loop device when the last who looked at it has closed it
    while loops(inputs["work"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    found += [f"{device} is still there" for device in loops(inputs["work"])]
    if state := module_state(inputs["module"]):
        _, uses, by, how = state.split()[1:5]
        found.append(f"module {inputs['module']} is still there, {how}, use count {uses}, used by {by.rstrip(',')}")
    elif registered(inputs["type"]):
        found.append(f"filesystem type {inputs['type']} is still registered")
    return found


def state(title: str, *, sysrq: bool) -> str:
    """The kernel's state as text: taint, modules, mounts, loop devices, tasks that wait in it, its log."""
    parts = [f"=== {title} ===", f"time: {time.strftime('%Y-%m-%dT%H:%M:%S%z')}", f"kernel: {os.uname().release}"]
    files = ("/proc/sys/kernel/tainted", "/proc/modules", "/proc/self/mounts", "/proc/swaps", "/proc/filesystems")
    parts += [f"--- {path}\n{Path(path).read_text().strip()}" for path in files]
    for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with contextlib.suppress(OSError):
            parts.append(f"--- {path.parts[3]}: {path.read_text().strip()}")
    parts.append("--- tasks that can't be interrupted")
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "D":
                parts.append(f"{entry.name} {(entry / 'comm').read_text().strip()}\n{(entry / 'stack').read_text()}")
    if sysrq:
        for key in SYSRQ:
            Path("/proc/sysrq-trigger").write_text(key)
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=False, timeout=STEP_SECONDS)
    parts.append(f"--- the kernel's log\n{log.stdout}")
    return "\n".join(parts) + "\n"


def main() -> int:
    """Collect, take down, look, collect; the answer is one JSON line on stdout."""
    inputs = json.loads(sys.argv[1])
    evidence = Path(inputs["evidence"])
    evidence.parent.mkdir(parents=True, exist_ok=True)
    evidence.write_text(state("before", sysrq=inputs["sysrq"]))
    did, failed = take_down(inputs)
    left = still_there(inputs)
    # A reason that was given when something could not be taken down says more than that it is there.
    told = [why for why in failed if any(why.startswith(one.partition(" is ")[0]) for one in left)]
    left = told + [one for one in left if not any(why.startswith(one.partition(" is ")[0]) for why in told)]
    with evidence.open("a") as file:
        file.write(state("afterwards", sysrq=False))
        file.write("".join(f"did: {line}\n" for line in did) + "".join(f"left: {line}\n" for line in left))
    print(json.dumps({"did": did, "left": left}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
