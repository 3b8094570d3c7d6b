"""What the machine can do: which QEMU it has, and whether KVM runs a guest on it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .lab_files import GuestError, LabFiles

QEMU = "qemu-system-x86_64"
QEMU_MINIMUM = (6, 2)  # -action panic=pause (6.0), pvpanic-pci (6.0) and what Ubuntu 22.04 has


@functools.cache
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


def accelerator(wanted: str, lab: LabFiles, version: str) -> tuple[str, str]:
    """(accelerator, why): what was asked for, or KVM when it was seen to run a guest, else TCG."""
    if wanted == "tcg":
        return "tcg", "asked for"
    problem = kvm_problem(lab, version)
    if not problem:
        return "kvm", "it ran the guest's kernel" if lab.inputs.get("image") else "it ran a boot sector"
    if wanted == "kvm":
        raise GuestError(f"KVM was asked for, but {problem}", "use accelerator auto or tcg")
    return "tcg", problem


def kvm_problem(lab: LabFiles, version: str) -> str:
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
    above = lab.runtime.parent.stat()  # it is there for all labs, if nobody else can write to it
    is_ours = above.st_uid == os.geteuid() and not above.st_mode & 0o022
    digest = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]  # labs with several images take turns
    cache = (lab.runtime.parent if is_ours else lab.runtime) / f"kvm-probe-{digest}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(cache.read_text())["problem"])
    problem = boot_sector_problem() or (kernel_problem(Path(image)) if image else "")
    cache.write_text(json.dumps({"problem": problem}))
    return problem


# What QEMU gives up for good when it has started: other programs, other users, privileges, priorities.
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@functools.cache
def sandbox_problem() -> str:
    """Why this QEMU can't be run with SANDBOX, in its own words; empty when it can."""
    command = [QEMU, "-sandbox", SANDBOX, "-nodefaults", "-no-user-config", "-machine", "none", "-cpu", "help"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().partition("\n")[0].removeprefix(f"{QEMU}: ")
    return said or f"it ended with {done.returncode}"


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
        return "KVM didn't run a boot sector within 5 s"
    return "" if code == 0x31 * 2 + 1 else f"KVM doesn't run a boot sector: {said or code}"


def kernel_problem(image: Path) -> str:
    """Why the image's kernel doesn't run on KVM; empty when it gets as far as to miss its root filesystem."""
    arguments = ["-m", "512", "-kernel", str(image / "vmlinuz"), "-append", "console=ttyS0 panic=-1", "-no-reboot"]
    with tempfile.NamedTemporaryFile() as console:
        code, said = try_kvm([*arguments, "-serial", f"file:{console.name}"], seconds=20)
        if b"Kernel panic" in Path(console.name).read_bytes():
            return ""
    return f"KVM doesn't run the guest's kernel: {said or ('no answer within 20 s' if code is None else code)}"


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
