"""Saved guests are told by what is in them: copies are as good, damage is seen, and nobody loses one for nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import fingerprint, qemu, saved_state
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import LabFiles

from tests.unit.test_warm_key import INPUTS

MIB = 1 << 20


@pytest.fixture
def state(tmp_path: Path) -> saved_state.State:
    """A state with a memory that is mostly hole."""
    directory = tmp_path / "warm" / "key"
    directory.mkdir(parents=True)
    for name in saved_state.FILES:
        (directory / name).write_bytes(name.encode() * 1000)
    with (directory / "memory").open("r+b") as memory:
        memory.truncate(64 * MIB)
        memory.seek(10 * MIB + 4096)
        memory.write(b"in the middle")
    files = fingerprint.fingerprints(directory, saved_state.FILES)
    saved_state.write_manifest(directory, files)
    return saved_state.State(directory, fresh=False, files=files)


def is_whole(directory: Path) -> bool:
    return fingerprint.are_the_same(directory, saved_state.read_manifest(directory)["files"])


@pytest.mark.parametrize("how", [["cp", "-r"], ["cp", "-a", "--sparse=never"], ["rsync", "-a"]], ids=" ".join)
def test_copy_is_whole(state: saved_state.State, tmp_path: Path, how: list[str]) -> None:
    """Other inodes, other times, zeros for holes; of a cache that a CI restores nothing else is the same."""
    copy = tmp_path / "copy"
    subprocess.run([*how, f"{state.directory}/.", str(copy)], check=True)
    assert is_whole(copy)


@pytest.mark.parametrize("name", saved_state.FILES)
def test_damage_with_kept_size_and_times_is_seen(state: saved_state.State, name: str) -> None:
    assert is_whole(state.directory)
    path = state.directory / name
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2 + 1)
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not is_whole(state.directory)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda memory: os.truncate(memory, 50),
        lambda memory: os.truncate(memory, 65 * MIB),
        lambda memory: memory.unlink(),
        lambda memory: subprocess.run(
            ["fallocate", "--punch-hole", "--offset", str(10 * MIB), "--length", str(MIB), str(memory)], check=True
        ),
    ],
    ids=["shorter", "longer", "gone", "hole"],
)
def test_memory_that_is_not_the_saved_one_is_seen(state: saved_state.State, break_it: object) -> None:
    break_it(state.directory / "memory")  # type: ignore[operator]
    assert not is_whole(state.directory)


def bytes_read() -> int:
    """What this process has read so far, out of caches as well."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_what_was_read_is_not_read_again(state: saved_state.State) -> None:
    before = bytes_read()
    assert is_whole(state.directory)
    assert bytes_read() - before < MIB // 8
    assert fingerprint.are_the_same(state.directory, state.files, read=True)
    assert bytes_read() - before > MIB


def test_another_boot_reads_anew(state: saved_state.State) -> None:
    """What the disk did meanwhile no time of a file tells."""
    seen = state.directory / fingerprint.SEEN
    assert is_whole(state.directory)
    before = seen.stat().st_ino
    assert is_whole(state.directory)
    assert seen.stat().st_ino == before
    seen.write_text(seen.read_text().replace(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "other"))
    assert is_whole(state.directory)
    assert "other" not in seen.read_text()


def test_failure_that_is_not_the_states_fault_costs_nobody_the_state(state: saved_state.State) -> None:
    told = state.settle("a port was taken", is_to_blame=False)
    assert told == "a port was taken; the saved state is whole, and stays"
    assert is_whole(state.directory)


def test_state_that_was_refused_goes(state: saved_state.State) -> None:
    assert state.settle("refused", is_to_blame=True) == "refused; the saved state is removed"
    assert not state.directory.exists()


def test_state_that_is_damaged_goes_whoever_is_to_blame(state: saved_state.State) -> None:
    (state.directory / "devices").write_bytes(b"0" * 7000)
    assert state.settle("ended", is_to_blame=False) == "ended; the saved state was damaged, and is removed"
    assert not state.directory.exists()


def test_state_of_somebody_else_is_left_alone(state: saved_state.State) -> None:
    """Meanwhile another start found it damaged and saved one anew."""
    other = saved_state.State(state.directory, fresh=False, files=state.files | {"memory": "of before"})
    assert other.settle("refused", is_to_blame=True) == "refused"
    assert is_whole(state.directory)


def test_states_that_never_restored_are_not_tried_again(state: saved_state.State, tmp_path: Path) -> None:
    fresh = saved_state.State(state.directory, fresh=True, files=state.files)
    fresh.settle("it crashed", is_to_blame=True)
    assert saved_state.read_manifest(state.directory) == {"problem": "it crashed", "files": {}}
    assert not (state.directory / "memory").exists()


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (
            "echo 'qemu-system-x86_64: load of migration failed: Invalid argument' >&2; exit 1",
            saved_state.RefusedError,
            "Invalid",
        ),
        (
            "echo 'qemu-system-x86_64: load of migration failed: Cannot allocate memory' >&2; exit 1",
            saved_state.StateError,
            "memory",
        ),
        ("kill -ABRT $$", saved_state.RefusedError, "SIGABRT"),
        ("kill -KILL $$", saved_state.StateError, "SIGKILL"),
        ("kill -TERM $$", saved_state.StateError, "SIGTERM"),
        ("echo 'qemu-system-x86_64: mmap: No space left on device' >&2; exit 1", saved_state.StateError, "space"),
    ],
    ids=["refused", "no memory", "crashed", "killed", "ended", "no space"],
)
def test_who_is_to_blame_is_told_by_how_qemu_ended(tmp_path: Path, script: str, kind: type, words: str) -> None:
    lab = LabFiles(INPUTS | {"directory": str(tmp_path)})
    with lab.qemu_log.open("w") as log:
        log.write("the command\n")
        log.flush()
        process: qemu.Process = subprocess.Popen(["sh", "-c", script], stderr=log)
        problem = saved_state.reason(lab, process, OSError("QEMU did not do migrate-incoming: it ended the connection"))
    assert type(problem) is kind
    assert words in str(problem)
    assert process.returncode in (1, -signal.SIGABRT, -signal.SIGKILL, -signal.SIGTERM)
