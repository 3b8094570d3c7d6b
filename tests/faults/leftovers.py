"""What a command left on this machine, looked for the same way after every fault."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vexlab.guest import lab as labs

KEEPER = Path(__file__).parents[2] / "plugins/module_utils/guest/console.py"  # it runs from its text
PATIENCE = 15.0  # seconds for processes that were told to end


def find(home: Path) -> tuple[str, ...]:
    """Name what is left of what worked in `home`, once what was told to end has had its time.

    A guest that its lab's record calls ready is no leftover: it is what `up` leaves. Nor are its sockets, which the
    next command takes away if the guest has died.
    """
    deadline = time.monotonic() + PATIENCE
    while (found := tuple(_look(home))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _look(home: Path) -> Iterator[str]:
    guests = _guests(home)
    yield from _processes(home, guests)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if f"{home}/" in line:
            yield f"mount {line}"
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        if f"{home}/" in _text(device):
            yield f"loop device {device.parts[3]} on {_text(device)}"
    held = Path("/proc/locks").read_text()
    files = _files(home)
    for path in files:
        with contextlib.suppress(FileNotFoundError):
            if path.suffix == ".lock" and f":{path.stat().st_ino} " in held:
                yield f"lock {path.relative_to(home)}"
    sockets = {place for place, _ in guests}
    for name in ("r", "t"):
        for path in _files(home / name):
            if path.parent not in sockets and not path.name.startswith("kvm-probe-"):
                yield f"{'socket' if path.is_socket() else 'file'} {path.relative_to(home)}"
        yield from (f"directory {path.relative_to(home)}" for path in sorted((home / name).glob("vexlab-*")))
    for path in files:
        if path.name.endswith((".partial", ".tmp", ".new")):
            yield f"half-written file {path.relative_to(home)}"


def _files(directory: Path) -> list[Path]:
    """All that is no directory; of what is being removed, rglob would fail."""
    return sorted(Path(place, name) for place, _, names in os.walk(directory) for name in names)


def _processes(home: Path, guests: list[tuple[Path, int | None]]) -> Iterator[str]:
    """Processes of this home, and what they listen at.

    To a guest that is up belong the connection that Ansible keeps open and what keeps its console short.
    """
    live = [(place, guest) for place, guest in guests if guest is not None]
    beside = KEEPER.read_text(encoding="utf-8") if live else None
    for pid, words in processes_of(home).items():
        theirs = any(pid == guest or words[0].startswith(f"ssh: {place}/") for place, guest in live)
        if not theirs and beside not in words:
            yield f"process {pid}: {' '.join(words).strip()[:160]}"
            yield from (f"port {port} of process {pid}" for port in _listening(pid))


def processes_of(home: Path) -> dict[int, list[str]]:
    """Processes that have the path of `home` in their command line or environment, this one aside."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            words = _bytes(entry / "cmdline")
            if f"{home}/".encode() in words + _bytes(entry / "environ"):
                found[int(entry.name)] = words.decode(errors="replace").split("\0")
    return found


def _guests(home: Path) -> list[tuple[Path, int | None]]:
    """Of each guest that its lab calls ready, the directory of its sockets and its process, if it lives."""
    found = []
    for path in (home / "state/vexlab/labs").glob("*"):
        record = labs.Lab(path.name, path).record()
        if record.get("state") == "ready":
            found.append((Path(record["qmp"]).parent, labs.guest_pid(record)))
    return found


def _listening(pid: int) -> list[str]:
    """Addresses that a process listens at."""
    inodes = {_link(path) for path in _entries(Path(f"/proc/{pid}/fd"))}
    rows = [line.split() for line in _text(Path(f"/proc/{pid}/net/tcp")).splitlines()[1:]]
    return [str(int(row[1].split(":")[1], 16)) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _text(path: Path) -> str:
    return _bytes(path).decode(errors="replace").strip()
