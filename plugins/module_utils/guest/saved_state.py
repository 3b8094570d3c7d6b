"""Saved guests: memory, devices and disk of one, from which any number of guests go on.

They are kept beside the image they come from, in `<image>/warm/<key>/` (warm.py) and `<image>/checkpoints/<key>/`
(checkpoint.py), and go with it. The key names everything that a state depends on. The source share is a device of the
guest, but it isn't mounted, since QEMU refuses to save a guest that has mounted it.

A state is told by its content, and names its image by a relative path: it may come from a copy of the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import fingerprint, qemu
from .accelerator import QEMU
from .lab_files import LabFiles
from .process import qmp_command

FORMAT = 2
FILES = ("memory", "devices", "disk.qcow2", "console.log")
MANIFEST = "manifest.json"
SAVE_SECONDS = 120.0
RESTORE_SECONDS = 60.0
BLOCK = 1 << 16  # bytes of memory that are all zeros or not
# How a QEMU ends by itself over a state that it can't take. Another signal came from outside.
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGFPE, signal.SIGILL)
REFUSAL = "load of migration failed"
NO_ROOM = ("Cannot allocate memory", "No space left on device", "Too many open files", "Disk quota exceeded")


class StateError(Exception):
    """Why a saved guest can't be had, or can't be gone on from."""


class RefusedError(StateError):
    """QEMU itself said that a state can't be restored, and not for want of memory or space."""


@dataclass(frozen=True)
class State:
    """A saved guest. `fresh`: it was saved by this very start."""

    directory: Path
    fresh: bool
    files: dict[str, str]  # their fingerprints

    @property
    def memory(self) -> qemu.Memory:
        """The file that restored guests map."""
        return qemu.Memory(self.directory / "memory", shared=False, restored=True)

    @property
    def disk(self) -> Path:
        """The backing file of the overlays of restored guests."""
        return self.directory / "disk.qcow2"

    @property
    def console(self) -> Path:
        """What the guest had said on its console before it was saved."""
        return self.directory / "console.log"

    def settle(self, problem: str, *, is_to_blame: bool) -> str:
        """Decide what becomes of a state that no guest came back from; returns the problem, with that in words.

        A state that is not what was saved goes, and so does one that is to blame: QEMU refused it. The next start saves
        another, unless this one was saved a moment ago; then it is noted that states of its kind don't restore here.
        What a machine lacks for a moment, or a signal from outside, costs nobody the state.
        """
        try:
            with locked(self.directory.with_name(f"{self.directory.name}.lock")):
                return f"{problem}{self._settled(problem, is_to_blame)}"
        except OSError:
            return problem  # it is gone, with its image

    def _settled(self, problem: str, is_to_blame: bool) -> str:
        """Do that; returns what was done, as the end of a sentence."""
        if read_manifest(self.directory)["files"] != self.files:
            return ""  # somebody else has replaced it
        if not fingerprint.are_the_same(self.directory, self.files, read=True):
            shutil.rmtree(self.directory)  # guests that run on it go on
            return "; the saved state was damaged, and is removed"
        if not is_to_blame:
            return "; the saved state is whole, and stays"
        if not self.fresh:
            shutil.rmtree(self.directory)
            return "; the saved state is removed"
        for name in FILES:
            (self.directory / name).unlink(missing_ok=True)
        write_manifest(self.directory, {}, problem)
        return ""


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a state; whoever saves it is waited for, or raises BlockingIOError."""
    with path.open("w") as handle:
        os.set_inheritable(handle.fileno(), False)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def read_manifest(directory: Path) -> dict[str, Any]:
    """The fingerprints of a state's `files`, or the `problem` that keeps it from restoring; empty without a state."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((directory / MANIFEST).read_text())
        problem, files = str(manifest["problem"]), dict(manifest["files"])
        if problem or set(files) == set(FILES):
            return {"problem": problem, "files": files}
    return {"problem": "", "files": {}}


def whole(directory: Path) -> State | None:
    """The state that was saved in a directory, if its files are what they were."""
    files = read_manifest(directory)["files"]
    return State(directory, False, files) if files and fingerprint.are_the_same(directory, files) else None


def write_manifest(directory: Path, files: dict[str, str], problem: str = "") -> None:
    """The last file of a state: a directory without it is none."""
    temporary = directory / f"{MANIFEST}.new"
    temporary.write_text(json.dumps({"format": FORMAT, "files": files, "problem": problem}) + "\n")
    temporary.replace(directory / MANIFEST)


def save_devices(control: Path, stream_socket: Path, devices: Path) -> None:
    """Stop a guest whose memory is in a shared file, and write all the rest of it to a file; raises OSError."""
    qmp_command(control, "stop")
    qmp_command(control, "migrate-set-capabilities", {"capabilities": SHARED_MEMORY})
    with socket.socket(socket.AF_UNIX) as listener, devices.open("wb") as file:
        listener.bind(str(stream_socket))
        listener.listen()
        listener.settimeout(SAVE_SECONDS)
        qmp_command(control, "migrate", {"uri": f"unix:{stream_socket}"})
        stream = listener.accept()[0]
        stream.settimeout(SAVE_SECONDS)
        with stream, stream.makefile("rb") as said:
            shutil.copyfileobj(said, file)
    wait_for_migration(control, SAVE_SECONDS)


def copy_data(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a file; what is a hole in it, or zeros, is a hole in the copy."""
    target.truncate(os.fstat(source.fileno()).st_size)
    for offset, block in fingerprint.blocks(source, BLOCK):
        os.pwrite(target.fileno(), block, offset)


# The memory is in its file already, so only the devices go through the stream.
SHARED_MEMORY = [{"capability": "x-ignore-shared", "state": True}]


def wait_for_migration(control: Path, seconds: float) -> None:
    """Wait until QEMU has sent or received all of a guest; raises OSError when it can't."""
    deadline = time.monotonic() + seconds
    while True:
        told: dict[str, Any] = qmp_command(control, "query-migrate")
        if told.get("status") == "completed":
            return
        if told.get("status") in ("failed", "cancelled") or time.monotonic() > deadline:
            raise OSError(f"QEMU's migration is {told.get('status')}: {told.get('error-desc', 'no reason given')}")
        time.sleep(0.02)


def restore(lab: LabFiles, state: State) -> None:
    """Have a QEMU that was started with `-incoming defer` go on where the saved guest was; raises OSError."""
    control = lab.qmp_control
    qmp_command(control, "migrate-set-capabilities", {"capabilities": SHARED_MEMORY})
    qmp_command(control, "migrate-incoming", {"uri": f"unix:{lab.migration_socket}"})
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(RESTORE_SECONDS)
        stream.connect(str(lab.migration_socket))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # QEMU tells below what it didn't like
            stream.sendall((state.directory / "devices").read_bytes())
    wait_for_migration(control, RESTORE_SECONDS)
    qmp_command(control, "cont")


def reason(lab: LabFiles, process: qemu.Process, problem: Exception) -> StateError:
    """Why a restore failed; RefusedError when QEMU refused the state, and not the machine what a restore needs."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)  # it ends over a state that it refuses, and has said then why
    said = [str(problem), *(line.removeprefix(f"{QEMU}: ") for line in qemu.words(lab))]
    words = "; ".join(said)[-600:]
    code = process.returncode or 0
    if code < 0:
        words += f" (QEMU was ended by {signal.Signals(-code).name})"
    is_refused = REFUSAL in words or -code in CRASHES
    kind = RefusedError if is_refused and not any(sign in words for sign in NO_ROOM) else StateError
    return kind(f"the saved guest did not come back: {words}")
