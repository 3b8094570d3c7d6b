#!/usr/bin/env python3
"""Start and stop the QEMU guest of a lab; standard library only, so that it runs on any host that has QEMU.

Usage: guest.py start|stop|destroy|plan-start|plan-stop|plan-destroy|probe JSON

JSON is one object with the inputs of role vexlab_guest (see its argument specification). The last line on stdout is
a JSON object: {"changed", "reason", ...} or, with exit code 1, {"error", "hint"}.

One lock is held from the first look at the lab to its end, and everything that could race is done by the one process
that owns it: QEMU itself binds the forwarded port, so two labs can't both believe that a port is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

QEMU = "qemu-system-x86_64"
QEMU_MINIMUM = (6, 2)  # -action panic=pause (6.0), pvpanic-pci (6.0) and what Ubuntu 22.04 has
PORTS_TRIED = 100
# ssh adds a dot and 16 characters to a control path while it creates it; sun_path holds 108 bytes with its final NUL.
SOCKET_PATH_MAXIMUM = 108 - 1 - 17


class GuestError(Exception):
    """What went wrong and what to do next, for the person who started the lab."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep both parts; they become the fields `error` and `hint` of the answer."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class Lab:
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

    def kernel_arguments(self) -> str:
        """The kernel command line; the image brings the settings that make a kernel panic on an oops."""
        given = self.inputs["kernel_arguments"].strip()
        return f"root=/dev/vda rw console=ttyS0,115200 net.ifnames=0 {given}".strip()


def runtime_directory(given: str, lab_directory: Path) -> Path:
    """Where the sockets are: short, private, gone at a reboot. Named after the lab's directory, so that labs differ."""
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base or not os.access(base, os.W_OK):
        base = f"/tmp/vexlab-{os.getuid()}"
    digest = uuid.uuid5(uuid.NAMESPACE_URL, str(lab_directory)).hex[:12]
    return Path(base) / "vexlab" / digest


def private_directory(path: Path) -> None:
    """Make a directory that only we can enter; one that belongs to somebody else is refused."""
    for part in (path.parent, path):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.getuid() or not path.is_dir() or path.is_symlink():
        raise GuestError(f"{path} is not a directory of user {os.getuid()}", "remove it, or name another directory")
    path.chmod(0o700)


# --- The process, and the proof that it is ours ---------------------------------------------------------------------


def open_guest_process(lab: Lab, record: dict[str, Any]) -> tuple[int, int] | None:
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


def qmp_command(path: Path, command: str, seconds: float = 5.0) -> dict[str, Any]:
    """One QMP command over the control socket; raises OSError when nobody answers in time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        stream = connection.makefile("rw")
        stream.readline()
        for execute in ("qmp_capabilities", command):
            stream.write(json.dumps({"execute": execute}) + "\n")
            stream.flush()
            answer: dict[str, Any] = {"event": True}
            while "event" in answer:
                line = stream.readline()
                answer = json.loads(line) if line else {}
    return answer


def stop_guest(lab: Lab) -> bool:
    """End the guest if it runs; True if there was one. Asks QEMU first, and signals only a process proven ours."""
    record = lab.record()
    process = open_guest_process(lab, record)
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
        for number, patience in ((None, 5.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
            if number is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            if wait_for_end(descriptor, patience):
                break
        else:
            raise GuestError(f"QEMU, process {pid}, doesn't end", f"look at it: ps -o stat,wchan,cmd {pid}")
        os.close(descriptor)
    remove_leftovers(lab)
    return process is not None


def wait_for_end(descriptor: int, seconds: float) -> bool:
    """Whether the process behind a pidfd ended within so many seconds (a pidfd is readable when its process ended)."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def remove_leftovers(lab: Lab) -> None:
    """Remove what must not outlive a guest: keys, disk, sockets, inventory entry. The console log stays."""
    for path in (
        lab.overlay, lab.key, lab.key.with_suffix(".pub"), lab.host_key, lab.host_key.with_suffix(".pub"),
        lab.known_hosts, lab.inventory, lab.pid_file, lab.state, lab.control_path, lab.qmp, lab.qmp_control,
        lab.console_socket,
    ):  # fmt: skip
        path.unlink(missing_ok=True)


# --- What the host can do -------------------------------------------------------------------------------------------


def qemu_version() -> str:
    """The version of QEMU as it prints it; raises GuestError when it is missing or too old."""
    for tool, package in ((QEMU, "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("ssh-keygen", "openssh-client")):
        if shutil.which(tool) is None:
            raise GuestError(f"{tool} is not in PATH", f"apt-get install {package}")
    printed = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)(\.\d+)*", printed)
    if found is None:
        raise GuestError(f"{QEMU} --version printed no version: {printed[:200]!r}", "reinstall qemu-system-x86")
    if (int(found[1]), int(found[2])) < QEMU_MINIMUM:
        wanted = ".".join(map(str, QEMU_MINIMUM))
        raise GuestError(f"QEMU {found[0].removeprefix('version ')} is too old", f"install QEMU {wanted} or later")
    return found[0].removeprefix("version ")


def accelerator(wanted: str, lab: Lab, version: str) -> tuple[str, str]:
    """(accelerator, why): what was asked for, or KVM when it was seen to run a guest, else TCG."""
    if wanted == "tcg":
        return "tcg", "asked for"
    problem = kvm_problem(lab, version)
    if not problem:
        return "kvm", "a guest ran on it"
    if wanted == "kvm":
        raise GuestError(f"KVM was asked for, but {problem}", "use accelerator auto or tcg")
    return "tcg", problem


def kvm_problem(lab: Lab, version: str) -> str:
    """Why KVM can't be used; empty when it runs a guest.

    /dev/kvm can open and create a VM and still run no guest, or run a boot sector and fail at the first instruction
    of a kernel that it must emulate. So both are tried, with the CPU that the guest gets. The answer holds until the
    next boot of this machine.
    """
    if not Path("/dev/kvm").exists():
        return "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user"
    image = lab.inputs.get("image", "")
    stamp = [version, image, Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
    cache = lab.runtime.parent / "kvm-probe.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(cache.read_text())
        if known["stamp"] == stamp:
            return str(known["problem"])
    problem = boot_sector_problem() or (kernel_problem(Path(image)) if image else "")
    cache.write_text(json.dumps({"stamp": stamp, "problem": problem}))
    return problem


def boot_sector_problem() -> str:
    """Why a boot sector doesn't run on KVM; empty when it does. It leaves through the debug-exit port."""
    # mov dx, 0xf4; mov al, 0x31; out dx, al; hlt. The device turns 0x31 into exit code 0x31 * 2 + 1.
    boot_sector = b"\xba\xf4\x00\xb0\x31\xee\xf4".ljust(510, b"\0") + b"\x55\xaa"
    with tempfile.NamedTemporaryFile() as image:
        image.write(boot_sector)
        image.flush()
        arguments = ["-m", "16", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        code, said = try_kvm([*arguments, "-drive", f"file={image.name},format=raw,if=ide"], seconds=5)
    if code is None:
        return "a boot sector didn't run on it within 5 s"
    return "" if code == 0x31 * 2 + 1 else f"QEMU can't run a boot sector on it ({said or code})"


def kernel_problem(image: Path) -> str:
    """Why the image's kernel doesn't run on KVM; empty when it gets as far as to miss its root filesystem."""
    arguments = ["-m", "512", "-kernel", str(image / "vmlinuz"), "-append", "console=ttyS0 panic=-1", "-no-reboot"]
    with tempfile.NamedTemporaryFile() as console:
        code, said = try_kvm([*arguments, "-serial", f"file:{console.name}"], seconds=20)
        if b"Kernel panic" in Path(console.name).read_bytes():
            return ""
    return f"the guest's kernel doesn't run on it ({said or ('no answer within 20 s' if code is None else code)})"


def try_kvm(arguments: list[str], seconds: float) -> tuple[int | None, str]:
    """Run QEMU on KVM for so long at most: its exit code, None when it had to be ended, and the first line it said."""
    command = [QEMU, "-nodefaults", "-no-user-config", "-machine", "pc,accel=kvm", "-cpu", "host", "-display", "none"]
    with tempfile.TemporaryFile("w+") as words:
        try:
            code: int | None = subprocess.run(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                timeout=seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        words.seek(0)
        return code, words.readline().strip().removeprefix(f"{QEMU}: ")


# --- Starting -------------------------------------------------------------------------------------------------------


def make_keys(lab: Lab, identity: str) -> None:
    """A client key and a host key for this guest alone; the host key is pinned before the guest exists."""
    for path in (lab.key, lab.host_key):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"vexlab-{lab.name}", "-f", str(path)], check=True
        )
    public = " ".join(lab.host_key.with_suffix(".pub").read_text().split()[:2])
    lab.known_hosts.write_text(f"{identity} {public}\n")


def make_overlay(lab: Lab, image: Path) -> None:
    """An empty qcow2 whose backing file is the image; the image itself is never written."""
    made = subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image / "disk.qcow2"), str(lab.overlay)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise GuestError(f"the overlay can't be made: {made.stderr.strip()}", f"is there space in {lab.directory}?")


def qemu_arguments(lab: Lab, image: Path, identity: str, chosen: str, port: int) -> list[str]:
    """The whole command line of the guest."""
    inputs = lab.inputs

    def option(path: Path) -> str:
        return str(path).replace(",", ",,")  # QEMU's way to write a comma inside an option's value

    arguments = [
        QEMU, "-nodefaults", "-no-user-config", "-name", f"guest=vexlab-{lab.name}", "-uuid", identity,
        "-machine", "pc,accel=kvm" if chosen == "kvm" else "pc", "-cpu", "host" if chosen == "kvm" else "max,la57=off",
        "-smp", str(inputs["cpus"]), "-m", str(inputs["memory_mb"]),
        "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"), "-append", lab.kernel_arguments(),
        "-drive", f"file={option(lab.overlay)},format=qcow2,if=virtio,discard=unmap",
        "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci",
        "-device", "pvpanic-pci", "-action", "panic=pause,reboot=shutdown",
        "-fw_cfg", f"name=opt/vexlab/authorized_keys,file={option(lab.key.with_suffix('.pub'))}",
        "-fw_cfg", f"name=opt/vexlab/ssh_host_ed25519_key,file={option(lab.host_key)}",
        "-fw_cfg", f"name=opt/vexlab/hostname,string=vexlab-{lab.name}",
        "-chardev", f"socket,id=console,path={option(lab.console_socket)},server=on,wait=off,"
                    f"logfile={option(lab.console)},logappend=off",
        "-serial", "chardev:console",
        "-qmp", f"unix:{option(lab.qmp)},server=on,wait=off",
        "-qmp", f"unix:{option(lab.qmp_control)},server=on,wait=off",
        "-display", "none", "-pidfile", str(lab.pid_file), "-daemonize",
    ]  # fmt: skip
    if chosen == "tcg":
        arguments += ["-accel", "tcg,thread=multi"]
    if inputs["source"]:
        arguments += [
            "-virtfs",
            f"local,path={option(Path(inputs['source']))},mount_tag={inputs['mount_tag']},security_model=none,"
            "readonly=on,multidevs=remap",
        ]
    return arguments


def launch(lab: Lab, image: Path, identity: str, chosen: str) -> int:
    """Start QEMU on the first port that it can bind; returns that port."""
    first = int(lab.inputs["ssh_port"])
    # A guest outlives the run that started it: it must not carry the run's marks in its environment.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VEXLAB_", "ANSIBLE_"))}
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        arguments = qemu_arguments(lab, image, identity, chosen, port)
        with lab.qemu_log.open("w") as log:
            log.write(shlex.join(arguments) + "\n")
            log.flush()
            code = subprocess.run(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, check=False
            ).returncode
        if code == 0:
            return port
        said = lab.qemu_log.read_text().splitlines()[1:]
        if not any("host forwarding" in line for line in said):
            raise GuestError(f"QEMU didn't start: {' '.join(said)[-600:]}", f"the command is in {lab.qemu_log}")
    raise GuestError(f"no free port for ssh from {first} to {first + PORTS_TRIED - 1}", "name another vexlab_ssh_port")


def ssh_options(lab: Lab, identity: str) -> list[str]:
    """THE way to reach the guest; role, Ansible, testinfra and `vexlab ssh` all use these."""
    return [
        "-F", "/dev/null", "-o", f"UserKnownHostsFile={lab.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", f"HostKeyAlias={identity}", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
        "-o", "PreferredAuthentications=publickey", "-o", "ControlMaster=auto", "-o", "ControlPersist=3600",
        "-o", f"ControlPath={lab.control_path}", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6",
        "-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR",
    ]  # fmt: skip


def wait_until_ready(lab: Lab, identity: str, port: int, deadline: float) -> float:
    """Log in, until it works or the deadline (time.monotonic) passes; returns the seconds it took."""
    started = time.monotonic()
    command = ["ssh", *ssh_options(lab, identity), "-i", str(lab.key), "-p", str(port), "root@127.0.0.1", "true"]
    said = ""
    while time.monotonic() < deadline:
        if open_guest_process(lab, lab.record()) is None:
            raise GuestError(f"QEMU ended while the guest started; the console's last lines:\n{console_tail(lab)}")
        left = max(1.0, deadline - time.monotonic())
        try:
            # The control connection stays behind and must not hold our pipes open, so its words go to a file.
            with tempfile.TemporaryFile("w+") as words:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, timeout=min(left, 45), check=False
                ).returncode
                words.seek(0)
                said = words.read().strip()
        except subprocess.TimeoutExpired:
            code, said = 255, "ssh got no answer"
        if code == 0 and time.monotonic() <= deadline:
            return time.monotonic() - started
        time.sleep(0.5)
    raise GuestError(
        f"the guest did not answer ssh within {lab.inputs['boot_deadline']} s ({said or 'no answer'}); "
        f"the console's last lines:\n{console_tail(lab)}",
        f"the whole console is in {lab.console}",
    )


def console_tail(lab: Lab, lines: int = 15) -> str:
    """The last lines of the serial console, without terminal control sequences."""
    try:
        text = lab.console.read_text(errors="replace")
    except OSError:
        return "(nothing was written to the console)"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"  | {line}" for line in kept) or "(nothing was written to the console)"


def write_inventory(lab: Lab, identity: str, port: int, chosen: str) -> None:
    """The guest's inventory entry: literals only, since testinfra sees them unrendered."""
    options = ssh_options(lab, identity)
    entry = {
        "ansible_host": "127.0.0.1",
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": shlex.join(options),
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


def wanted_parameters(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs that a running guest can't take on: if one of them differs, the guest is replaced."""
    names = ("image", "memory_mb", "cpus", "accelerator", "source", "mount_tag", "kernel_arguments")
    return {name: inputs[name] for name in names}


def difference(lab: Lab) -> str:
    """Why a guest has to be started; empty when the one that is wanted runs."""
    record = lab.record()
    process = open_guest_process(lab, record)
    if process is None:
        return "the guest was gone" if record else "there was no guest"
    os.close(process[1])
    if record.get("state") != "ready":
        return "an earlier start was interrupted"
    wanted = wanted_parameters(lab.inputs)
    other = [name for name, value in wanted.items() if record.get("parameters", {}).get(name) != value]
    if other:
        return f"{', '.join(other)} changed"
    with contextlib.suppress(OSError, ValueError):
        status = qmp_command(lab.qmp_control, "query-status").get("return", {}).get("status")
        return "" if status == "running" else f"the guest was {status}"
    return "QEMU did not answer"


def start(lab: Lab) -> dict[str, Any]:
    """Bring up the guest that is wanted, or find it running."""
    reason = difference(lab)
    if not reason:
        return {"changed": False, "reason": "the guest is up", "guest": lab.record()}
    version = qemu_version()
    check_inputs(lab)
    stop_guest(lab)
    image = Path(lab.inputs["image"])
    chosen, why = accelerator(lab.inputs["accelerator"], lab, version)
    identity = str(uuid.uuid4())
    record: dict[str, Any] = {
        "schema": 1, "lab": lab.name, "uuid": identity, "state": "starting", "accelerator": chosen,
        "accelerator_reason": why, "qemu": version, "parameters": wanted_parameters(lab.inputs),
        "source": lab.inputs["source"], "started": time.time(), "console": str(lab.console), "qmp": str(lab.qmp),
        "qmp_control": str(lab.qmp_control), "console_socket": str(lab.console_socket),
        "control_path": str(lab.control_path),
    }  # fmt: skip
    lab.write_record(record)  # before QEMU starts: a run that is killed now can still be cleaned up
    try:
        make_keys(lab, identity)
        make_overlay(lab, image)
        deadline = time.monotonic() + float(lab.inputs["boot_deadline"])
        port = launch(lab, image, identity, chosen)
        record |= {"port": port, "pid": int(lab.pid_file.read_text())}
        lab.write_record(record)
        record |= {"boot_seconds": round(wait_until_ready(lab, identity, port, deadline), 1), "state": "ready"}
        write_inventory(lab, identity, port, chosen)
        lab.write_record(record)
    except BaseException:
        stop_guest(lab)
        raise
    return {"changed": True, "reason": reason, "guest": record}


def check_inputs(lab: Lab) -> None:
    """What would otherwise fail late or with QEMU's words."""
    image, source = Path(lab.inputs["image"]), lab.inputs["source"]
    for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
        if not os.access(image / name, os.R_OK):
            raise GuestError(f"{image / name} is missing or unreadable", "build the image again: role vexlab_image")
    if source and not os.access(source, os.R_OK | os.X_OK):
        raise GuestError(f"the source directory {source} is missing or unreadable", "name another one")
    longest = max(len(os.fsencode(path)) for path in (lab.control_path, lab.qmp_control, lab.console_socket))
    if longest > SOCKET_PATH_MAXIMUM:
        raise GuestError(
            f"{lab.runtime} is too long for sockets in it ({longest} of {SOCKET_PATH_MAXIMUM} bytes)",
            "set vexlab_guest_runtime_directory, or XDG_RUNTIME_DIR, to a shorter one",
        )


@contextlib.contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Hold the lab; raises GuestError when somebody else holds it for longer than a start takes."""
    with (lab.directory / "guest.lock").open("w") as handle:
        os.set_inheritable(handle.fileno(), False)
        deadline = time.monotonic() + float(lab.inputs["boot_deadline"])
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise GuestError(f"another run holds the guest of lab {lab.name}", "wait for it to end") from None
                time.sleep(0.5)
        yield


def perform(verb: str, lab: Lab) -> dict[str, Any]:  # noqa: PLR0911  a verb each
    """Do one of the verbs of the command line; returns the answer to print."""
    if verb == "plan-start":
        reason = difference(lab) if lab.directory.exists() else "there was no guest"
        return {"changed": bool(reason), "reason": reason or "the guest is up", "guest": lab.record()}
    if verb == "probe":
        private_directory(lab.runtime)
        version = qemu_version()
        chosen, why = accelerator(lab.inputs["accelerator"], lab, version)
        return {"changed": False, "reason": why, "accelerator": chosen, "qemu": version}
    if verb.startswith("plan-"):
        process = open_guest_process(lab, lab.record())
        there = lab.directory.exists() if verb == "plan-destroy" else process is not None
        return {"changed": there, "reason": "it would be ended" if there else "nothing to end"}
    if verb in ("stop", "destroy") and not lab.directory.exists():
        return {"changed": False, "reason": "there is no such lab"}
    lab.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_directory(lab.directory)
    private_directory(lab.runtime)
    with locked(lab):
        if verb == "start":
            return start(lab)
        was_up = stop_guest(lab)
        if verb == "destroy":
            shutil.rmtree(lab.directory)
            shutil.rmtree(lab.runtime, ignore_errors=True)
            return {"changed": True, "reason": "guest stopped, lab removed" if was_up else "lab removed"}
        return {"changed": was_up, "reason": "guest stopped" if was_up else "the guest was not up"}


def main() -> int:
    """Run one verb; the answer is one JSON line on stdout."""
    verb, inputs = sys.argv[1], json.loads(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        answer = perform(verb, Lab(inputs))
    except GuestError as problem:
        print(json.dumps({"error": problem.message, "hint": problem.hint}))
        return 1
    except OSError as problem:
        print(json.dumps({"error": f"{problem.strerror}: {problem.filename}", "hint": ""}))
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
