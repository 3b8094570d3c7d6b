"""Two hypervisors that are this machine: network namespaces, each with an address, an sshd and an ordinary user.

Each user has a home, and with it a cache, of its own; the second one's is a small file system in memory. The namespaces
reach this machine and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NETWORKS = ("198.51.100", "203.0.113", "192.0.2")  # of documentation; a virtual machine may be in one all the same
HOME_MB = 2600  # what a build needs there, and some room


def run(*words: str) -> str:
    """Run a command that must succeed."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def why_not() -> str:
    """Why this machine can't be two hypervisors; empty when it can."""
    if os.geteuid():
        return "only root can make network namespaces and users"
    missing = [name for name in ("ip", "/usr/sbin/sshd", "useradd", "ssh-keygen") if shutil.which(name) is None]
    return f"missing: {', '.join(missing)} (apt-get install iproute2 openssh-server passwd)" if missing else ""


@dataclass
class Host:
    """A hypervisor: its name, which is that of its user, namespace and link, and where things are."""

    name: str
    network: str
    number: int
    place: Path
    memory_mb: int
    sshd: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        return f"{self.network}.{4 * self.number + 2}"

    @property
    def home(self) -> Path:
        return self.place / "home"

    def make(self, key: Path) -> None:
        """Make namespace, user and sshd; `key` is the public one that may come in."""
        self.place.mkdir(mode=0o755)
        self.home.mkdir()
        if self.memory_mb:
            run("mount", "-t", "tmpfs", "-o", f"size={self.memory_mb}m,mode=755", self.name, str(self.home))
        run("useradd", "--no-create-home", "--home-dir", str(self.home), "--shell", "/bin/bash", self.name)
        run("usermod", "--password", "*", self.name)  # no password, and not locked
        run("chown", f"{self.name}:", str(self.home))
        inner = f"{self.name}i"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", inner, "netns", self.name)
        run("ip", "address", "add", f"{self.network}.{4 * self.number + 1}/30", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        run("ip", "-n", self.name, "address", "add", f"{self.address}/30", "dev", inner)
        for device in ("lo", inner):
            run("ip", "-n", self.name, "link", "set", device, "up")
        shutil.copyfile(key, self.place / "authorized")
        (self.place / "authorized").chmod(0o644)
        self.new_host_key()
        self.start_sshd()

    def new_host_key(self) -> None:
        for path in self.place.glob("host_key*"):
            path.unlink()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / "host_key"))

    @property
    def known_host(self) -> str:
        """The line of known_hosts for it."""
        kind, key = (self.place / "host_key.pub").read_text().split()[:2]
        return f"{self.address} {kind} {key}\n"

    def start_sshd(self) -> None:
        (self.place / "sshd.log").write_text("")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (self.place / "sshd_config").write_text(
            f"ListenAddress {self.address}\nHostKey {self.place}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.place}/authorized\nStrictModes no\nPasswordAuthentication no\n"
            f"AllowUsers {self.name}\nSubsystem sftp internal-sftp\nMaxStartups 50\n"
        )
        self.sshd = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.place / "sshd_config")],
            stdin=subprocess.DEVNULL, stderr=(self.place / "sshd.log").open("ab"), start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while "Server listening" not in (self.place / "sshd.log").read_text():
            assert time.monotonic() < deadline, (self.place / "sshd.log").read_text()
            time.sleep(0.1)

    def kill_sshd(self) -> None:
        """Kill the sshd with all of its connections; what was begun by them goes on."""
        assert self.sshd is not None
        for pid in [self.sshd.pid, *children(self.sshd.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.sshd.wait()

    def link(self, state: str) -> None:
        """Cut the link to it, or put it back: down or up."""
        run("ip", "link", "set", self.name, state)

    def fill(self) -> None:
        """Fill the disk that its user has."""
        with (self.home / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(1 << 20)):
                pass

    def processes(self) -> list[int]:
        """Processes of its user."""
        user = pwd.getpwnam(self.name).pw_uid
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == user:
                    found.append(int(entry.name))
        return found

    def at_work(self) -> list[str]:
        """Command lines of what its user's cells have started, the connections to it aside."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [line[:200]] if line and not line.startswith("sshd: ") else []
        return found

    def remove(self) -> None:
        """Remove all of it, whatever is there."""
        if self.sshd is not None and self.sshd.poll() is None:
            self.kill_sshd()
        with contextlib.suppress(KeyError):
            deadline = time.monotonic() + 20
            while (left := self.processes()) and time.monotonic() < deadline:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
        commands: list[tuple[str, ...]] = [("ip", "netns", "del", self.name), ("userdel", self.name)]
        commands += [("umount", "--lazy", str(self.home))] if self.memory_mb else []
        for words in commands:
            subprocess.run(words, capture_output=True, check=False)
        shutil.rmtree(self.place, ignore_errors=True)


def children(pid: int) -> list[int]:
    """All that a process has started, and they, as long as they belong to one another."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, last = [], {pid}
    while last := {child for child, parent in parents.items() if parent in last}:
        found += sorted(last)
    return found


@dataclass(frozen=True)
class Site:
    """Two hypervisors, and what a person has of them: an inventory, a key and known_hosts."""

    place: Path
    hosts: tuple[Host, Host]

    @property
    def inventory(self) -> Path:
        return self.place / "inventory.yml"

    def know(self) -> None:
        """Put the host keys into known_hosts, as somebody does who has compared them."""
        (self.place / "known_hosts").write_text("".join(host.known_host for host in self.hosts))

    def write_inventory(self, **variables: object) -> None:
        """Write the inventory, with variables of all hosts."""
        known = "".join(f"    {name}: {value}\n" for name, value in variables.items())
        hosts = "".join(
            f"    {host.name}: {{ansible_host: {host.address}, ansible_user: {host.name}}}\n" for host in self.hosts
        )
        arguments = f"-o UserKnownHostsFile={self.place}/known_hosts -o ServerAliveInterval=0"
        self.inventory.write_text(
            f"hypervisors:\n  vars:\n    ansible_ssh_private_key_file: {self.place}/key\n"
            f"    ansible_ssh_common_args: {arguments}\n{known}  hosts:\n{hosts}"
        )


def free_network() -> str:
    """The beginning of addresses that this machine doesn't have, and knows no way to but that to all others."""
    taken = run("ip", "-o", "address") + run("ip", "route")
    return next(network for network in NETWORKS if f" {network}." not in f" {taken}".replace("\n", "\n "))


@contextlib.contextmanager
def site(place: Path, memory_mb: int = HOME_MB) -> Iterator[Site]:
    """Two hypervisors, which are gone afterwards whatever happens; the home of the second is so large."""
    network = free_network()
    names = [f"vx{os.getpid()}{letter}" for letter in "ab"]
    hosts = tuple(Host(name, network, at, place / name, memory_mb * at) for at, name in enumerate(names))
    made = Site(place, (hosts[0], hosts[1]))
    place.chmod(0o755)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key"))
    try:
        for host in hosts:
            host.make(place / "key.pub")
        made.know()
        made.write_inventory(vexlab_places=1, vexlab_host_free_mb=500)
        yield made
    finally:
        for host in hosts:
            host.remove()
