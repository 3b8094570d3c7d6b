"""Warm states: memory, devices and disk of a guest that has booted and waits to be told who it is.

They are kept beside the image they come from, in `<image>/warm/<key>/`, and go with it. The key names everything that
a state depends on. A state holds no key and no name: the guest was never told any. The source share is a device of
the guest, but it isn't mounted, since QEMU refuses to save a guest that has mounted it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import qemu
from .lab import GuestError, Lab, private_directory
from .process import qmp_command
from .reach import converse

FORMAT = 1
NOBODY = "00000000-0000-0000-0000-000000000000"  # UUID of a guest that is nobody's yet
FILES = ("memory", "devices", "disk.qcow2", "console.log")
MANIFEST = "manifest.json"
# A saved guest takes half of this; what is written on the way is the rest.
SPACE_NEEDED = 1 << 30
SAVE_SECONDS = 120.0
RESTORE_SECONDS = 60.0


class WarmError(Exception):
    """Why no warm state can be used; the guest boots instead."""


@dataclass(frozen=True)
class State:
    """A saved guest. `fresh`: it was saved by this very start."""

    directory: Path
    fresh: bool

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

    def discard(self) -> None:
        """Remove a state that doesn't restore, so that the next start saves another. Guests that run on it go on."""
        away = self.directory.with_name(f".{self.directory.name}.{os.getpid()}.tmp")
        with contextlib.suppress(FileNotFoundError):
            self.directory.rename(away)
        shutil.rmtree(away, ignore_errors=True)

    def give_up(self, problem: str) -> None:
        """Note that states of this kind don't restore on this machine, so that nobody waits for the next one."""
        for name in FILES:
            (self.directory / name).unlink(missing_ok=True)
        _write_manifest(self.directory, problem)


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
            if _is_whole(directory):
                return State(directory, fresh=False)
            _save(lab, image, chosen, directory)
            return State(directory, fresh=True)
    except OSError as problem:
        raise WarmError(f"the state of a booted guest can't be kept in {base}: {problem}") from problem


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a state; whoever saves it is waited for."""
    with path.open("w") as handle:
        os.set_inheritable(handle.fileno(), False)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_whole(directory: Path) -> bool:
    """Whether the files are the ones that were saved; raises WarmError when states like it are known not to restore."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        problem, files = str(manifest["problem"]), dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if problem:
        raise WarmError(f"{problem}; it was tried when this image was first used")
    with contextlib.suppress(OSError):
        return all(files.get(name) == _stat_of(directory / name) for name in FILES)
    return False


def _stat_of(path: Path) -> list[int]:
    """Size, time of the last change, inode: what tells a file from the one that was saved."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _write_manifest(directory: Path, problem: str = "") -> None:
    """The last file of a state: a directory without it is none."""
    files = {} if problem else {name: _stat_of(directory / name) for name in FILES}
    temporary = directory / f"{MANIFEST}.new"
    temporary.write_text(json.dumps({"format": FORMAT, "files": files, "problem": problem}) + "\n")
    temporary.replace(directory / MANIFEST)


def _save(lab: Lab, image: Path, chosen: str, directory: Path) -> None:
    """Boot a guest that belongs to nobody, let it settle, save it, and end it. Raises WarmError."""
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
    private_directory(work)
    private_directory(mould.runtime)
    if source:
        Path(source).mkdir()
    mould.overlay = work / "disk.qcow2"
    try:
        qemu.make_overlay(mould.overlay, image / "disk.qcow2")
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
        _write_manifest(work)
        work.rename(directory)
    except (GuestError, OSError) as problem:
        raise WarmError(f"a guest to start from could not be saved: {problem}") from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(mould.runtime, ignore_errors=True)


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
    qmp_command(control, "migrate", {"uri": f"exec:cat > {shlex.quote(str(devices))}"})
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
    """Have a QEMU that was started with `-incoming defer` go on where the saved guest was. Raises WarmError."""
    control = lab.qmp_control
    try:
        qmp_command(control, "migrate-set-capabilities", {"capabilities": SHARED_MEMORY})
        uri = f"exec:cat {shlex.quote(str(state.directory / 'devices'))}"
        qmp_command(control, "migrate-incoming", {"uri": uri})
        wait_for_migration(control, RESTORE_SECONDS)
        qmp_command(control, "cont")
    except (OSError, ValueError) as problem:
        raise WarmError(f"the saved guest did not come back: {problem}") from problem
