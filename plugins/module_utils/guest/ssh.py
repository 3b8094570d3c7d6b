"""How the guest is reached: its keys, how it is told them, ssh's options, its inventory entry."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages

from .lab_files import GuestError, LabFiles
from .process import lasting_environment

DISKS_SECONDS = 60
CONSOLE_END = 1 << 20  # bytes; a kernel that died says nothing after that
# Until a connection is there: two Pythons start and compile, which took over a minute on a busy machine that emulates.
CONNECT_SECONDS = 180


def make_keys(lab: LabFiles, identity: str) -> None:
    """A client key and a host key for this guest alone; the host key is pinned before the guest has it."""
    for path in (lab.key, lab.host_key):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"vexlab-{lab.name}", "-f", str(path)], check=True
        )
    public = " ".join(lab.host_key.with_suffix(".pub").read_text().split()[:2])
    lab.known_hosts.write_text(f"{identity} {public}\n")


def provision(lab: LabFiles, *, restored: bool, deadline: float, alive: Callable[[], bool]) -> None:
    """Tell the guest who it is, and wait until it has taken that on; see rootfs/usr/lib/vexlab/provision of the image.

    A restored guest has the clock and the random numbers of the moment it was saved: it gets new ones before anything
    else, and no key is ever part of a saved state.
    """
    seed = base64.b64encode(os.urandom(64)).decode()
    lines = [f"seed {seed}"] if restored else []
    lines += [f"hostname vexlab-{lab.name}", "authorized_keys", lab.key.with_suffix(".pub").read_text().strip(), "."]
    lines += ["host_key", lab.host_key.read_text().strip(), "."]
    lines += [f"clock {time.time():.3f}", "identify"] if restored else []
    converse(lab, "".join(f"{line}\n" for line in [*lines, "serve"]), "serving", deadline, alive)


def converse(lab: LabFiles, message: str, answer: str, deadline: float, alive: Callable[[], bool]) -> None:
    """Send words to the guest's provisioning service and wait for the line that answers them."""
    said = b""
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(1.0)
        port.connect(str(lab.provision_socket))
        port.sendall(message.encode())  # some hundred bytes: they fit the socket before the guest reads one
        while f"{answer}\n".encode() not in said:
            see_that_it_lives(lab, alive)
            if time.monotonic() > deadline:
                raise too_late(lab, "its provisioning service is silent")
            try:
                said += port.recv(4096)
            except socket.timeout:  # which is no TimeoutError before Python 3.10
                continue


def see_that_it_lives(lab: LabFiles, alive: Callable[[], bool]) -> None:
    """Raise GuestError when QEMU has ended, or the guest's kernel died, which no deadline need be waited for."""
    if not alive():
        raise GuestError(f"QEMU ended while the guest started; the console's last lines:\n{console_tail(lab)}")
    with contextlib.suppress(OSError):
        if kernel_messages.panicked(console_end(lab).decode(errors="replace")):
            raise GuestError(
                f"the guest's kernel died while it started; the console's last lines:\n{console_tail(lab)}"
            )


def too_late(lab: LabFiles, why: str) -> GuestError:
    """What is told when the guest misses its deadline."""
    return GuestError(
        f"the guest did not answer ssh within {lab.inputs['boot_deadline']} s ({why}); "
        f"the console's last lines:\n{console_tail(lab)}",
        f"the whole console is in {lab.console}",
    )


def ssh_options(lab: LabFiles, identity: str) -> list[str]:
    """THE way to reach the guest; role, Ansible, testinfra and `vexlab ssh` all use these."""
    return [
        "-F", "/dev/null", "-o", f"UserKnownHostsFile={lab.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", f"HostKeyAlias={identity}", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
        "-o", "PreferredAuthentications=publickey", "-o", "ControlMaster=auto", "-o", "ControlPersist=3600",
        "-o", f"ControlPath={lab.control_path}", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6",
        "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR",
    ]  # fmt: skip


def login_command(lab: LabFiles, identity: str, port: int) -> list[str]:
    """The command that logs in to the guest; what it is to do there comes behind."""
    return ["ssh", *ssh_options(lab, identity), "-i", str(lab.key), "-p", str(port), "root@127.0.0.1"]


def wait_for_login(lab: LabFiles, identity: str, port: int, deadline: float, alive: Callable[[], bool]) -> None:
    """Log in until it works, or the deadline (time.monotonic) passes; the connection stays, for all that comes."""
    command = [*login_command(lab, identity, port), "true"]
    said = ""
    while time.monotonic() < deadline:
        see_that_it_lives(lab, alive)
        left = max(1.0, deadline - time.monotonic())
        try:
            # The control connection stays behind and must not hold our pipes open, so its words go to a file.
            with tempfile.TemporaryFile("w+") as words:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, timeout=min(left, 45), check=False,
                    env=lasting_environment(),
                ).returncode  # fmt: skip
                words.seek(0)
                said = words.read().strip()
        except subprocess.TimeoutExpired:
            code, said = 255, "ssh got no answer"
        if code == 0:
            return
        time.sleep(0.1)
    raise too_late(lab, said or "no answer")


def wait_for_disks(lab: LabFiles, identity: str, port: int) -> None:
    """Until the guest has found each of its disks, which it is told of while it runs."""
    links = [f"/dev/disk/by-id/virtio-{disk['serial']}" for disk in lab.inputs["disks"]]
    script = f"for disk in {shlex.join(links)}; do until [ -b $disk ]; do sleep 0.1; done; done"
    found = subprocess.run(
        [*login_command(lab, identity, port), f"timeout {DISKS_SECONDS} sh -c {shlex.quote(script)}"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, env=lasting_environment(),
    )  # fmt: skip
    if found.returncode:
        raise GuestError(f"the guest did not find its disks within {DISKS_SECONDS} s", f"the console: {lab.console}")


def console_end(lab: LabFiles) -> bytes:
    """As much of the serial console's end as can matter while the guest starts; raises OSError when there is none."""
    with lab.console.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - CONSOLE_END))
        return log.read()


def console_tail(lab: LabFiles, lines: int = 15) -> str:
    """The last lines of the serial console, without terminal control sequences."""
    try:
        text = console_end(lab).decode(errors="replace")
    except OSError:
        return "(nothing was written to the console)"
    kept = [line for line in map(kernel_messages.stamped, text.splitlines()) if line.strip()][-lines:]
    return "\n".join(f"  | {line}" for line in kept) or "(nothing was written to the console)"


def write_inventory(lab: LabFiles, identity: str, port: int, chosen: str) -> None:
    """The guest's inventory entry: literals only, since testinfra sees them unrendered."""
    options = ssh_options(lab, identity)
    entry = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": shlex.join(options),
        "ansible_ssh_timeout": CONNECT_SECONDS,
        # mitogen asks for this alone; without it, it would tell ssh to check nothing, ahead of the arguments above.
        "ansible_host_key_checking": True,
        "ansible_ssh_host_key_checking": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "vexlab_booted": {
            "accelerator": chosen,
            "image": lab.inputs["image"],
            # A command for rsync, to which the name of a host is added; HostName tells ssh where that is.
            "ssh": ["ssh", *options, "-o", "HostName=127.0.0.1", "-i", str(lab.key), "-p", str(port), "-l", "root"],
        },
    }
    document = {"vexlab": {"children": {"guests": {"hosts": {lab.name: entry}}}}}
    lab.inventory.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = lab.inventory.with_suffix(".tmp")
    # JSON is YAML; the inventory plugin goes by the content.
    temporary.write_text("---\n" + json.dumps(document, indent=2) + "\n")
    temporary.replace(lab.inventory)
