"""The files of one lab, and what is told to people when something is wrong with them."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

# ssh adds a dot and 16 characters to a control path while it creates it; sun_path holds 108 bytes with its final NUL.
SOCKET_PATH_MAXIMUM = 108 - 1 - 17


class GuestError(Exception):
    """What went wrong and what to do next, for the person who started the lab."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep both parts; they become the fields `error` and `hint` of the answer."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class LabFiles:
    """The files of one lab; nothing else knows their names."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        """Take the inputs of the role; no file is touched yet."""
        self.inputs = inputs
        self.name: str = inputs["lab"]
        self.directory = Path(inputs["directory"]).expanduser().absolute()
        self.runtime = runtime_directory(inputs["runtime_directory"], self.directory)
        self.state = self.directory / "guest.json"
        self.overlay = self.directory / "overlay.qcow2"
        self.console = self.directory / "console.log"
        self.qemu_log = self.directory / "qemu.log"
        self.key = self.directory / "ssh_key"
        self.host_key = self.directory / "ssh_host_key"
        self.known_hosts = self.directory / "known_hosts"
        self.inventory = self.directory / "inventory" / "guest.yml"
        self.pid_file = self.directory / "qemu.pid"
        self.control_path = self.runtime / "ssh"
        self.qmp = self.runtime / "qmp"
        self.qmp_control = self.runtime / "qmp-control"
        self.console_socket = self.runtime / "console"
        self.provision_socket = self.runtime / "provision"
        self.migration_socket = self.runtime / "migration"

    def disk(self, serial: str) -> Path:
        """The file of a disk beyond the guest's own."""
        return self.directory / f"disk-{serial}.raw"

    def record(self) -> dict[str, Any]:
        """What was written about the guest that was started last; empty when there is none or it can't be read."""
        try:
            record = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace the record in one step: a reader sees the old one or the new one."""
        temporary = self.state.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(self.state)


def runtime_directory(given: str, lab_directory: Path) -> Path:
    """Where the sockets are: short, private, gone at a reboot. Named after the lab's directory, so that labs differ."""
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base or not os.access(base, os.W_OK) or Path(base).stat().st_uid != os.geteuid():  # or sudo kept it
        base = f"/tmp/vexlab-{os.getuid()}"
    digest = uuid.uuid5(uuid.NAMESPACE_URL, str(lab_directory)).hex[:12]
    return Path(base) / "vexlab" / digest
