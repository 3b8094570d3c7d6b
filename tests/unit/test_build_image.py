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

from roles.vexlab_image.files import build_image, image_store, image_worker
from roles.vexlab_image.files.image_store import ImageError, Spec

ROLE = Path(build_image.__file__).parents[1]
SPEC = Spec("trixie", ("fio", "bc"), ("some-dkms",), 8192)
ARGUMENTS = ["--suite", "trixie", "--disk-size-mb", "8192", "--package", "fio", "--package", "bc"]
KEY = "0123456789abcdef"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the builder's files."""
    return Path(shutil.copytree(ROLE / "files", tmp_path / "files"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A whole, tiny image in a cache."""
    directory = tmp_path / "cache" / KEY
    directory.mkdir(parents=True)
    for name in image_store.IMAGE_FILES:
        (directory / name).write_bytes(name.encode() * 1000)
    (directory / "sandbox" / "usr").mkdir(parents=True)
    image_store.write_manifest(directory, SPEC, KEY, "6.12.1-amd64", "2026-01-01T00:00:00Z")
    return directory


def builder(*arguments: str) -> subprocess.Popen[str]:
    """The builder as the role starts it: its files in standard input."""
    names = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__vexlab_image_files"]
    payload = json.dumps({name: (ROLE / "files" / name).read_text(encoding="utf-8") for name in names})
    child = subprocess.Popen(
        [sys.executable, "-c", (ROLE / "files" / "unpack.py").read_text(encoding="utf-8"), "build_image", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.write(payload)
    child.stdin.close()
    child.stdin = None  # or communicate() would flush it once more
    return child


def answer(child: subprocess.Popen[str], status: int) -> dict[str, Any]:
    out, err = child.communicate(timeout=60)
    assert child.returncode == status, err
    assert out.count("\n") == 1, "one line of JSON and nothing else"
    said: dict[str, Any] = json.loads(out)
    return said


def test_key_ignores_order_and_repetition() -> None:
    again = dataclasses.replace(SPEC, packages=("bc", "fio", "bc"))
    assert SPEC.key(ROLE / "files") == again.key(ROLE / "files")
    assert re.fullmatch("[0-9a-f]{16}", SPEC.key(ROLE / "files"))


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
    assert dataclasses.replace(SPEC, **changed).key(ROLE / "files") != SPEC.key(ROLE / "files")


def test_key_changes_with_each_file_of_the_builder(files: Path) -> None:
    key = SPEC.key(files)
    assert key == SPEC.key(ROLE / "files")
    for path in image_store.builder_files(files):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        assert SPEC.key(files) != key, path
        path.write_bytes(before)
    (files / "__pycache__").mkdir(exist_ok=True)
    (files / "__pycache__" / "image_store.cpython-313.pyc").write_bytes(b"x")
    assert SPEC.key(files) == key


def test_role_sends_every_file_of_the_builder() -> None:
    """One that it forgot would be in the key of a run from a checkout, and missing on the host."""
    sent = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__vexlab_image_files"]
    there = [str(path.relative_to(ROLE / "files")) for path in image_store.builder_files(ROLE / "files")]
    assert sorted(sent) == sorted(there)


def test_whole_image_has_no_damage(image: Path) -> None:
    assert image_store.damage(image, KEY) is None
    assert image_store.kernel_release(image) == "6.12.1-amd64"


@pytest.mark.parametrize("name", image_store.IMAGE_FILES)
def test_damage_of_each_file_is_noticed(image: Path, name: str) -> None:
    path = image / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    assert f"checksum of {name}" in (image_store.damage(image, KEY) or "")
    path.write_bytes(whole[:-1])
    assert f"{name} has {len(whole) - 1} bytes" in (image_store.damage(image, KEY) or "")
    path.unlink()
    assert f"{name} is missing" in (image_store.damage(image, KEY) or "")


def test_missing_user_space_for_builds_is_noticed(image: Path) -> None:
    shutil.rmtree(image / "sandbox")
    assert "sandbox/usr" in (image_store.damage(image, KEY) or "")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": "x"}', "\0\0"])
def test_damaged_manifest_is_noticed(image: Path, text: str) -> None:
    (image / "manifest.json").write_text(text)
    assert "manifest.json cannot be read" in (image_store.damage(image, KEY) or "")


def test_manifest_of_another_image_or_none_is_noticed(image: Path) -> None:
    assert "for another image" in (image_store.damage(image, "f" * 16) or "")
    (image / "manifest.json").unlink()
    assert "has no manifest.json" in (image_store.damage(image, KEY) or "")


def test_checksums_are_made_again_after_a_change_only(image: Path) -> None:
    """Damage that leaves size, time and inode alone is what the stamp trades for speed; a touched file is read."""
    disk = image / "disk.qcow2"
    stat = disk.stat()
    with disk.open("r+b") as stream:
        stream.write(b"!")
    os.utime(disk, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert image_store.damage(image, KEY) is None
    disk.touch()
    assert "checksum of disk.qcow2" in (image_store.damage(image, KEY) or "")


def test_check_mode_leaves_no_stamp(image: Path) -> None:
    (image / "verified").unlink()
    assert image_store.damage(image, KEY, stamp=False) is None
    assert not (image / "verified").exists()
    assert image_store.damage(image, KEY) is None
    assert (image / "verified").exists()


def test_leftovers_go_unless_their_build_is_alive(tmp_path: Path) -> None:
    dead, alive, mine = (tmp_path / f".{letter * 16}.x.tmp" for letter in "abc")
    for path in (dead, alive, mine, tmp_path / ".not-ours.tmp", tmp_path / ("d" * 16)):
        (path / "work").mkdir(parents=True)
    with image_store.locked(tmp_path, "b" * 16):
        removed = image_store.remove_leftovers(tmp_path, held="c" * 16)
    assert removed == [dead.name, mine.name]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        alive.name, ".not-ours.tmp", "d" * 16,
    ]  # fmt: skip


def test_lock_tells_its_holder_and_survives_its_removal(tmp_path: Path) -> None:
    with image_store.locked(tmp_path, KEY), image_store.locked(tmp_path, KEY) as second:
        assert second is None
    holders: list[str] = []
    entered = threading.Event()

    def wait() -> None:
        with image_store.locked(tmp_path, KEY, holders.append):
            entered.set()

    with image_store.locked(tmp_path, KEY):
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
    log = image_worker.BuildLog(tmp_path / "k.log", io.StringIO())
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


def test_check_mode_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    said = answer(builder("--cache", str(cache), *ARGUMENTS, "--check"), 0)
    assert said["changed"]
    assert not said["built"]
    assert said["reason"] == "not in the cache"
    assert not cache.exists()


def test_unwritable_cache_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = answer(builder("--cache", str(tmp_path / "file" / "cache"), *ARGUMENTS), 1)
    assert said["error"] == f"The image cache {tmp_path / 'file' / 'cache'} cannot be written: Not a directory."
    assert "vexlab_image_cache" in said["hint"]


def test_absent_removes_image_log_and_leftovers(tmp_path: Path) -> None:
    key = Spec("trixie", ("fio", "bc"), (), 8192).key(ROLE / "files")
    for name in (key, f".{key}.x.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / f"{key}.log").write_text("")
    assert answer(builder("--cache", str(tmp_path), *ARGUMENTS, "--state", "absent", "--check"), 0)["changed"]
    assert (tmp_path / key).exists()
    assert answer(builder("--cache", str(tmp_path), *ARGUMENTS, "--state", "absent"), 0)["changed"]
    assert list(tmp_path.iterdir()) == []
    assert not answer(builder("--cache", str(tmp_path), *ARGUMENTS, "--state", "absent"), 0)["changed"]


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, "Ended by Ctrl-C"), (signal.SIGTERM, 130, "Ended by SIGTERM"), (None, 1, "within 2 seconds")],
)
def test_whoever_waits_can_be_ended(tmp_path: Path, number: signal.Signals | None, status: int, said: str) -> None:
    """By a signal or the deadline; the lock is held by this test, so the builder never gets to build."""
    key = Spec("trixie", ("fio", "bc"), (), 8192).key(ROLE / "files")
    with image_store.locked(tmp_path, key):
        child = builder("--cache", str(tmp_path), *ARGUMENTS, "--deadline", "60" if number else "2")
        assert child.stderr is not None
        assert f"waiting for process {os.getpid()}" in child.stderr.readline()
        if number:
            child.send_signal(number)
        assert said in answer(child, status)["error"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{key}.lock", f"{key}.log"]


def test_nobody_builds_for_a_caller_that_died(tmp_path: Path) -> None:
    """The builder sits in a session of its own, as under Ansible, and its session's parent is killed."""
    key = Spec("trixie", ("fio", "bc"), (), 8192).key(ROLE / "files")
    command = [sys.executable, "-m", "roles.vexlab_image.files.build_image", "--cache", str(tmp_path), *ARGUMENTS]
    starter = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sh', '-c', '\"$@\"; true', 'sh', *sys.argv[1:]], start_new_session=True)\n"
        "child.wait()\n"
    )
    with image_store.locked(tmp_path, key):
        caller = subprocess.Popen(
            [sys.executable, "-c", starter, *command], cwd=ROLE.parents[1], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert caller.stderr is not None
        assert "waiting for process" in caller.stderr.readline()
        caller.kill()
        assert caller.stdout is not None
        assert "Ended by SIGTERM" in caller.stdout.readline()  # comes from the builder, which outlived its caller
        caller.wait(10)
    caller.stdout.close()
    caller.stderr.close()


def test_error_has_message_and_hint() -> None:
    error = ImageError("Fact.", "Remedy.")
    assert (str(error), error.hint) == ("Fact.", "Remedy.")


def test_prune_removes_what_nobody_uses(image: Path) -> None:
    """One image is to be kept, one is run on, one is worked on, one goes; what isn't an image is left alone."""
    cache = image.parent
    kept, run_on, worked_on = (cache / (letter * 16) for letter in "abc")
    for directory in (kept, run_on, worked_on, cache / "notes"):
        directory.mkdir()
    (cache / f"{KEY}.log").write_text("")
    runner = subprocess.Popen([sys.executable, "-c", "input()", f"{run_on}/disk.qcow2"], stdin=subprocess.PIPE)
    try:
        with image_store.locked(cache, worked_on.name):
            arguments = ("--cache", str(cache), "--state", "pruned", "--keep", kept.name)
            would = answer(builder(*arguments, "--check"), 0)
            assert image.exists()
            said = answer(builder(*arguments), 0)
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
    assert not (cache / f"{KEY}.log").exists()
    assert (cache / "notes").is_dir()
