"""How a command ends, with all that it started: real processes, real signals, a real playbook that would take long."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vexlab.errors import UsageProblem
from vexlab.guest import reaper
from vexlab.guest.lab import Lab
from vexlab.run import scratch

ROOT = Path(__file__).parents[2]
TOKEN = "token-of-a-ci-job"  # noqa: S105
# Whoever runs the tests, by nohup or in the background, may ignore signals, and what is started would inherit that.
PYTHON = ("env", "--default-signal=INT,TERM,HUP", sys.executable)
# Holds a lab and runs a playbook in it that leaves a background process and sleeps, as a stage with its verifier does.
WORK = """
import sys
from pathlib import Path
from vexlab.config import installation
from vexlab.run import interrupt
from vexlab.errors import Interrupted
from vexlab.guest.lab import Lab
from vexlab.run.playbook import Playbook

here = Path(sys.argv[1])
installation.playbook = lambda name: here / "work.yml"
lab = Lab("lab", here / "lab")
interrupt.listen()
try:
    with lab.held():
        Playbook("work", lab, {}, here / "ansible.log").run()
except (Interrupted, KeyboardInterrupt):
    sys.exit(130)
"""
PLAYBOOK = """
- hosts: hypervisors
  gather_facts: false
  tasks:
    - ansible.builtin.shell:
        cmd: |
          setsid sh -c 'trap "" {ignored}; while sleep 0.1; do :; done' &
          env >{here}/environment
          touch {here}/works
          sleep 600
"""


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


class Work:
    """A command that is at work, in a session of its own with a terminal, or without one."""

    def __init__(self, here: Path, *, terminal: bool = False, stubborn: bool = False) -> None:
        """Start it. What it leaves in the background ignores SIGTERM too if it is `stubborn`, and is killed."""
        self.here = here
        self.state = here / "state"
        (here / "lab" / "inventory").mkdir(parents=True)
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (here / "lab" / "inventory" / "hosts.yml").write_text(
            json.dumps({"hypervisors": {"hosts": {"localhost": host}}})
        )
        (here / "work.yml").write_text(PLAYBOOK.format(here=here, ignored="TERM HUP INT" if stubborn else "HUP INT"))
        self.lab = Lab("lab", here / "lab")
        environment = os.environ | {"XDG_STATE_HOME": str(self.state), "CI_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        command = [*PYTHON, "-c", WORK, str(here)]
        self.master = -1
        if terminal:
            self.master, slave = pty.openpty()
            self.process = subprocess.Popen(
                ["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave, env=environment
            )
            os.close(slave)
        else:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def wait_until_at_work(self) -> str:
        """Until the playbook's task runs; returns the mark of all that was started."""
        until((self.here / "works").exists)
        lines = (self.here / "environment").read_text().splitlines()
        mark = next(line for line in lines if line.startswith("VEXLAB_RUN="))
        assert len(reaper.marked_processes(mark)) >= 3  # Ansible, the task, and what it left in the background
        return mark

    def scratch(self) -> list[Path]:
        return list((self.state / "vexlab" / "scratch").iterdir())


@pytest.fixture
def work(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Work]:
    at_work = Work(tmp_path, stubborn=getattr(request, "param", False))
    yield at_work
    at_work.process.kill()
    at_work.process.wait()


@pytest.mark.parametrize("work", [True], ids=["stubborn"], indirect=True)
def test_a_kill_ends_all_and_frees_the_lab_then(work: Work) -> None:
    mark = work.wait_until_at_work()
    os.kill(work.process.pid, signal.SIGKILL)
    work.process.wait()
    assert reaper.marked_processes(mark)
    began = time.monotonic()
    with work.lab.held():  # it waits: one that shares the lab with what is left would find it there
        assert reaper.marked_processes(mark) == []
    assert time.monotonic() - began < 30
    until(lambda: work.scratch() == [], 5)


def test_what_works_holds_the_lab(work: Work) -> None:
    work.wait_until_at_work()
    with (
        pytest.raises(UsageProblem, match=f"another vexlab command, process {work.process.pid}, works on lab"),
        work.lab.held(),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("number", "work"), [(signal.SIGHUP, False), (signal.SIGTERM, True), (signal.SIGINT, False)],
    ids=["SIGHUP", "SIGTERM, stubborn", "SIGINT"], indirect=["work"],
)  # fmt: skip
def test_a_signal_ends_all_before_the_command(work: Work, number: signal.Signals) -> None:
    mark = work.wait_until_at_work()
    deadline = time.monotonic() + 60
    while work.process.poll() is None and time.monotonic() < deadline:
        work.process.send_signal(number)  # shells send it twice, and people press it again and again
        time.sleep(0.1)
    assert work.process.wait(0) == 130
    assert reaper.marked_processes(mark) == []
    assert work.scratch() == []


def test_a_terminal_that_is_closed_ends_all(tmp_path: Path) -> None:
    work = Work(tmp_path, terminal=True)
    mark = work.wait_until_at_work()
    os.close(work.master)
    assert work.process.wait(60) == 130
    assert reaper.marked_processes(mark) == []
    assert work.scratch() == []


def test_nohup_goes_on(tmp_path: Path) -> None:
    code = "import signal; from vexlab.run import interrupt; interrupt.listen(); print(signal.getsignal(signal.SIGHUP))"
    done = subprocess.run(["nohup", sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() in ("1", "Handlers.SIG_IGN")


def test_the_environment_is_not_written(work: Work) -> None:
    """And a task doesn't see it either."""
    work.wait_until_at_work()
    found = [path for path in work.here.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert found == []
    environment = (work.here / "environment").read_text()
    assert "HOME=" in environment
    assert "CI_TOKEN" not in environment
    assert [path.stat().st_mode & 0o777 for path in work.scratch()] == [0o700]


def test_what_a_killed_reaper_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    left = tmp_path / "vexlab" / "scratch" / "left"
    left.mkdir(parents=True)
    (left / "file").touch()
    with scratch.directory() as needed, scratch.directory() as too:
        assert not left.exists()
        assert needed.is_dir()
        assert too.is_dir()
    assert list(left.parent.iterdir()) == []


def test_nothing_is_left_where_no_directory_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one for sockets is made first, in another place, where there may be room."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(sockets))
    state = tmp_path / "state"
    state.write_text("not a directory")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    with pytest.raises(OSError, match="Not a directory"), scratch.directory_and_sockets():
        pass
    assert list(sockets.iterdir()) == []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with scratch.directory_and_sockets() as (needed, place):
        assert place.parent == sockets
    assert not needed.exists()
    assert not place.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("where", ["vexlab.cli.main", "vexlab.config.settings"])
def test_130_wherever_a_signal_comes(tmp_path: Path, number: signal.Signals, where: str) -> None:
    """While modules are loaded, and while the source is read: settings.make walks it."""
    code = f"""
        import builtins, os, sys
        from vexlab import __main__
        loaded = builtins.__import__
        def load(name, *rest, **more):
            if name == "vexlab.cli.main" and "{where}" == name:
                os.kill(os.getpid(), {int(number)})
            return loaded(name, *rest, **more)
        builtins.__import__ = load
        walk = os.walk
        def slow(top, *rest, **more):
            if "{where}" == "vexlab.config.settings":
                os.kill(os.getpid(), {int(number)})
            return walk(top, *rest, **more)
        os.walk = slow
        sys.argv = ["vexlab", "up", "--source", {str(ROOT / "examples" / "vexfs")!r}]
        __main__.main()
    """
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*PYTHON, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


def test_destroyed_meanwhile(tmp_path: Path) -> None:
    """A lab whose directory goes while it is waited for is made anew, and really held."""
    lab = Lab("lab", tmp_path / "lab")
    with lab.held():
        (lab.directory / "command.lock").unlink()
        lab.directory.rmdir()
        with Lab("lab", tmp_path / "lab").held():
            assert (lab.directory / "command.lock").is_file()
