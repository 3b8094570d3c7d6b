"""QEMU's command line, and its start."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ..commands import running
from . import keeper
from .accelerator import QEMU, SANDBOX, qemu_version, sandbox_problem
from .lab_files import GuestError, LabFiles
from .process import lasting_environment, qmp_command

Process = subprocess.Popen[bytes]
PORTS_TRIED = 100
# A kernel that boots patches its own code in many places. With a thread for each CPU, QEMU 7.2 now and then goes on
# with a breakpoint that the kernel had taken away again ("Oops: int3", about one boot of twenty, on two busy cores).
# QEMU 8.1 locks a page of code while it translates it.
THREADS_ARE_SAFE = (8, 1)
# What QEMU takes long to emulate and nothing here is about; what a target adds comes behind it, and wins.
# QEMU keeps what it has translated by address. A program at random addresses is translated again each time it starts:
# 970,000 blocks in a `vexlab up` instead of 310,000. With large pages in programs it forgets all pages where it was
# told to forget one. No emulated CPU guesses what comes next, so nothing has to be kept from it.
LIGHTER_EMULATION = "norandmaps transparent_hugepage=never mitigations=off"

# All that QEMU has, but for what it is slow at. With fast string instructions (erms) a kernel clears and copies a page
# byte by byte, each of which is a turn of a loop here: an emulated guest takes half the time for a page fault without
# them, and a quarter for a read from the page cache. With five levels of page tables (la57) each look is longer.
EMULATED_CPU = "max,la57=off,erms=off"


@dataclass(frozen=True)
class Memory:
    """A file that holds the guest's memory.

    A guest that is to be saved writes it as it runs (`shared`); others map it privately, so that they read it page by
    page as they need it, and never change it. `restored`: there is a saved guest in it, who goes on.
    """

    path: Path
    shared: bool
    restored: bool

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptor that QEMU needs of ours, when the file has no name but that."""
        return (int(self.path.name),) if self.path.parent == Path("/proc/self/fd") else ()


def command_line(
    lab: LabFiles, image: Path, identity: str, chosen: str, *, port: int | None = None, memory: Memory | None = None
) -> list[str]:
    """The whole command line of a guest. A warm state is for exactly one set of devices: they are named here only."""
    inputs = lab.inputs

    def option(path: Path) -> str:
        return str(path).replace(",", ",,")  # QEMU's way to write a comma inside an option's value

    machine = "pc,accel=kvm" if chosen == "kvm" else "pc"
    forward = f",hostfwd=tcp:127.0.0.1:{port}-:22" if port else ""
    # The format has each line of the console say by its number whether the kernel wrote it, or a program in its name.
    # A filesystem that says five lines of each mount would overwrite the usual 128 KiB within one stage.
    messages = "console=ttyS0,115200 console_msg_format=syslog log_buf_len=2M"
    speed = f"{LIGHTER_EMULATION} " if chosen == "tcg" else ""
    kernel_arguments = f"root=/dev/vda rw {messages} net.ifnames=0 {speed}{inputs['kernel_arguments']}".strip()
    arguments = [
        QEMU, "-nodefaults", "-no-user-config", "-name", f"guest=vexlab-{lab.name}", "-uuid", identity,
        "-machine", f"{machine},memory-backend=memory" if memory else machine,
        "-cpu", "host" if chosen == "kvm" else EMULATED_CPU,
        "-smp", str(inputs["cpus"]), "-m", str(inputs["memory_mb"]),
        "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"), "-append", kernel_arguments,
        "-drive", f"file={option(lab.overlay)},format=qcow2,if=virtio,discard=unmap,cache=unsafe",
        "-netdev", f"user,id=net0,restrict=on{forward}",
        "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci",
        "-device", "pvpanic-pci", "-action", "panic=pause,reboot=shutdown",
        "-device", "vmcoreinfo",  # has the kernel tell a dump of the memory what it is; nothing reads one without
        # A disk that is thrown away need not survive the host: what the guest syncs stays in the host's cache.
        # The port over which the guest is told its keys and its name; see ssh.py.
        "-chardev", f"socket,id=provision,path={option(lab.provision_socket)},server=on,wait=off",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=provision,name=vexlab",
        "-chardev", f"socket,id=console,path={option(lab.console_socket)},server=on,wait=off,"
                    f"logfile={option(lab.console)},logappend=on",
        "-serial", "chardev:console",
        "-qmp", f"unix:{option(lab.qmp)},server=on,wait=off",
        "-qmp", f"unix:{option(lab.qmp_control)},server=on,wait=off",
        "-display", "none",
    ]  # fmt: skip
    if chosen == "tcg":
        restored = memory is not None and memory.restored
        arguments += ["-accel", f"tcg,thread={'multi' if restored or _threads_are_safe() else 'single'}"]
    if inputs["source"]:
        arguments += [
            "-virtfs",
            f"local,path={option(Path(inputs['source']))},mount_tag={inputs['mount_tag']},security_model=none,"
            "readonly=on,multidevs=remap",
        ]
    if memory:
        share = "on" if memory.shared else "off"
        size = f"size={inputs['memory_mb']}M"
        arguments += ["-object", f"memory-backend-file,id=memory,{size},mem-path={option(memory.path)},share={share}"]
        arguments += ["-incoming", "defer"] if memory.restored else []
    return arguments


def _threads_are_safe() -> bool:
    """Whether this QEMU can boot a guest with a thread for each emulated CPU."""
    major, minor = qemu_version().split(".")[:2]
    return (int(major), int(minor)) >= THREADS_ARE_SAFE


def make_overlay(overlay: Path, backing_file: Path) -> None:
    """An empty qcow2 over a backing file, which is never written."""
    _put("create", overlay, backing_file, "made")


def move_overlay(overlay: Path, backing_file: Path) -> None:
    """Have an overlay stand on another backing file, further down or elsewhere; it shows the same as before."""
    _put("rebase", overlay, backing_file, "moved")


def _put(command: str, overlay: Path, backing_file: Path, done_to_it: str) -> None:
    """Have qemu-img put an overlay on a backing file; raises GuestError, which says what was not done to it."""
    done = subprocess.run(
        ["qemu-img", command, "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(backing_file), str(overlay)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        problem = f"the overlay can't be {done_to_it}: {done.stderr.strip()}"
        raise GuestError(problem, f"look whether there is space in {overlay.parent}")


def confined() -> list[str]:
    """The options that take from QEMU what it needs no more, where it can be run with them."""
    return [] if sandbox_problem() else ["-sandbox", SANDBOX]


def launch(lab: LabFiles, image: Path, identity: str, chosen: str, memory: Memory | None = None) -> tuple[int, Process]:
    """Start QEMU on the first port that it can bind; returns that port, and the process, which outlives us."""
    first = int(lab.inputs["ssh_port"])
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        arguments = command_line(lab, image, identity, chosen, port=port, memory=memory)
        command = [*arguments, *confined(), "-pidfile", str(lab.pid_file)]
        process = _start(lab, command, memory.descriptors if memory else ())
        if process is not None:
            keeper.start(process.pid, [lab.console, lab.qemu_log], lasting_environment())
            return port, process
        said = words(lab)
        if not any("host forwarding" in line for line in said):
            raise GuestError(f"QEMU didn't start: {' '.join(said)[-600:]}", f"the command is in {lab.qemu_log}")
    raise GuestError(f"no free port for ssh from {first} to {first + PORTS_TRIED - 1}", "name another vexlab_ssh_port")


def _start(lab: LabFiles, arguments: list[str], descriptors: tuple[int, ...]) -> Process | None:
    """Start QEMU in a session of its own and wait until it answers; None when it ended instead.

    Its own -daemonize starts another process, which the sandbox refuses. One that nobody waits for any more is ended
    here: it may not have written its pid yet.
    """
    lab.qmp_control.unlink(missing_ok=True)
    lab.qemu_log.write_text(shlex.join(arguments) + "\n")
    with (
        lab.qemu_log.open("ab") as log,
        running(
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=lasting_environment(), cwd="/",
            umask=0o077, pass_fds=descriptors,
        ) as process,
    ):  # fmt: skip
        return process if _has_begun(lab, process) else None


def _has_begun(lab: LabFiles, process: Process) -> bool:
    """Wait until QEMU answers, which it does when all its devices are there; False when it ended instead."""
    deadline = time.monotonic() + float(lab.inputs["boot_deadline"])
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise GuestError("QEMU was started and does not answer", f"its messages are in {lab.qemu_log}")
        try:
            qmp_command(lab.qmp_control, "query-status")
        except (OSError, ValueError):
            time.sleep(0.01)
        else:
            return True
    return False


def words(lab: LabFiles) -> list[str]:
    """What QEMU said since it was started; the first line of its log is the command."""
    return lab.qemu_log.read_text(errors="replace").splitlines()[1:]


def plug(lab: LabFiles) -> None:
    """Add the disks that were asked for, blank, to a guest that runs.

    A guest of its own kind would have to be saved for each set of disks, were they on the command line.
    """
    for number, disk in enumerate(lab.inputs["disks"]):
        path = lab.disk(disk["serial"])
        with path.open("wb") as image:
            image.truncate(int(disk["size_mb"]) << 20)
        node, cache = f"disk{number}", {"no-flush": True}  # as the guest's own disk, it need not survive the host
        file = {"driver": "file", "filename": str(path), "discard": "unmap"}
        try:
            qmp_command(
                lab.qmp_control, "blockdev-add",
                {"driver": "raw", "node-name": node, "file": file, "cache": cache, "discard": "unmap"},
            )  # fmt: skip
            device = {"driver": "virtio-blk-pci", "drive": node, "id": disk["serial"], "serial": disk["serial"]}
            qmp_command(lab.qmp_control, "device_add", device)
        except (OSError, ValueError) as problem:
            raise GuestError(f"disk {disk['serial']} can't be added to the guest: {problem}", "") from problem


def launch_child(lab: LabFiles, arguments: list[str]) -> Process:
    """Start QEMU as a child that ends with us, however we end."""
    with lab.qemu_log.open("w") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments, *confined()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
