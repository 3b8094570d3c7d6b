"""Warm states: a guest that has booted and waits to be told who it is; it never had a key or a name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from . import fingerprint, qemu
from .lab_files import GuestError, LabFiles
from .private import private_directory
from .process import qmp_command
from .saved_state import FILES, FORMAT, State, StateError, locked, read_manifest, save_devices, whole, write_manifest
from .ssh import converse

NOBODY = "00000000-0000-0000-0000-000000000000"  # UUID of a guest that is nobody's yet
# A saved guest takes half of this; what is written on the way is the rest.
SPACE_NEEDED = 1 << 30


def key(lab: LabFiles, version: str, chosen: str) -> str:
    """Name a state after all it depends on beside its image: QEMU, the CPU if it is the host's, the command line."""
    source = "/source" if lab.inputs["source"] else ""
    stand_in = LabFiles(
        lab.inputs | {"lab": "warm", "directory": "/lab", "runtime_directory": "/run", "source": source},
    )
    memory = qemu.Memory(Path("/memory"), shared=False, restored=True)
    described = {
        "format": FORMAT,
        "qemu": version,
        "cpu": _host_cpu() if chosen == "kvm" else "",
        "arguments": qemu.command_line(stand_in, Path("/image"), NOBODY, chosen, memory=memory),
        "settle": SETTLE,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


# What the guest is asked to do before it is saved; rootfs/usr/lib/vexlab/provision of the image knows how.
SETTLE = "settle\n"


def _host_cpu() -> str:
    """Model and features of the host's CPU: a guest that has them can't go on under another."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    names = ("vendor_id", "model", "stepping", "microcode", "flags")
    return "\n".join(line for line in lines if line.startswith(names))


def find_or_save(lab: LabFiles, image: Path, version: str, chosen: str) -> State:
    """The state for this kind of guest; saved now, if there is none that is whole. Raises StateError."""
    base = image / "warm"
    name = key(lab, version, chosen)
    try:
        base.mkdir(exist_ok=True)
        with locked(base / f"{name}.lock"):
            directory = base / name
            if problem := read_manifest(directory)["problem"]:
                raise StateError(f"{problem}; it was tried when this image was first used")
            return whole(directory) or State(directory, True, _save(lab, image, chosen, directory))
    except OSError as problem:
        raise StateError(f"the state of a booted guest can't be kept in {base}: {problem}") from problem


def _save(lab: LabFiles, image: Path, chosen: str, directory: Path) -> dict[str, str]:
    """Boot a guest that belongs to nobody, let it settle, save it, and end it; its fingerprints. Raises StateError."""
    shutil.rmtree(directory, ignore_errors=True)
    work = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)  # of a start that was killed
    if shutil.disk_usage(directory.parent).free < SPACE_NEEDED:
        raise StateError(f"there is less than 1 GiB free in {directory.parent} for the state of a booted guest")
    source = str(work / "source") if lab.inputs["source"] else ""
    mould = LabFiles(
        lab.inputs
        | {"lab": "warm", "directory": str(work), "runtime_directory": str(lab.runtime / "warm"), "source": source}
    )
    work.mkdir(mode=0o700)
    private_directory(mould.runtime)
    if source:
        Path(source).mkdir()
    mould.overlay = work / "disk.qcow2"
    try:
        qemu.make_overlay(mould.overlay, Path(os.path.relpath(image / "disk.qcow2", work)))
        memory = qemu.Memory(work / "memory", shared=True, restored=False)
        process = qemu.launch_child(mould, qemu.command_line(mould, image, NOBODY, chosen, memory=memory))
        try:
            _settle_and_save(mould, process, work / "devices")
        finally:
            process.kill()
            process.wait()
        # Most of the guest's memory is still zeros, and zeros take no space in a file with holes.
        subprocess.run(["fallocate", "--dig-holes", str(memory.path)], check=False, capture_output=True)
        for path in work.iterdir():
            if path.name not in FILES:
                path.rmdir() if path.is_dir() else path.unlink()
        files = fingerprint.fingerprints(work, FILES)
        write_manifest(work, files)
        work.rename(directory)
    except (GuestError, OSError) as problem:
        raise StateError(f"a guest to start from could not be saved: {problem}") from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(mould.runtime, ignore_errors=True)
    return files


def _settle_and_save(mould: LabFiles, process: subprocess.Popen[bytes], devices: Path) -> None:
    deadline = time.monotonic() + float(mould.inputs["boot_deadline"])
    while not (mould.provision_socket.exists() and mould.qmp_control.exists()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise GuestError(f"QEMU didn't start: {mould.qemu_log.read_text()[-600:]}")
        time.sleep(0.02)
    converse(mould, SETTLE, "settled", deadline, lambda: process.poll() is None)
    save_devices(mould.qmp_control, mould.migration_socket, devices)
    qmp_command(mould.qmp_control, "quit")
    process.wait(timeout=30)
