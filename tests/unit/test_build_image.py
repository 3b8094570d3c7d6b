"""The builder of images: keys, verification, locks, leftovers, and errors that a person can act on."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import cache, store, worker
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec

from tests.unit import modules

ROLE = Path(__file__).parents[2] / "roles" / "vexlab_image"
FILES = {"assemble.sh": "true\n", "rootfs/etc/motd": "hello\n"}
SPEC = Spec("trixie", ("fio", "bc"), ("some-dkms",), 8192)
INPUTS = {"suite": "trixie", "disk_size_mb": 8192, "packages": ["fio", "bc"], "files": FILES}
KEY = "0123456789abcdef"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A whole, tiny image in a cache."""
    directory = tmp_path / "cache" / KEY
    directory.mkdir(parents=True)
    for name in store.IMAGE_FILES:
        (directory / name).write_bytes(name.encode() * 1000)
    (directory / "sandbox" / "usr").mkdir(parents=True)
    store.write_manifest(directory, SPEC, KEY, "6.12.1-amd64", "2026-01-01T00:00:00Z")
    return directory


def start(place: Path, **other: Any) -> subprocess.Popen[str]:
    """The module, as Ansible starts it."""
    child = subprocess.Popen(
        modules.command("image"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    child.stdin.write(modules.arguments(INPUTS | {"cache": str(place)} | other))
    child.stdin.close()
    child.stdin = None  # or communicate() would flush it once more
    return child


def waits(log: Path) -> None:
    """Wait until a build's log says that somebody is waited for."""
    began = time.monotonic()
    while not log.exists() or f"waiting for process {os.getpid()}," not in log.read_text():
        assert time.monotonic() - began < 60
        time.sleep(0.02)


def test_key_ignores_order_and_repetition() -> None:
    again = dataclasses.replace(SPEC, packages=("bc", "fio", "bc"))
    assert SPEC.key(FILES) == again.key(FILES)
    assert re.fullmatch("[0-9a-f]{16}", SPEC.key(FILES))


@pytest.mark.parametrize(
    "changed",
    [
        {"suite": "forky"},
        {"packages": ("fio",)},
        {"source_packages": ()},
        {"packages": ("fio", "bc", "some-dkms"), "source_packages": ()},
        {"disk_size_mb": 8193},
        {"arch": "arm64"},
    ],
    ids=str,
)
def test_key_changes_with_each_input(changed: dict[str, Any]) -> None:
    assert dataclasses.replace(SPEC, **changed).key(FILES) != SPEC.key(FILES)


def test_key_changes_with_each_file_and_with_what_runs_them() -> None:
    key = cache.key_of(SPEC, FILES)
    for name, text in FILES.items():
        assert cache.key_of(SPEC, FILES | {name: f"{text}\n"}) != key, name
        assert cache.key_of(SPEC, {other: FILES[other] for other in FILES if other != name}) != key, name
    assert key == SPEC.key({**FILES, "worker.py": Path(worker.__file__).read_text()})
    assert key != SPEC.key(FILES)


def test_role_gives_every_file_of_its_own() -> None:
    """One that it forgot would be missing on the host, and in no key."""
    given = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__vexlab_image_files"]
    there = [path for path in (ROLE / "files").rglob("*") if path.is_file()]
    assert sorted(given) == sorted(str(path.relative_to(ROLE / "files")) for path in there)


def test_whole_image_has_no_damage(image: Path) -> None:
    assert store.damage(image, KEY) is None
    assert store.kernel_release(image) == "6.12.1-amd64"


@pytest.mark.parametrize("name", store.IMAGE_FILES)
def test_damage_of_each_file_is_noticed(image: Path, name: str) -> None:
    path = image / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    assert f"checksum of {name}" in (store.damage(image, KEY) or "")
    path.write_bytes(whole[:-1])
    assert f"{name} has {len(whole) - 1} bytes" in (store.damage(image, KEY) or "")
    path.unlink()
    assert f"{name} is missing" in (store.damage(image, KEY) or "")


def test_missing_user_space_for_builds_is_noticed(image: Path) -> None:
    shutil.rmtree(image / "sandbox")
    assert "sandbox/usr" in (store.damage(image, KEY) or "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": "x"}', "\0\0"])
def test_damaged_manifest_is_noticed(image: Path, text: str) -> None:
    (image / "manifest.json").write_text(text)
    assert "manifest.json cannot be read" in (store.damage(image, KEY) or "")


def test_manifest_of_another_image_or_none_is_noticed(image: Path) -> None:
    assert "for another image" in (store.damage(image, "f" * 16) or "")
    (image / "manifest.json").unlink()
    assert "has no manifest.json" in (store.damage(image, KEY) or "")


def test_checksums_are_made_again_after_a_change_only(image: Path) -> None:
    """Damage that leaves size, time and inode alone is what the stamp trades for speed; a touched file is read."""
    disk = image / "disk.qcow2"
    stat = disk.stat()
    with disk.open("r+b") as stream:
        stream.write(b"!")
    os.utime(disk, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.damage(image, KEY) is None
    disk.touch()
    assert "checksum of disk.qcow2" in (store.damage(image, KEY) or "")


def test_check_mode_leaves_no_stamp(image: Path) -> None:
    (image / "verified").unlink()
    assert store.damage(image, KEY, stamp=False) is None
    assert not (image / "verified").exists()
    assert store.damage(image, KEY) is None
    assert (image / "verified").exists()


def test_leftovers_go_unless_their_build_is_alive(tmp_path: Path) -> None:
    dead, alive, mine = (tmp_path / f".{letter * 16}.x.tmp" for letter in "abc")
    for path in (dead, alive, mine, tmp_path / ".not-ours.tmp", tmp_path / ("d" * 16)):
        (path / "work").mkdir(parents=True)
    with store.locked(tmp_path, "b" * 16):
        removed = store.remove_leftovers(tmp_path, held="c" * 16)
    assert removed == [dead.name, mine.name]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        alive.name, ".not-ours.tmp", "d" * 16,
    ]  # fmt: skip


def test_lock_tells_its_holder_and_survives_its_removal(tmp_path: Path) -> None:
    with store.locked(tmp_path, KEY), store.locked(tmp_path, KEY) as second:
        assert second is None
    holders: list[str] = []
    entered = threading.Event()

    def wait() -> None:
        with store.locked(tmp_path, KEY, holders.append):
            entered.set()

    with store.locked(tmp_path, KEY):
        waiter = threading.Thread(target=wait)
        waiter.start()
        deadline = time.monotonic() + 10
        while not holders and time.monotonic() < deadline:
            time.sleep(0.01)
        assert holders == [str(os.getpid())]
        assert not entered.is_set()
        (tmp_path / f"{KEY}.lock").unlink()
    waiter.join(10)
    assert entered.is_set()
    assert (tmp_path / f"{KEY}.lock").exists(), "the one who waited holds a lock that others can see"


@pytest.mark.parametrize(
    ("line", "meaning", "remedy"),
    [
        ("cp: error writing 'x': No space left on device", "disk is full", "Free about 5000 MB"),
        ("E: Unable to locate package nosuch", "no such package", "vexlab_image_packages"),
        ("E: Failed to fetch http://x Could not connect", "could not be downloaded", "apt-get update"),
        ("something else", "mmdebstrap ended with status 1.", "Read "),
    ],
)
def test_failed_build_names_cause_log_and_remedy(tmp_path: Path, line: str, meaning: str, remedy: str) -> None:
    log = worker.BuildLog(tmp_path / "k.log", io.StringIO())
    log.line("vexlab: step 2/6: installing")
    log.line(line)
    for number in range(50):
        log.line(f"noise {number}")
    error = log.failure("mmdebstrap ended with status 1.", SPEC, tmp_path)
    assert meaning in error.message
    assert "step 2/6" in error.message
    assert str(tmp_path / "k.log") in error.message
    assert "noise 49" in error.message
    assert remedy in error.hint


def run(place: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    return modules.run("image", INPUTS | {"cache": str(place)} | other, check=check)


def test_check_mode_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    said = run(place, check=True)
    assert (said["changed"], said["built"], said["reason"]) == (True, False, "not in the cache")
    assert said["directory"] == str(place / said["key"])
    assert not place.exists()


def test_unwritable_cache_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = run(tmp_path / "file" / "cache")
    assert said["msg"].startswith(f"The image cache {tmp_path / 'file' / 'cache'} cannot be written: Not a directory. ")
    assert said["msg"].endswith("Set vexlab_image_cache to a directory that you can write.")


def test_image_that_is_whole_is_only_looked_at(tmp_path: Path) -> None:
    spec = Spec("trixie", ("fio", "bc"), (), 8192)
    key = cache.key_of(spec, FILES)
    (tmp_path / key / "sandbox" / "usr").mkdir(parents=True)
    for name in store.IMAGE_FILES:
        (tmp_path / key / name).write_text(name)
    store.write_manifest(tmp_path / key, spec, key, "6.12.1-amd64", "2026-01-01T00:00:00Z")
    for check in (True, False):
        said = run(tmp_path, check=check)
        assert (said["changed"], said["built"], said["reason"]) == (False, False, "in the cache")
        assert (said["key"], said["kernel_release"]) == (key, "6.12.1-amd64")


def test_absent_removes_image_log_and_leftovers(tmp_path: Path) -> None:
    key = cache.key_of(Spec("trixie", ("fio", "bc"), (), 8192), FILES)
    for name in (key, f".{key}.x.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{key}.log").write_text("")
    assert run(tmp_path, state="absent", check=True)["changed"]
    assert (tmp_path / key).exists()
    assert run(tmp_path, state="absent")["changed"]
    assert list(tmp_path.iterdir()) == []
    assert not run(tmp_path, state="absent")["changed"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "Ended by Ctrl-C; nothing half-built was kept. Run it again."),
        (signal.SIGTERM, "Ended by SIGTERM; nothing half-built was kept. Run it again."),
        (None, "The image was not ready within 2 seconds. Give it more time with vexlab_image_deadline;"),
    ],
)
def test_whoever_waits_can_be_ended(tmp_path: Path, number: signal.Signals | None, words: str) -> None:
    """By a signal or the deadline; the lock is held by this test, so the module never gets to build."""
    key = cache.key_of(Spec("trixie", ("fio", "bc"), (), 8192), FILES)
    with store.locked(tmp_path, key):
        child = start(tmp_path, deadline=60 if number else 2)
        waits(tmp_path / f"{key}.log")
        if number:
            child.send_signal(number)
        said, complaint = child.communicate(timeout=60)
    assert json.loads(said)["msg"].startswith(words), complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{key}.lock", f"{key}.log"]


def test_nobody_builds_for_a_caller_that_died(tmp_path: Path) -> None:
    """The module sits in a session of its own, as under Ansible, and its session's parent is killed."""
    place = tmp_path / "cache"
    place.mkdir()
    key = cache.key_of(Spec("trixie", ("fio", "bc"), (), 8192), FILES)
    (tmp_path / "arguments").write_text(modules.arguments(INPUTS | {"cache": str(place)}))
    starter = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sh', '-c', '\"$@\"; true', 'sh', *sys.argv[1:]], start_new_session=True)\n"
        "child.wait()\n"
    )
    with store.locked(place, key):
        command = [sys.executable, "-c", starter, *modules.command("image"), str(tmp_path / "arguments")]
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        waits(place / f"{key}.log")
        caller.kill()
        assert caller.stdout is not None
        # It comes from the module, which outlived its caller.
        assert json.loads(caller.stdout.read())["msg"].startswith("Ended by SIGTERM")
        caller.wait(10)
    caller.stdout.close()


def test_error_has_message_and_hint() -> None:
    error = ImageError("Fact.", "Remedy.")
    assert (str(error), error.hint) == ("Fact.", "Remedy.")


def test_prune_removes_what_nobody_uses(image: Path) -> None:
    """One image is to be kept, one is run on, one is worked on, one goes; what isn't an image is left alone."""
    place = image.parent
    kept, run_on, worked_on = (place / (letter * 16) for letter in "abc")
    for directory in (kept, run_on, worked_on, place / "notes"):
        directory.mkdir()
    (place / f"{KEY}.log").write_text("")
    runner = subprocess.Popen([sys.executable, "-c", "input()", f"{run_on}/disk.qcow2"], stdin=subprocess.PIPE)
    try:
        with store.locked(place, worked_on.name):
            would = run(place, state="pruned", keep=[kept.name], check=True)
            assert image.exists()
            said = run(place, state="pruned", keep=[kept.name])
    finally:
        runner.kill()
        runner.wait()
    assert list(said["removed"]) == list(would["removed"]) == [KEY]
    assert said["kept"] == {
        kept.name: "a lab uses it",
        run_on.name: f"process {runner.pid} runs on it",
        worked_on.name: "somebody works on it",
    }
    assert not image.exists()
    assert not (place / f"{KEY}.log").exists()
    assert (place / "notes").is_dir()
