"""What the target has done around each mount: a command before it, options that only the guest knows, one after it.

A record in the guest has the commands, so that whatever mounts by `inside.system` does so, for the target's type alone.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from vexlab.guest.inside import second_device
from vexlab.guest.inside.attempts import ended

RECORD = Path("/run/vexlab-around-mounts.json")


def set_up(kind: str, commands: dict[str, str]) -> None:
    """Keep the commands of a type, by the fields of the target that have them; without one, forget them."""
    if any(commands.values()):
        RECORD.write_text(json.dumps({"kind": kind, "commands": commands}))
    else:
        RECORD.unlink(missing_ok=True)


def run(field: str, kind: str, device: str, point: str) -> str:
    """Run the command of a field, if a type has one; its stdout. Raises AssertionError when it fails."""
    try:
        told = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return ""
    command = told["commands"].get(field, "") if told["kind"] == kind else ""
    if not command:
        return ""
    code, stdout, stderr = ended(f"{second_device.exports(device)}MOUNT={shlex.quote(point)}; export MOUNT; {command}")
    said = " ".join(f"{stderr} {stdout}".split())[-600:] or "it said nothing"
    assert not code, f"vexlab_{field} ended with {code}: {said}"
    return str(stdout).strip()


def before(kind: str, device: str, point: str) -> str:
    """What is done before a mount; the options that it needs beside those that are known."""
    run("before_mount_command", kind, device, point)
    options = run("mount_options_command", kind, device, point)
    assert len(options.split()) < 2, f"vexlab_mount_options_command printed more than one word: {options}"
    return options


def after(kind: str, device: str, point: str) -> None:
    """What is done after an unmount."""
    run("after_unmount_command", kind, device, point)
