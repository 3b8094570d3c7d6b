"""Guests that start from the saved state of a booted one: what they must not share, and what happens to a bad state.

The source lacks a file, so that each run ends after the first stage: what is looked at is the guest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.fingerprint import fingerprint

from tests.e2e.harness import Done, Vexlab

LABS = ("one", "two")


@pytest.fixture(scope="module")
def broken(source: Path) -> Path:
    """A source that fails the first stage."""
    (source / "Kbuild").unlink()
    return source


@pytest.fixture(scope="module")
def cache(vexlab: Vexlab) -> Iterator[Path]:
    """The image's directory in a cache of this module's own: hard links, since nothing in an image is ever written."""
    vexlab("image", "build")
    images = Path(vexlab.environment["XDG_CACHE_HOME"]) / "vexlab" / "images"
    keys = {entry["key"] for entry in vexlab("image", "list", "--json").document}
    assert keys
    own = vexlab.home / "cache" / "vexlab" / "images"
    own.mkdir(parents=True)
    subprocess.run(["cp", "--archive", "--link", *(str(images / key) for key in keys), str(own)], check=True)
    vexlab.environment["XDG_CACHE_HOME"] = str(vexlab.home / "cache")
    yield own
    vexlab.end()


def up(vexlab: Vexlab, source: Path, name: str, *options: str) -> Done:
    done = vexlab("up", "--name", name, "--source", str(source), "--json", *options)
    assert done.code == 1, done.stderr
    assert "Kbuild is missing" in done.stage("structure")["reason"]
    return done


@pytest.fixture(scope="module")
def labs(vexlab: Vexlab, broken: Path, cache: Path) -> dict[str, Done]:
    """Two labs that are started at the same moment, when the only state is truncated: one saves it, the other waits."""
    up(vexlab, broken, "one")
    vexlab("destroy", "--name", "one")
    for memory in cache.glob("*/warm/*/memory"):
        with memory.open("rb") as file:
            begin = file.read(1 << 20)
        memory.unlink()  # not truncated in place: the user's own cache has the same file
        memory.write_bytes(begin)
    started = {name: vexlab.start("up", "--name", name, "--source", str(broken), "--json") for name in LABS}
    return {name: vexlab.finish(process) for name, process in started.items()}


@pytest.fixture(scope="module")
def state(vexlab: Vexlab, labs: dict[str, Done], cache: Path) -> Path:
    """The directory of the state that the labs started from."""
    used = Path(vexlab.record("one")["saved_state"])
    assert used.parent == cache / str(labs["one"].document["guest"]["image"]) / "warm"
    return used


def command_line(vexlab: Vexlab, lab: str) -> str:
    return Path(f"/proc/{vexlab.record(lab)['pid']}/cmdline").read_text()


def ask(vexlab: Vexlab, lab: str, script: str) -> str:
    done = vexlab("ssh", "--name", lab, script)
    assert done.code == 0, done.stderr
    return done.stdout.strip()


def test_both_come_from_one_state(vexlab: Vexlab, labs: dict[str, Done], state: Path) -> None:
    assert all("Kbuild is missing" in done.stage("structure")["reason"] for done in labs.values())
    assert all(done.document["guest"]["warm"] for done in labs.values())
    saved = [name for name, done in labs.items() if "saved by this start" in done.stderr]
    assert len(saved) == 1
    assert (state / "memory").stat().st_size == 2048 << 20
    assert {vexlab.record(name)["saved_state"] for name in LABS} == {str(state)}


@pytest.mark.parametrize(
    "script",
    [
        "cat /etc/machine-id",
        "hostname",
        "cat /etc/ssh/ssh_host_ed25519_key",
        "cat /root/.ssh/authorized_keys",
        "head -c 32 /dev/urandom | od -An -tx1",
        "cat /proc/sys/kernel/random/uuid",
        "python3 -c 'import os; print(os.getrandom(32).hex())'",
    ],
)
def test_what_must_differ_differs(vexlab: Vexlab, labs: dict[str, Done], script: str) -> None:
    first, second = (ask(vexlab, name, script) for name in labs)
    assert first
    assert first != second


def test_random_numbers_differ_between_two_starts_of_one_lab(
    vexlab: Vexlab, labs: dict[str, Done], broken: Path
) -> None:
    """The first numbers after the start: a generator that was saved would give the same ones again."""
    script = "journalctl -b -o cat _TRANSPORT=kernel >/dev/null; head -c 32 /dev/urandom | od -An -tx1"
    first = ask(vexlab, "two", script)
    vexlab("down", "--name", "two")
    up(vexlab, broken, "two")
    assert ask(vexlab, "two", script) != first


def test_disks_are_apart(vexlab: Vexlab, labs: dict[str, Done], state: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in state.iterdir()}
    ask(vexlab, "one", "echo mine >/root/mark && sync")
    assert ask(vexlab, "two", "ls /root/mark 2>/dev/null || echo none") == "none"
    assert {path.name: path.stat().st_mtime_ns for path in state.iterdir()} == before


def test_clock_is_right(vexlab: Vexlab, labs: dict[str, Done]) -> None:
    """Saved minutes or days ago, it must not be that of the save: make compares times."""
    before = time.time()
    told = float(ask(vexlab, "one", "date +%s.%N"))
    assert before - 2 <= told <= time.time() + 2


def test_share_is_the_labs_own(vexlab: Vexlab, labs: dict[str, Done], broken: Path) -> None:
    """The state was saved with another directory behind the share."""
    assert ask(vexlab, "one", "ls /mnt/vexfs_source").split() == sorted(path.name for path in broken.glob("[!.]*"))


def test_a_lab_takes_little_room(vexlab: Vexlab, labs: dict[str, Done]) -> None:
    blocks = sum(path.lstat().st_blocks for path in (vexlab.labs / "two").rglob("*"))
    assert blocks * 512 < 100 << 20


@pytest.mark.thorough
def test_cold_boots(vexlab: Vexlab, labs: dict[str, Done], broken: Path) -> None:
    done = up(vexlab, broken, "one", "--cold")
    assert done.document["guest"]["warm"] is False
    assert "booted: a boot was asked for" in done.stderr
    vexlab("destroy", "--name", "one")


@pytest.mark.thorough
def test_state_that_does_not_restore_is_replaced(
    vexlab: Vexlab, labs: dict[str, Done], broken: Path, state: Path
) -> None:
    """Nonsense that was saved as such: QEMU refuses it, the guest boots, says why, and the state is gone."""
    devices = state / "devices"
    devices.write_bytes(os.urandom(devices.stat().st_size))
    manifest = json.loads((state / "manifest.json").read_text())
    manifest["files"]["devices"] = fingerprint(devices)
    (state / "manifest.json").write_text(json.dumps(manifest))
    done = up(vexlab, broken, "three")
    assert done.document["guest"]["warm"] is False
    assert "the saved guest did not come back" in done.stderr
    assert "the saved state is removed" in done.stderr
    assert not state.exists()
    vexlab("destroy", "--name", "three")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small filesystem")
def test_no_space_for_a_state(vexlab: Vexlab, labs: dict[str, Done], broken: Path, state: Path) -> None:
    """The guest boots, and the line of the guest says why."""
    warm = state.parent
    shutil.rmtree(warm)
    warm.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "vexlab-test", str(warm)], check=True)
    try:
        done = up(vexlab, broken, "three")
        assert done.document["guest"]["warm"] is False
        assert f"less than 1 GiB free in {warm}" in done.stderr
        vexlab("destroy", "--name", "three")
    finally:
        subprocess.run(["umount", str(warm)], check=True)


@pytest.mark.thorough
def test_cache_removed_under_a_running_lab(vexlab: Vexlab, labs: dict[str, Done], broken: Path, cache: Path) -> None:
    """The guest goes on: it holds what it runs on. What it can't do without the image says so."""
    shutil.rmtree(cache)
    assert ask(vexlab, "two", "find / -xdev -type f -name sshd && cat /root/.bashrc >/dev/null && echo on").endswith(
        "on"
    )
    assert vexlab("status", "--name", "two", "--json").document[0]["guest"]["state"] == "running"
    assert vexlab("down", "--name", "two").code == 0
