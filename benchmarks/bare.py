"""A guest that is restored with nothing around QEMU: what vexlab's way to start one is held against.

It is saved once it has its keys and its sshd runs, so that nothing is left to do but to go on, and it is restored as
vexlab's guests are: memory mapped from a file, devices from a stream. The device list is vexlab's, too.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import (
    accelerator,
    process,
    qemu,
    saved_state,
    ssh,
    warm,
)
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import LabFiles
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.private import private_directory

from benchmarks.labs import ROOT, Bench
from benchmarks.measure import run

SAVE_SECONDS = 60.0
# QEMU reads these from its standard input; the guest runs when it was running as it was saved.
MONITOR = 'migrate_set_capability x-ignore-shared on\nmigrate_incoming "exec:cat saved/devices && : >restored"\n'


class BareGuest:
    """The saved guest and its directory; `restore` may be called any number of times, with an `end` after each."""

    def __init__(self, bench: Bench, source: Path) -> None:
        """Make the saved guest: restore vexlab's, tell it its keys, log in once, save it."""
        self.bench = bench
        self.lab = LabFiles(bench.guest_inputs("bare", source=str(source)))
        self.directory = self.lab.directory
        self.identity = str(uuid.uuid4())
        self.accelerator = bench.prepared["accelerator"]
        private_directory(self.directory)
        private_directory(self.lab.runtime)
        saved = self.directory / "saved"
        saved.mkdir()
        state = warm.find_or_save(self.lab, bench.image, accelerator.qemu_version(), self.accelerator)
        subprocess.run(["cp", "--sparse=always", state.memory.path, saved / "memory"], check=True)
        self._write_record()
        ssh.make_keys(self.lab, self.identity)
        self.lab.overlay = saved / "disk.qcow2"
        qemu.make_overlay(self.lab.overlay, state.disk)
        port = free_port()
        try:
            self._launch(port, qemu.Memory(saved / "memory", shared=True, restored=True))
            saved_state.restore(self.lab, state)
            self._log_in_once(port)
            self._save(saved / "devices")
        finally:
            self.end()  # waits until QEMU has written what it holds of the disk
        self.lab.overlay = self.directory / "overlay.qcow2"
        (self.directory / "monitor").write_text(MONITOR)

    def make_ready(self) -> None:
        """Write the two commands that restore.sh calls; the port is one that is free now."""
        port = free_port()
        memory = qemu.Memory(self.directory / "saved" / "memory", shared=False, restored=True)
        command = qemu.command_line(
            self.lab, self.bench.image, self.identity, self.accelerator, port=port, memory=memory
        )
        command += ["-pidfile", str(self.lab.pid_file), "-monitor", "stdio"]
        login = ssh.login_command(self.lab, self.identity, port)
        for name, words in (("qemu", command), ("ssh", login)):
            path = self.directory / name
            path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            path.chmod(0o700)

    def restore(self) -> float:
        """Bring the guest back and log in: seconds."""
        self.make_ready()
        try:
            script = ROOT / "benchmarks" / "restore.sh"
            return run(["sh", script, self.directory], env=self.bench.environment).seconds
        finally:
            self.end()

    def end(self) -> None:
        """End the guest, and drop what it wrote."""
        process.end_process(self.lab)
        for path in (self.directory / "overlay.qcow2", self.directory / "restored", self.lab.pid_file):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the directory with the saved guest."""
        shutil.rmtree(self.directory)
        shutil.rmtree(self.lab.runtime, ignore_errors=True)

    # --- making the saved guest

    def _write_record(self) -> None:
        """What proves that a process is this guest, so that it can be ended."""
        self.lab.write_record(
            {
                "uuid": self.identity, "lab": self.lab.name, "control_path": str(self.lab.control_path),
                "parameters": self.bench.prepared["parameters"],
            }
        )  # fmt: skip

    def _launch(self, port: int, memory: qemu.Memory) -> None:
        command = qemu.command_line(
            self.lab, self.bench.image, self.identity, self.accelerator, port=port, memory=memory
        )
        command += ["-pidfile", str(self.lab.pid_file), "-daemonize"]
        run(command, env=self.bench.environment)

    def _log_in_once(self, port: int) -> None:
        deadline = time.monotonic() + SAVE_SECONDS

        def alive() -> bool:
            return self.lab.pid_file.exists()

        ssh.provision(self.lab, restored=True, deadline=deadline, alive=alive)
        ssh.wait_for_login(self.lab, self.identity, port, deadline, alive)
        # The connection must not be part of what is saved.
        leave = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={self.lab.control_path}", "-O", "exit", "guest"]
        subprocess.run(leave, check=True, capture_output=True)

    def _save(self, devices: Path) -> None:
        """Save it while it runs, so that it runs on when it is restored."""
        control = self.lab.qmp_control
        process.qmp_command(control, "migrate-set-capabilities", {"capabilities": saved_state.SHARED_MEMORY})
        uri = f"exec:cat > {shlex.quote(str(devices))}"
        process.qmp_command(control, "migrate", {"uri": uri})
        saved_state.wait_for_migration(control, SAVE_SECONDS)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody has bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
