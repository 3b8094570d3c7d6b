"""Warm states: memory, devices and disk of a guest that has booted and waits to be told who it is.

They are kept beside the image they come from, in `<image>/warm/<key>/`, and go with it. The key names everything that
a state depends on. A state holds no key and no name: the guest was never told any. The source share is a device of
the guest, but it isn't mounted, since QEMU refuses to save a guest that has mounted it.

A state is told by its content, and names its image by a relative path: it may come from a copy of the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
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
from typing import Any

from . import fingerprint, qemu
from .accelerator import QEMU
from .lab import GuestError, Lab
from .private import private_directory
from .process import qmp_command
from .ssh import converse

FORMAT = 2
NOBODY = "00000000-0000-0000-0000-000000000000"  # UUID of a guest that is nobody's yet
FILES = ("memory", "devices", "disk.qcow2", "console.log")
MANIFEST = "manifest.json"
# A saved guest takes half of this; what is written on the way is the rest.
SPACE_NEEDED = 1 << 30
SAVE_SECONDS = 120.0
RESTORE_SECONDS = 60.0
# How a QEMU ends by itself over a state that it can't take. Another signal came from outside.
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGFPE, signal.SIGILL)
REFUSAL = "load of migration failed"
NO_ROOM = ("Cannot allocate memory", "No space left on device", "Too many open files", "Disk quota exceeded")


class WarmError(Exception):
    """Why no warm state can be used; the guest boots instead."""


class RefusedError(WarmError):
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
        return qemu.Memory(self.directory / "memory", written=False)

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
            with _locked(self.directory.with_name(f"{self.directory.name}.lock")):
                return f"{problem}{self._settled(problem, is_to_blame)}"
        except OSError:
            return problem  # it is gone, with its image

    def _settled(self, problem: str, is_to_blame: bool) -> str:
        """Do that; returns what was done, as the end of a sentence."""
        if _manifest(self.directory)["files"] != self.files:
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
        _write_manifest(self.directory, {}, problem)
        return ""


def key(lab: Lab, version: str, chosen: str) -> str:
    """Name a state after all it depends on beside its image: QEMU, the CPU if it is the host's, the command line."""
    source = "/source" if lab.inputs["source"] else ""
    stand_in = Lab(
        lab.inputs | {"lab": "warm", "directory": "/lab", "runtime_directory": "/run", "source": source},
    )
    memory = qemu.Memory(Path("/memory"), written=False)
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


def find_or_save(lab: Lab, image: Path, version: str, chosen: str) -> State:
    """The state for this kind of guest; saved now, if there is none that is whole. Raises WarmError."""
    base = image / "warm"
    name = key(lab, version, chosen)
    try:
        base.mkdir(exist_ok=True)
        with _locked(base / f"{name}.lock"):
            directory = base / name
            manifest = _manifest(directory)
            if manifest["problem"]:
                raise WarmError(f"{manifest['problem']}; it was tried when this image was first used")
            if manifest["files"] and fingerprint.are_the_same(directory, manifest["files"]):
                return State(directory, False, manifest["files"])
            return State(directory, True, _save(lab, image, chosen, directory))
    except OSError as problem:
        raise WarmError(f"the state of a booted guest can't be kept in {base}: {problem}") from problem


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a state; whoever saves it is waited for."""
    with path.open("w") as handle:
        os.set_inheritable(handle.fileno(), False)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _manifest(directory: Path) -> dict[str, Any]:
    """The fingerprints of a state's `files`, or the `problem` that keeps it from restoring; empty without a state."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        manifest = json.loads((directory / MANIFEST).read_text())
        problem, files = str(manifest["problem"]), dict(manifest["files"])
        if problem or set(files) == set(FILES):
            return {"problem": problem, "files": files}
    return {"problem": "", "files": {}}


def _write_manifest(directory: Path, files: dict[str, str], problem: str = "") -> None:
    """The last file of a state: a directory without it is none."""
    temporary = directory / f"{MANIFEST}.new"
    temporary.write_text(json.dumps({"format": FORMAT, "files": files, "problem": problem}) + "\n")
    temporary.replace(directory / MANIFEST)


def _save(lab: Lab, image: Path, chosen: str, directory: Path) -> dict[str, str]:
    """Boot a guest that belongs to nobody, let it settle, save it, and end it; its fingerprints. Raises WarmError."""
    shutil.rmtree(directory, ignore_errors=True)
    work = directory.with_name(f".{directory.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)  # of a start that was killed
    if shutil.disk_usage(directory.parent).free < SPACE_NEEDED:
        raise WarmError(f"there is less than 1 GiB free in {directory.parent} for the state of a booted guest")
    source = str(work / "source") if lab.inputs["source"] else ""
    mould = Lab(
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
        memory = qemu.Memory(work / "memory", written=True)
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
        _write_manifest(work, files)
        work.rename(directory)
    except (GuestError, OSError) as problem:
        raise WarmError(f"a guest to start from could not be saved: {problem}") from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(mould.runtime, ignore_errors=True)
    return files


def _settle_and_save(mould: Lab, process: subprocess.Popen[bytes], devices: Path) -> None:
    deadline = time.monotonic() + float(mould.inputs["boot_deadline"])
    while not (mould.provision_socket.exists() and mould.qmp_control.exists()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise GuestError(f"QEMU didn't start: {mould.qemu_log.read_text()[-600:]}")
        time.sleep(0.02)
    converse(mould, SETTLE, "settled", deadline, lambda: process.poll() is None)
    control = mould.qmp_control
    qmp_command(control, "stop")
    qmp_command(control, "migrate-set-capabilities", {"capabilities": SHARED_MEMORY})
    with socket.socket(socket.AF_UNIX) as listener, devices.open("wb") as file:
        listener.bind(str(mould.migration_socket))
        listener.listen()
        listener.settimeout(SAVE_SECONDS)
        qmp_command(control, "migrate", {"uri": f"unix:{mould.migration_socket}"})
        stream = listener.accept()[0]
        stream.settimeout(SAVE_SECONDS)
        with stream, stream.makefile("rb") as said:
            shutil.copyfileobj(said, file)
    wait_for_migration(control, SAVE_SECONDS)
    qmp_command(control, "quit")
    process.wait(timeout=30)


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


def restore(lab: Lab, state: State) -> None:
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


def reason(lab: Lab, process: qemu.Process, problem: Exception) -> WarmError:
    """Why a restore failed; RefusedError when QEMU refused the state, and not the machine what a restore needs."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)  # it ends over a state that it refuses, and has said then why
    said = [str(problem), *(line.removeprefix(f"{QEMU}: ") for line in qemu.words(lab))]
    words = "; ".join(said)[-600:]
    code = process.returncode or 0
    if code < 0:
        words += f" (QEMU was ended by {signal.Signals(-code).name})"
    is_refused = REFUSAL in words or -code in CRASHES
    kind = RefusedError if is_refused and not any(sign in words for sign in NO_ROOM) else WarmError
    return kind(f"the saved guest did not come back: {words}")
