"""A machine that vexlab didn't prepare: plain QEMU on an image's disk, an ordinary user with sudo, no share.

It looks like hardware: no hypervisor bit, no maker's name that gives QEMU away.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.qemu import EMULATED_CPU

DEADLINE = 300.0  # seconds until it answers, far above what emulation needs
HARDWARE = ("-cpu", f"{EMULATED_CPU},-hypervisor", "-smbios", "type=1,manufacturer=Acme,product=Desk,version=1")


@dataclass(frozen=True)
class Machine:
    """How to reach it as its ordinary user."""

    directory: Path
    port: int

    @property
    def key(self) -> Path:
        return self.directory / "key"

    def ssh(self, command: str, *, user: str = "ops", data: bytes = b"") -> str:
        options = ["-F", "/dev/null", "-i", str(self.key), "-o", f"UserKnownHostsFile={self.directory}/known_hosts"]
        options += ["-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-p", str(self.port)]
        done = subprocess.run(
            ["ssh", *options, f"{user}@127.0.0.1", command], input=data, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode().strip()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running(image: Path) -> Iterator[Machine]:
    """Boot a machine from an image; it is gone afterwards, with all that was written to it."""
    with tempfile.TemporaryDirectory(prefix="vexlab-plain-", dir="/var/tmp") as scratch:
        machine = Machine(Path(scratch), free_port())
        backing = ["-b", str(image / "disk.qcow2"), "-F", "qcow2"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, f"{scratch}/disk"], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(machine.key)], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{scratch}/host_key"], check=True)
        command = [
            "qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-accel", "tcg,thread=multi", *HARDWARE,
            "-smp", "2", "-m", "1024", "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"),
            "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0",
            "-drive", f"file={scratch}/disk,format=qcow2,if=virtio,cache=unsafe",
            "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{machine.port}-:22",
            "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci",
            "-chardev", f"socket,id=keys,path={scratch}/keys,server=on,wait=off",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=keys,name=keys",
            "-serial", f"file:{scratch}/console", "-display", "none",
        ]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as qemu:
            try:
                let_in(machine)
                yield machine
            finally:
                qemu.kill()


def let_in(machine: Machine) -> None:
    """Give it its keys, which the image has none of, and a user as an administrator would have made one."""
    public, private = machine.key.with_suffix(".pub").read_text().strip(), (machine.directory / "host_key").read_text()
    words = f"authorized_keys\n{public}\n.\nhost_key\n{private.strip()}\n.\nserve\n"
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(DEADLINE)
        end = time.monotonic() + DEADLINE
        while port.connect_ex(os.fspath(machine.directory / "keys")):  # QEMU makes the file before it listens
            assert time.monotonic() < end, "QEMU doesn't listen"
            time.sleep(0.1)
        port.sendall(words.encode())
        said = b""
        while b"serving\n" not in said:
            more = port.recv(4096)
            assert more, "the machine ended while it started"
            said += more
    make_user = (
        # No password; a locked account is none that sshd lets in when there is no PAM.
        "useradd --create-home --password '*' --shell /bin/bash ops; install -d -m 700 -o ops /home/ops/.ssh; "
        "install -m 600 -o ops /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys; "
        f"echo {shlex.quote('ops ALL=(ALL) NOPASSWD: ALL')} >/etc/sudoers.d/ops; rm /root/.ssh/authorized_keys"
    )
    end = time.monotonic() + DEADLINE
    while True:
        try:
            machine.ssh(make_user, user="root")
            return
        except AssertionError:  # sshd starts after it has said that it does
            if time.monotonic() > end:
                raise
            time.sleep(1)
