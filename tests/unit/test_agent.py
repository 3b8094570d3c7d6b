"""The process that runs the commands of checks: what one check leaves behind, the next must not meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "guest"))

import agent

GUEST = Path(__file__).parents[1] / "guest"
# The agent without what only a guest has: its kernel's log.
SERVE = """
import json, sys
from types import ModuleType
sys.path.insert(0, sys.argv[1])
import agent
inside = sys.modules["in_guest"] = ModuleType("in_guest")
exec(compile(open(f"{sys.argv[1]}/in_guest.py").read(), "in_guest.py", "exec"), inside.__dict__)
runner, answers = agent.Runner(inside.__dict__), sys.stdout
for line in sys.stdin:
    print(json.dumps(runner.run(json.loads(line))), file=answers, flush=True)
"""


class Runner:
    """Agent's Runner in a process of its own, since it forks and takes standard output as a program has it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(GUEST)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def ask(runner: Runner, code: str, *arguments: Any, seconds: float = 20) -> Any:
    """What the code of a check answers."""
    seen = runner.run({"code": code, "arguments": arguments, "seconds": seconds})
    assert seen["code"] == 0, seen
    return json.loads(seen["stdout"])


def worker(runner: Runner) -> int:
    return int(ask(runner, "answer(os.getpid())"))


def test_checks_share_a_process_that_none_of_them_changed(runner: Runner) -> None:
    first = worker(runner)
    assert ask(runner, "answer(arguments)", "a", 1) == ["a", 1]
    assert worker(runner) == first
    assert first != os.getpid()


def test_names_directory_and_open_files_are_gone(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    first = worker(runner)
    opened = "os.chdir(arguments[0]); kept = open('file'); answer(kept.fileno())"
    descriptor = ask(runner, opened, str(tmp_path))
    seen = "answer([os.getcwd(), 'kept' in globals(), os.path.exists(f'/proc/self/fd/{arguments[0]}')])"
    assert ask(runner, seen, descriptor) == [str(Path.cwd()), False, False]
    assert worker(runner) == first


def test_a_changed_name_of_inside_is_what_it_was(runner: Runner) -> None:
    first = worker(runner)
    ask(runner, "read = None; answer(1)")
    assert ask(runner, "answer(read.__name__)") == "read"
    assert worker(runner) == first


@pytest.mark.parametrize(
    "change",
    [
        "os.umask(0o027 if os.umask(0o027) != 0o027 else 0o077)",
        "sys.kept = open('/dev/null')",
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "import threading; threading.Thread(target=sleep, args=[5], daemon=True).start()",
        "subprocess.Popen(['sleep', '5'])",
        "fork = os.fork()\nif fork == 0: os._exit(0)",
    ],
)
def test_what_outlives_a_check_ends_its_process(runner: Runner, change: str) -> None:
    first = worker(runner)
    assert ask(runner, f"{change}\nanswer('done')") == "done"
    assert worker(runner) != first


@pytest.mark.skipif(os.getuid() != 0, reason="nobody else can become another user")
def test_who_became_another_user_does_not_come_back(runner: Runner) -> None:
    assert ask(runner, "os.setresuid(65534, 65534, 65534); answer(os.getuid())") == 65534
    assert ask(runner, "answer(os.getuid())") == 0


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("raise OSError(5, 'told')", 1, "OSError: [Errno 5] told in: raise OSError(5, 'told')"),
        ("assert 1 ==", 1, "SyntaxError: "),
        ("sys.exit('words')", 1, "words"),
        ("sys.exit(3)", 3, ""),
        ("os._exit(4)", 4, ""),
        ("os.kill(os.getpid(), 9)", 137, ""),
    ],
)
def test_a_failure_is_told_and_ends_the_process(runner: Runner, code: str, expected: int, said: str) -> None:
    first = worker(runner)
    seen = runner.run({"code": f"print('before', flush=True)\n{code}", "arguments": [], "seconds": 20})
    assert seen["code"] == expected
    assert said in seen["stderr"]
    assert seen["stdout"] == ("" if "Syntax" in said else "before\n")
    assert worker(runner) != first


def test_output_is_that_of_the_check_alone(runner: Runner) -> None:
    for said in ("a long line", "short"):
        seen = runner.run({"code": f"print({said!r})", "arguments": [], "seconds": 20})
        assert (seen["stdout"], seen["stderr"]) == (f"{said}\n", "")


def test_code_is_killed_at_its_deadline_with_all_it_started(runner: Runner) -> None:
    code = "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); sleep(60)"
    seen = runner.run({"code": code, "arguments": [], "seconds": 1})
    assert (seen["code"], seen.get("stuck")) == (124, None)
    assert not Path(f"/proc/{int(seen['stdout'])}").exists()
    assert ask(runner, "answer(1)") == 1


def test_a_worker_that_somebody_killed_is_replaced(runner: Runner) -> None:
    """And it is told from a check that failed: the code that it ran said nothing."""
    killed = worker(runner)
    os.kill(killed, 9)
    seen = runner.run({"code": "answer(1)", "arguments": [], "seconds": 20})
    assert (seen["code"], seen["killed"]) == (137, killed)
    assert ask(runner, "answer(1)") == 1
    assert "killed" not in runner.run({"code": "sleep(60)", "arguments": [], "seconds": 1})
    assert "killed" not in runner.run({"script": "kill -9 $$", "seconds": 20})


@pytest.fixture
def kmsg() -> Iterator[tuple[agent.KernelLog, int]]:
    """A log whose records come as they do from /dev/kmsg, one per read, and where they are written."""
    reading, writing = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    yield agent.KernelLog(reading), writing
    os.close(reading)
    os.close(writing)


def log(writing: int, *numbers: int) -> None:
    for number in numbers:
        os.write(writing, f"{4 if number % 2 else 6},{number},{number}000000,-;record {number}\n KEY=value\n".encode())


def test_messages_of_the_kernel_come_once(kmsg: tuple[agent.KernelLog, int]) -> None:
    messages, writing = kmsg
    log(writing, 41, 42)
    told = ["[   41.000000] record 41", "[   42.000000] record 42"]
    assert messages.new() == {"kernel": told, "warnings": told[:1], "lost": 0}
    assert messages.new() == {"kernel": [], "warnings": [], "lost": 0}
    log(writing, 43)
    assert messages.new()["lost"] == 0


@pytest.mark.parametrize(("numbers", "lost"), [([50], 7), ([43, 45, 48], 3), ([44], 1)])
def test_messages_that_were_overwritten_are_counted(
    kmsg: tuple[agent.KernelLog, int], numbers: list[int], lost: int
) -> None:
    """A flood takes the room of what nobody has read yet, a report of a bug among it."""
    messages, writing = kmsg
    log(writing, 42)
    messages.new()
    log(writing, *numbers)
    seen = messages.new()
    assert (len(seen["kernel"]), seen["lost"]) == (len(numbers), lost)
    log(writing, numbers[-1] + 1)
    assert messages.new()["lost"] == 0


def test_a_full_disk_is_told_from_one_with_room(tmp_path: Path) -> None:
    assert agent.full_disk([str(tmp_path), str(tmp_path / "not there")]) == {}
    code = "import sys; sys.path.insert(0, sys.argv[1]); import agent; print(agent.full_disk(['/', '/mnt']))"
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "65536", "--tmpfs", "/mnt"]
    done = subprocess.run([*small, sys.executable, "-c", code, str(GUEST)], capture_output=True, text=True, check=True)
    assert done.stdout == "{'full': '/mnt'}\n"


@pytest.mark.parametrize(
    ("script", "code", "stdout"),
    [
        ("echo out; echo err >&2", 0, "out\n"),
        ("false; echo no", 1, ""),
        ("kill -9 $$", 137, ""),
        ("exec sleep 60", 124, ""),
    ],
)
def test_scripts(runner: Runner, script: str, code: int, stdout: str) -> None:
    seen = runner.run({"script": script, "seconds": 1 if "sleep" in script else 20})
    assert (seen["code"], seen["stdout"]) == (code, stdout)
    assert seen["stderr"] == ("err\n" if "err" in script else "")


def test_a_script_that_leaves_a_process_behind_is_not_waited_for(runner: Runner) -> None:
    seen = runner.run({"script": "sleep 60 & echo $!", "seconds": 20})
    left = int(seen["stdout"])
    assert Path(f"/proc/{left}").exists()
    os.kill(left, 9)


@pytest.mark.parametrize("kind", ["script", "code"])
def test_what_runs_ends_with_whoever_asked_for_it(tmp_path: Path, kind: str) -> None:
    """A run that was killed must not go on in the guest, beside the next one."""
    runner, mark = Runner(), tmp_path / "pid"
    orders: dict[str, dict[str, Any]] = {
        "script": {"script": f"echo $$ >{mark}; sleep 60"},
        "code": {
            "code": "open(arguments[0], 'w').write(f'{os.getpid()}\\n'); time.sleep(60)",
            "arguments": [str(mark)],
        },
    }
    assert runner.process.stdin is not None
    runner.process.stdin.write(json.dumps(orders[kind] | {"seconds": 60}) + "\n")
    runner.process.stdin.flush()
    began = time.monotonic()
    while not (mark.exists() and mark.read_text().endswith("\n")):
        assert time.monotonic() - began < 20
        time.sleep(0.02)
    runner.close()
    assert time.monotonic() - began < 20
    assert not Path("/proc", mark.read_text().strip()).exists()
