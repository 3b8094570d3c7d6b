"""The process that runs the commands of checks: what one check leaves behind, the next must not meet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vexlab.guest.inside.kmsg import KernelLog
from vexlab.guest.lab import started
from vexlab.guest.testing import agent
from vexlab.guest.testing.connection import sources

HERE = Path(__file__).parent
PROBE = "vexlab.guest.inside.agent_probe"
PROBE_FILE = "vexlab/guest/inside/agent_probe.py"


class Runner:
    """Agent's Runner in a process of its own, since it forks and takes standard output as a program has it.

    As in a guest, nothing is importable but the standard library and what the sources hold.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "agent_process.py"), agent.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.send(sources() | {PROBE: (HERE / "agent_probe.py").read_text()})

    def send(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.send(order)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def call(runner: Runner, name: str, *arguments: Any, seconds: float = 20, module: str = PROBE) -> dict[str, Any]:
    """The answer to a call."""
    return runner.run({"call": f"{module}:{name}", "arguments": arguments, "seconds": seconds})


def ask(runner: Runner, name: str, *arguments: Any) -> Any:
    """What a function returns."""
    seen = call(runner, name, *arguments)
    assert seen["code"] == 0, seen
    return json.loads(seen["outcome"])["value"]


def raised(runner: Runner, name: str, *arguments: Any, module: str = PROBE) -> dict[str, Any]:
    """What a function raises."""
    seen = call(runner, name, *arguments, module=module)
    assert seen["code"] == 1, seen
    told: dict[str, Any] = json.loads(seen["outcome"])["raised"]
    return told


def worker(runner: Runner) -> int:
    return int(ask(runner, "number"))


def test_calls_share_a_process_that_none_of_them_changed(runner: Runner) -> None:
    first = worker(runner)
    assert ask(runner, "echo", "a", 1, {"b": [None, True]}) == ["a", 1, {"b": [None, True]}]
    assert worker(runner) == first
    assert first != os.getpid()


def test_directory_and_open_files_are_gone(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    first = worker(runner)
    descriptor = ask(runner, "open_in", str(tmp_path))
    assert ask(runner, "look", descriptor) == [str(Path.cwd()), False]
    assert worker(runner) == first


@pytest.mark.parametrize(
    "change", ["change_umask", "keep_a_file", "ignore_a_signal", "start_a_thread", "start_a_process", "fork"]
)
def test_what_outlives_a_call_ends_its_process(runner: Runner, change: str) -> None:
    first = worker(runner)
    assert ask(runner, change) is None
    assert worker(runner) != first


@pytest.mark.skipif(os.getuid() != 0, reason="nobody else can become another user")
def test_who_became_another_user_does_not_come_back(runner: Runner) -> None:
    assert ask(runner, "become_nobody") == 65534
    assert ask(runner, "user") == 0


def test_exception_names_the_lines_it_came_through(runner: Runner) -> None:
    """The file is the one that is read on this side, and the traceback shows its lines."""
    lines = (HERE / "agent_probe.py").read_text().splitlines()
    outer, inner = (lines.index(f"    {line}") + 1 for line in ("inner()", 'raise OSError(5, "told")'))
    seen = call(runner, "fail")
    where = [f"{name} ({PROBE_FILE}:{line})" for name, line in (("fail", outer), ("inner", inner))]
    told = {"type": "OSError", "message": "[Errno 5] told", "where": where}
    assert json.loads(seen["outcome"]) == {"raised": told}
    assert seen["stdout"] == "before\n"
    assert f'File "{PROBE_FILE}", line {inner}, in inner\n    raise OSError(5, "told")\n' in seen["stderr"]


def test_exception_ends_the_process(runner: Runner) -> None:
    first = worker(runner)
    raised(runner, "fail")
    assert worker(runner) != first


@pytest.mark.parametrize(("how", "code"), [("words", 1), ("exit", 4), ("kill", 137)])
def test_a_process_that_ends_is_told_and_replaced(runner: Runner, how: str, code: int) -> None:
    first = worker(runner)
    seen = call(runner, "leave", how)
    assert (seen["code"], seen["stdout"]) == (code, "before\n")
    assert (seen["outcome"] == "") is (how != "words")
    assert worker(runner) != first


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (PROBE, "nothing"), (PROBE, "PROBE"), (PROBE, "os.getpid"), (PROBE, "kept"), (PROBE, ""),
        ("vexlab.guest.inside.nowhere", "number"), ("os", "getpid"), ("agent", "main"), ("__main__", "main"),
        ("vexlab.guest.inside", "number"), ("vexlab.guest", "number"), ("vexlab.guest.testing.agent", "main"),
    ],
)  # fmt: skip
def test_only_functions_of_the_package_are_called(runner: Runner, module: str, name: str) -> None:
    told = raised(runner, name, module=module)
    assert told["type"] == "LookupError"
    assert told["message"].startswith(f"nothing that runs in the guest is named {module}:{name}")


def test_wrong_arguments_are_an_exception(runner: Runner) -> None:
    assert raised(runner, "number", 1)["type"] == "TypeError"


@pytest.mark.parametrize(
    ("name", "arguments", "kind"), [("no_json", [], "TypeError"), ("big", [3 << 20], "ValueError")]
)
def test_what_can_not_be_an_answer_is_an_exception(runner: Runner, name: str, arguments: list[int], kind: str) -> None:
    assert raised(runner, name, *arguments)["type"] == kind
    assert len(ask(runner, "big", 1 << 20)) == 1 << 20


def test_every_module_is_imported_from_what_was_sent(runner: Runner) -> None:
    """And needs nothing but the standard library, since nothing else can be imported there."""
    assert "vexlab" not in sources()  # nor `vexlab.guest`: there they are empty, whatever they are here
    names = sorted(name for name in sources() if name.startswith("vexlab.guest.inside."))
    assert len(names) > 20
    assert ask(runner, "load", names) == [f"{name.replace('.', '/')}.py" for name in names]
    assert ask(runner, "load", ["plugins.module_utils.device"]) == ["plugins/module_utils/device.py"]


def test_output_is_that_of_the_call_alone(runner: Runner) -> None:
    for said in ("a long line", "short"):
        seen = call(runner, "say", said)
        assert (seen["stdout"], seen["stderr"], seen["outcome"]) == (f"{said}\n", "", '{"value": null}')


def test_call_is_killed_at_its_deadline_with_all_it_started(runner: Runner) -> None:
    seen = call(runner, "wait_with_a_child", seconds=1)
    assert (seen["code"], seen.get("stuck")) == (124, None)
    assert re.search(
        r"python\S* \(process \d+, state S\) in .*, [\d.]+ s of CPU time, .* it doesn't go on", seen["where"]
    )
    assert "sleep (process " in seen["where"]
    assert not Path(f"/proc/{int(seen['stdout'])}").exists()
    assert ask(runner, "echo", 1) == [1]


@pytest.mark.parametrize(
    ("how", "said"), [("write", r"slow: it goes on writing, \d+ KiB/s"), ("compute", "it goes on, and computes")]
)
def test_call_that_goes_on_at_its_deadline_is_told_as_slow(runner: Runner, tmp_path: Path, how: str, said: str) -> None:
    """Nobody looks for a lock then that somebody holds."""
    seen = call(runner, "go_on", how, str(tmp_path / "slow"), seconds=1)
    assert re.search(said, seen["where"]), seen["where"]


def test_a_worker_that_somebody_killed_is_replaced(runner: Runner) -> None:
    """And it is told from a check that failed: the function that it called said nothing."""
    killed = worker(runner)
    os.kill(killed, 9)
    seen = call(runner, "echo", 1)
    assert (seen["code"], seen["killed"]) == (137, killed)
    assert ask(runner, "echo", 1) == [1]
    assert "killed" not in call(runner, "wait", seconds=1)
    assert "killed" not in runner.run({"script": "kill -9 $$", "seconds": 20})


@pytest.fixture
def kmsg() -> Iterator[tuple[KernelLog, int]]:
    """A log whose records come as they do from /dev/kmsg, one per read, and where they are written."""
    reading, writing = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    yield KernelLog(reading), writing
    os.close(reading)
    os.close(writing)


def log(writing: int, *numbers: int) -> None:
    for number in numbers:
        os.write(writing, f"{4 if number % 2 else 6},{number},{number}000000,-;record {number}\n KEY=value\n".encode())


def test_messages_of_the_kernel_come_once(kmsg: tuple[KernelLog, int]) -> None:
    messages, writing = kmsg
    log(writing, 41, 42)
    told = ["[   41.000000] record 41", "[   42.000000] record 42"]
    assert messages.new() == {"kernel": told, "warnings": told[:1], "lost": 0}
    assert messages.new() == {"kernel": [], "warnings": [], "lost": 0}
    log(writing, 43)
    assert messages.new()["lost"] == 0


@pytest.mark.parametrize(("numbers", "lost"), [([50], 7), ([43, 45, 48], 3), ([44], 1)])
def test_messages_that_were_overwritten_are_counted(kmsg: tuple[KernelLog, int], numbers: list[int], lost: int) -> None:
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
    code = "from vexlab.guest.testing import agent; print(agent.full_disk(['/', '/mnt']))"
    small = ["bwrap", "--dev-bind", "/", "/", "--size", "65536", "--tmpfs", "/mnt"]
    done = subprocess.run(
        [*small, sys.executable, "-c", code], cwd=HERE.parents[1], capture_output=True, text=True, check=True
    )
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


@pytest.mark.parametrize("kind", ["script", "call"])
def test_what_runs_ends_with_whoever_asked_for_it(tmp_path: Path, kind: str) -> None:
    """A run that was killed must not go on in the guest, beside the next one."""
    runner, mark = Runner(), tmp_path / "pid"
    orders: dict[str, dict[str, Any]] = {
        "script": {"script": f"echo $$ >{mark}; sleep 60"},
        "call": {"call": f"{PROBE}:wait", "arguments": [str(mark)]},
    }
    runner.send(orders[kind] | {"seconds": 60})
    began = time.monotonic()
    while not (mark.exists() and mark.read_text().endswith("\n")):
        assert time.monotonic() - began < 20
        time.sleep(0.02)
    runner.close()
    assert time.monotonic() - began < 20
    assert not started(int(mark.read_text()))
