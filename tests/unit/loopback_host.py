"""A host that is this machine: an sshd of the test's own on a port of 127.0.0.1, and what a person has of it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
SECONDS = 60  # that a busy machine may take to start one


def why_not() -> str:
    """Why this machine can't be a host; empty when it can."""
    return "" if shutil.which(SSHD) else "no sshd is installed (apt-get install openssh-server)"


@dataclass(frozen=True)
class Host:
    """The host: its name in the inventory, and where things are."""

    place: Path
    port: int
    name: str = "far"

    @property
    def inventory(self) -> Path:
        return self.place / "inventory.yml"

    @property
    def known_hosts(self) -> Path:
        return self.place / "known_hosts"

    def know(self, key: str = "host_key") -> None:
        """Put a host key into known_hosts, as somebody does who has compared it."""
        kind, text = (self.place / f"{key}.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")

    def write_inventory(self) -> None:
        variables = {
            "ansible_host": "127.0.0.1", "ansible_port": self.port, "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": self.place / "key",
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.known_hosts} -o IdentitiesOnly=yes",
        }  # fmt: skip
        lines = "".join(f"      {name}: {value}\n" for name, value in variables.items())
        self.inventory.write_text(f"hypervisors:\n  hosts:\n    {self.name}:\n{lines}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(place: Path) -> Iterator[Host]:
    """Have it; its sshd is gone afterwards."""
    host = Host(place, free_port())
    for name in ("key", "host_key", "other_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    shutil.copyfile(place / "key.pub", place / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (place / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{host.port}\nHostKey {place}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {place}/authorized\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\nMaxStartups 50\n"
    )
    with (place / "sshd.log").open("wb") as log:
        sshd = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(place / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + SECONDS
        while "Server listening" not in (place / "sshd.log").read_text():
            assert sshd.poll() is None, (place / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        host.know()
        host.write_inventory()
        yield host
    finally:
        sshd.terminate()
        sshd.wait()
