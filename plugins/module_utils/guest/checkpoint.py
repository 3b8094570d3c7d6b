"""Checkpoints: a guest in which things were brought about, saved while it runs, from which other guests go on.

What was brought about is named by whoever asks, by a hash over all that decides it. A guest can be saved when its
memory is in a file that nobody else has: it is made when the guest starts, and has no name, so that nothing is left of
it when the guest ends. Saving stops the guest for less than a second; what the guest of another lab must not share with
it is replaced when that one starts (ssh.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import fingerprint, qemu, warm
from .lab_files import GuestError, LabFiles
from .process import lasting_environment, open_guest_process, qmp_command, wait_for_end
from .saved_state import FILES, State, StateError, copy_data, locked, save_devices, whole, write_manifest
from .ssh import converse, login_command

DIRECTORY = "checkpoints"
KEPT = 4  # of the checkpoints of an image, the ones that were used last
KEPT_DAYS = 14.0  # for which one is kept that nobody uses
MEMORY = "vexlab-memory"  # name of the file with a guest's memory, which is in no directory
MODULE = "module.ko"  # beside the state: what was loaded, for reading crashes
UNFINISHED = ".tmp"
HOLD_SECONDS = 20.0  # for the guest to let go of what can't be saved
SPACE_NEEDED = 1 << 30


def directory_of(lab: LabFiles, image: Path, version: str, chosen: str) -> Path:
    """Where the checkpoint is kept that a lab's input of that name asks for."""
    name = f"{warm.key(lab, version, chosen)} {lab.inputs['checkpoint']}"
    return image / DIRECTORY / hashlib.sha256(name.encode()).hexdigest()[:16]


def find(lab: LabFiles, image: Path, version: str, chosen: str) -> State | None:
    """The checkpoint that the lab asks for, if there is one that is whole."""
    directory = directory_of(lab, image, version, chosen)
    if not directory.is_dir():
        return None
    with contextlib.suppress(OSError), locked(directory.with_name(f"{directory.name}.lock")):
        if state := whole(directory):
            os.utime(directory)  # it is not the next one to go
            return state
        shutil.rmtree(directory)
    return None


@contextlib.contextmanager
def memory_of_its_own(state: State) -> Iterator[qemu.Memory]:
    """A copy of a saved guest's memory, in a file without a name that goes with the guest that has it."""
    descriptor = os.memfd_create(MEMORY)
    try:
        with state.memory.path.open("rb") as saved, os.fdopen(descriptor, "wb", closefd=False) as copy:
            copy_data(saved, copy)
        yield qemu.Memory(Path(f"/proc/self/fd/{descriptor}"), shared=True, restored=True)
    finally:
        os.close(descriptor)


def take_module(lab: LabFiles, state: State) -> None:
    """Keep beside the lab the module that is loaded in a guest that goes on from a checkpoint."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(state.directory / MODULE, lab.directory / MODULE)


def save(lab: LabFiles) -> dict[str, Any]:
    """Save the guest of a lab as the checkpoint that the lab asks for, unless it is there; what came of it."""
    record = lab.record()
    image = Path(lab.inputs["image"])
    directory = directory_of(lab, image, record["qemu"], record["accelerator"])
    try:
        directory.parent.mkdir(exist_ok=True)
        with locked(directory.with_name(f"{directory.name}.lock")):
            if whole(directory):
                return {"changed": False, "reason": "it is there", "checkpoint": str(directory)}
            stopped = _save(lab, record, image, directory)
        _prune(directory)
    except (OSError, GuestError, StateError) as problem:
        return {"changed": False, "reason": f"the guest could not be saved: {problem}", "checkpoint": ""}
    return {"changed": True, "reason": f"stopped for {stopped:.2f} s", "checkpoint": str(directory)}


def _save(lab: LabFiles, record: dict[str, Any], image: Path, directory: Path) -> float:
    """Save it; returns the seconds for which it was stopped. It goes on in any case."""
    shutil.rmtree(directory, ignore_errors=True)
    work = directory.with_name(f".{directory.name}{UNFINISHED}")
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    if shutil.disk_usage(directory.parent).free < SPACE_NEEDED:
        raise StateError(f"there is less than 1 GiB free in {directory.parent}")
    process = open_guest_process(lab, record)
    if process is None:
        raise StateError("it is gone")
    pid, descriptor = process
    work.mkdir(mode=0o700)
    try:
        with _open_memory(pid) as memory:
            deadline = time.monotonic() + HOLD_SECONDS

            def alive() -> bool:
                return not wait_for_end(descriptor, 0)

            _have_it_listen(lab, record)
            try:
                converse(lab, "hold\n", "held", deadline, alive)
                stopped = _copy(lab, record, memory, work)
            finally:
                converse(lab, "resume\n", "serving", deadline + HOLD_SECONDS, alive)
        qemu.move_overlay(work / "disk.qcow2", Path(os.path.relpath(image / "disk.qcow2", work)))
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(lab.directory / MODULE, work / MODULE)
        write_manifest(work, fingerprint.fingerprints(work, FILES))
        work.rename(directory)
    finally:
        os.close(descriptor)
        shutil.rmtree(work, ignore_errors=True)
    return stopped


@contextlib.contextmanager
def _open_memory(pid: int) -> Iterator[Any]:
    """The file with the memory of a guest, as its process has it open. Raises StateError when it has none."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if entry.readlink().name.startswith(f"memfd:{MEMORY}"):
                with entry.open("rb") as memory:
                    yield memory
                return
    raise StateError("its memory is not in a file of its own")


def _have_it_listen(lab: LabFiles, record: dict[str, Any]) -> None:
    """Wake the service in the guest that takes the lab's words; raises StateError."""
    wake = "systemctl kill --signal=USR1 --kill-whom=main vexlab-provision.service"
    try:
        done = subprocess.run(
            [*login_command(lab, record["uuid"], record["port"]), wake], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=HOLD_SECONDS, env=lasting_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired as problem:
        raise StateError(f"it did not answer within {HOLD_SECONDS:.0f} s") from problem
    if done.returncode:
        raise StateError(f"it could not be told to wait: {done.stderr.strip()}")


def _copy(lab: LabFiles, record: dict[str, Any], memory: Any, work: Path) -> float:
    """Stop the guest, copy all of it, have it go on; returns the seconds that this took.

    The record says so beforehand, and afterwards: whoever watches the guest takes no other pause for ours.
    """
    status = qmp_command(lab.qmp_control, "query-status")["status"]
    if status != "running":
        raise StateError(f"it is {status}")
    pauses = record.setdefault("pauses", {"begun": 0, "ended": 0})
    pauses["begun"] += 1
    lab.write_record(record)
    began = time.monotonic()
    try:
        save_devices(lab.qmp_control, lab.migration_socket, work / "devices")
        with (work / "memory").open("wb") as copy:
            copy_data(memory, copy)
        shutil.copyfile(lab.console, work / "console.log")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", lab.overlay, work / "disk.qcow2"], check=True)
    except subprocess.CalledProcessError as problem:
        raise StateError("its disk could not be copied") from problem
    finally:
        lab.migration_socket.unlink(missing_ok=True)
        qmp_command(lab.qmp_control, "cont")
        pauses["ended"] += 1
        lab.write_record(record)
    return time.monotonic() - began


def _prune(newest: Path) -> None:
    """Remove the checkpoints that were not used for longest, beyond the ones that are kept, and those that are old.

    So is what is left of a save that was killed: nobody holds its lock. Guests that went on from one go on.
    """
    states = [path for path in newest.parent.iterdir() if path.is_dir()]
    whole = sorted((path for path in states if not _is_unfinished(path)), key=lambda path: path.stat().st_mtime)
    too_old = time.time() - KEPT_DAYS * 86400
    old = [path for path in whole[-KEPT:] if path.stat().st_mtime < too_old]
    for path in [*whole[:-KEPT], *old, *filter(_is_unfinished, states)]:
        name = path.name.strip(".").removesuffix(UNFINISHED)
        with contextlib.suppress(OSError), locked(path.with_name(f"{name}.lock"), wait=False):
            shutil.rmtree(path)


def _is_unfinished(directory: Path) -> bool:
    """Whether a directory is one that a checkpoint is written to before it has its name."""
    return directory.name.startswith(".")
