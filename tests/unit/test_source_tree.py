"""What may be in a source tree: it is read, or refused by its name, and nothing is waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.odd_files import NAMES, OTHERS
from vexlab.config import settings, source_tree
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds; what is asked for takes a fraction of one


pytestmark = pytest.mark.timeout(PATIENCE)  # ends a test that waits for a FIFO


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "kernel").mkdir(parents=True)
    (tree / "kernel" / "a.c").write_text("int a;\n")
    return tree


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_neither_file_nor_link_is_refused_by_name(tree: Path, kind: str) -> None:
    OTHERS[kind](tree / "kernel" / "odd one")
    for read in (source_tree.fingerprint, lambda tree: settings.make("x", Options(source=str(tree)))):
        with pytest.raises(UsageProblem) as refusal:
            read(tree)
        assert refusal.value.exit_code == 2
        assert f"{tree}/kernel/odd one in the source is {kind}" in refusal.value.message
        assert refusal.value.hint


@pytest.mark.parametrize("kind", OTHERS)
def test_what_takes_the_place_of_a_file_is_not_waited_for(tree: Path, kind: str) -> None:
    """Between looking at a name and opening it."""
    path = tree / "other"
    OTHERS[kind](path)
    with pytest.raises(UsageProblem, match="other in the source"):
        source_tree.content_hash(path)


def test_command_line_refuses_a_fifo_with_exit_code_2(tree: Path) -> None:
    os.mkfifo(tree / "pipe\n\x1b")
    done = subprocess.run(
        [sys.executable, "-m", "vexlab", "up", "--source", str(tree)], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=PATIENCE, env=os.environ | {"XDG_STATE_HOME": str(tree.parent / "state")},
    )  # fmt: skip
    assert done.returncode == 2
    assert "pipe\\n\\x1b in the source is a FIFO" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tree.parent / "state").exists()


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_any_name_is_read(tree: Path, name: bytes) -> None:
    path = tree / os.fsdecode(name)
    before = source_tree.fingerprint(tree)
    path.write_text("x")
    made = source_tree.fingerprint(tree)
    path.write_text("y")
    assert len({before, made, source_tree.fingerprint(tree)}) == 3
    assert settings.make("x", Options(source=str(tree))).source == str(tree)


def test_name_cannot_pass_for_another_file_and_its_content(tree: Path) -> None:
    (tree / "a").write_text("1")
    (tree / "b").write_text("2")
    two = source_tree.fingerprint(tree)
    (tree / "a").rename(tree / "c")
    (tree / "b").rename(tree / "a")
    (tree / "c").rename(tree / "b")
    assert source_tree.fingerprint(tree) != two


@pytest.mark.parametrize("option", ["source", "target"])
def test_path_that_is_not_utf8_is_refused(tmp_path: Path, option: str) -> None:
    tree = tmp_path / os.fsdecode(b"\xff")
    tree.mkdir()
    (tree / "a").touch()
    given: dict[str, Any] = {option: str(tree)}
    with pytest.raises(UsageProblem, match=r"\\xff, is not UTF-8"):
        settings.make("x", Options(**given))


def test_link_is_not_followed(tree: Path) -> None:
    (tree / "loop").symlink_to("loop")
    (tree / "kernel" / "up").symlink_to("..")
    (tree / "endless").symlink_to("/dev/zero")
    (tree / "nowhere").symlink_to("gone")
    before = source_tree.fingerprint(tree)
    (tree / "nowhere").unlink()
    (tree / "nowhere").symlink_to("gone2")
    assert source_tree.fingerprint(tree) != before
    assert settings.make("x", Options(source=str(tree))).source == str(tree)


def test_file_larger_than_the_disk_of_a_guest_is_refused(tree: Path) -> None:
    with (tree / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageProblem, match=r"huge in the source has 1048576 MiB, and the disk of the guest 8192 MiB"):
        settings.make("x", Options(source=str(tree)))


def test_vanished_file_is_named(tree: Path) -> None:
    with pytest.raises(UsageProblem, match=r"gone\.c vanished while the source was read"):
        source_tree.content_hash(tree / "gone.c")


def test_directory_that_vanishes_is_named(tree: Path) -> None:
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").touch()
    (tree / "0").touch()
    walk = source_tree.entries(tree)
    assert next(walk)[0] == tree / "0"
    (tree / "a" / "b" / "file").unlink()
    (tree / "a" / "b").rmdir()
    (tree / "a").rmdir()
    with pytest.raises(UsageProblem, match="a vanished"):
        list(walk)


def test_file_that_grows_while_it_is_read_is_named(tree: Path) -> None:
    path, ended = tree / "log", threading.Event()
    path.write_bytes(bytes(64 << 20))

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.is_set():
                file.write(b"x")
                time.sleep(0.001)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(UsageProblem, match="log changed while it was read"):
            source_tree.content_hash(path)
    finally:
        ended.set()
        writer.join()


def refused_to_nobody(tree: Path) -> str:
    """What a user whom rights bind is told: root reads everything."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            source_tree.check(tree, 1)
        except UsageProblem as problem:
            os.write(tell, str(problem).encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    with os.fdopen(told) as answer:
        return answer.read()


@pytest.mark.parametrize("what", ["kernel", "kernel/a.c"])
def test_what_cannot_be_read_is_named(what: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        tree.chmod(0o755)
        (tree / "kernel").mkdir(0o755)
        (tree / "kernel" / "a.c").touch()
        assert refused_to_nobody(tree) == ""
        (tree / what).chmod(0)
        said = refused_to_nobody(tree)
        (tree / what).chmod(0o700)
    assert f"{tree}/{what} in the source can't be read by you" in said
    assert "chmod u+r" in said


def reads_below(process: subprocess.Popen[str], directory: Path) -> bool:
    """Whether a process has a file below a directory open."""
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            if link.readlink().is_relative_to(directory):
                return True
    return False


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="without QEMU, vexlab reads nothing")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruption_ends_the_reading(tree: Path, number: signal.Signals) -> None:
    """What is read here has no end within the test's patience."""
    for name in range(200):
        with (tree / f"sparse-{name}").open("wb") as file:
            file.truncate(1 << 32)
    # A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and what inherits that ignores both.
    command = ["env", "--default-signal=INT,HUP", sys.executable, "-m", "vexlab", "up", "--source", str(tree)]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"XDG_STATE_HOME": str(tree.parent / "state")},
    )  # fmt: skip
    while not reads_below(process, tree):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert "Traceback" not in process.communicate()[1]
    assert process.returncode == 130
