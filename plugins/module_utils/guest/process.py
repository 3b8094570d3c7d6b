"""The guest's process: the proof that it is ours, what is said to it over QMP, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from .lab_files import GuestError, LabFiles


def lasting_environment() -> dict[str, str]:
    """Environment for what outlives this run: without the marks by which what belongs to the run is found and ended."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("VEXLAB_", "ANSIBLE_"))}


def open_guest_process(lab: LabFiles, record: dict[str, Any]) -> tuple[int, int] | None:
    """Open the guest's process: (pid, pidfd), or None when it doesn't run.

    A pid file says nothing about who has that number today. The descriptor is opened first and the command line read
    after it: when the line carries the UUID that was made for this guest, the descriptor is the guest, and stays it.
    """
    try:
        pid = int(lab.pid_file.read_text())
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        return None
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        arguments = []
    if record.get("uuid") and str(record["uuid"]).encode() in arguments:
        return pid, descriptor
    os.close(descriptor)
    return None


def qmp_command(path: Path, command: str, arguments: dict[str, Any] | None = None, seconds: float = 5.0) -> Any:
    """What QEMU returns for one QMP command; raises OSError when it doesn't answer in time, or refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()
        for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments or {}}):
            stream.write(json.dumps(order) + "\n")
            stream.flush()
            answer: dict[str, Any] = {"event": True}
            while "event" in answer:
                line = stream.readline()
                answer = json.loads(line) if line else {"error": {"desc": "it ended the connection"}}
            if "error" in answer:
                raise OSError(f"QEMU did not do {command}: {answer['error'].get('desc', answer['error'])}")
    return answer["return"]


def stop_guest(lab: LabFiles) -> bool:
    """End the guest if it runs, and remove what must not outlive it; True if there was one."""
    was_up = end_process(lab)
    remove_leftovers(lab)
    return was_up


def end_process(lab: LabFiles) -> bool:
    """End QEMU if it runs; True if it did. Asks it first, and signals only a process proven ours."""
    process = open_guest_process(lab, lab.record())
    if lab.control_path.exists():
        # A control connection to a guest that is gone would swallow the next guest's first commands.
        subprocess.run(
            ["ssh", "-F", "/dev/null", "-o", f"ControlPath={lab.control_path}", "-O", "exit", "guest"],
            capture_output=True, check=False, timeout=20,
        )  # fmt: skip
    if process is not None:
        pid, descriptor = process
        with contextlib.suppress(OSError, ValueError):
            qmp_command(lab.qmp_control, "quit")
        for number, patience in ((None, 3.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 10.0)):
            if number is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            if wait_for_end(descriptor, patience):
                break
        else:
            raise GuestError(f"QEMU, process {pid}, doesn't end", f"look at it: ps -o stat,wchan,cmd {pid}")
        os.close(descriptor)
    return process is not None


def wait_for_end(descriptor: int, seconds: float) -> bool:
    """Whether the process behind a pidfd ended within so many seconds (a pidfd is readable when its process ended)."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def remove_leftovers(lab: LabFiles) -> None:
    """Remove what must not outlive a guest: keys, disk, sockets, inventory entry. The console log stays."""
    for path in (
        lab.overlay, lab.key, lab.key.with_suffix(".pub"), lab.host_key, lab.host_key.with_suffix(".pub"),
        lab.known_hosts, lab.inventory, lab.pid_file, lab.state, lab.control_path, lab.qmp, lab.qmp_control,
        lab.console_socket, lab.provision_socket, lab.migration_socket, *lab.directory.glob("disk-*.raw"),
    ):  # fmt: skip
        path.unlink(missing_ok=True)
