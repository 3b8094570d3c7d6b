"""What a build in the sandbox can reach of the machine that runs it, tried by root and by an ordinary user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import sandbox

SCRIPT = Path(sandbox.__file__).read_text()
ESCAPES = Path(__file__).with_name("sandbox_escapes.py").read_text()
ORDINARY = 54321  # a user that nobody is
USERS = [
    pytest.param(0, id="root", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can be root")),
    pytest.param(ORDINARY if os.geteuid() == 0 else os.geteuid(), id="ordinary"),
]
pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class Bench:
    """A work directory and a source of one user, with the programs of this machine as the user space."""

    def __init__(self, place: Path, user: int) -> None:
        self.place, self.user = place, user
        self.work = place / "work"
        (place / "source").mkdir()
        (place / "source" / "a.c").write_text("int a;\n")
        (place / "source" / "a.c").chmod(0o600)
        for path in (place, place / "source", place / "source" / "a.c"):
            os.chown(path, user, user if os.geteuid() == 0 else -1)

    def inputs(self, **other: Any) -> dict[str, Any]:
        inputs = dict.fromkeys(sandbox.BUILD, "")
        lab = "/var/lib/vexlab"
        return inputs | {
            "source": f"{lab}/source", "destination": f"{lab}/build", "record": f"{lab}/build.json",
            "module_file": "m.ko", "before": [], "kernel_release": "none", "root": "/", "work": str(self.work),
            "tree": str(self.place / "source"), "source_in_guest": "", "exclude": [],
        } | other  # fmt: skip

    def start(self, program: str, **other: Any) -> subprocess.Popen[bytes]:
        """Run a program in the sandbox instead of build.py."""
        python = sys.executable if self.user == os.geteuid() else "/usr/bin/python3"
        command = [python, "-c", SCRIPT, json.dumps(self.inputs(**other))]
        became: dict[str, Any] = {}
        if os.geteuid() == 0:
            became = {"user": self.user, "group": self.user, "extra_groups": []}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", umask=0o022,
            **became,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(program.encode())
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, program: str, **other: Any) -> dict[str, Any]:
        said, complaint = self.start(program, **other).communicate(timeout=120)
        assert said, complaint
        answer: dict[str, Any] = json.loads(said)
        return answer


@pytest.fixture(params=USERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="vexlab-", dir="/var/tmp") as place:
        yield Bench(Path(place), request.param)


@contextlib.contextmanager
def host(place: Path) -> Iterator[dict[str, Any]]:
    """Things of the host that a build could be after."""
    corruptible = subprocess.Popen(["sleep", "300"])
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        name = f"vexlab-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        (place / "secret").write_text("secret")
        files = [str(place / "secret"), str(Path.home()), str(Path(sys.prefix).parent), str(Path(__file__))]
        try:
            yield {"files": files, "port": listener.getsockname()[1], "socket": name, "pid": corruptible.pid}
            assert corruptible.poll() is None
        finally:
            corruptible.kill()
            corruptible.wait()


def test_nothing_of_the_host_can_be_reached(bench: Bench) -> None:
    """Each file of /proc/sys, /sys and /dev, the user space, the cache, the network, namespaces, keys, processes."""
    with host(bench.place) as things:
        answer = bench.run(ESCAPES, before=[json.dumps(things)])
    assert "tried" in answer, answer
    assert [name for name, came_of_it in answer["tried"].items() if came_of_it == "done"] == []
    assert sum(name.startswith("write /proc/sys/") for name in answer["tried"]) > 300
    refused = {name for name, came_of_it in answer["tried"].items() if came_of_it == "EPERM"}
    assert {
        "unshare user",
        "clone user",
        "setns user",
        "mount",
        "umount",
        "keyctl",
        "add_key",
        "request_key",
    } <= refused
    assert answer["tried"]["5 GiB file"] == "EFBIG"


def test_nothing_inside_is_privileged(bench: Bench) -> None:
    with host(bench.place) as things:
        answer = bench.run(ESCAPES, before=[json.dumps(things)])
    user = bench.user or sandbox.NOBODY
    assert answer["user"][:3] == [user] * 3
    assert answer["user"][3:] == [user if os.geteuid() == 0 else os.getegid()] * 3
    assert 0 not in answer["groups"]
    assert {name: int(value, 16) for name, value in answer["status"].items()} == {
        "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1, "Seccomp": 2,
    }  # fmt: skip
    assert answer["processes"] <= sandbox.LIMITS["nproc"]
    assert answer["core"] == 0
    assert answer["session"] != os.getsid(0)


def test_source_for_its_owners_eyes_is_copied(bench: Bench) -> None:
    """Who builds can't read root's tree; who copies it can, and what is made belongs to who builds."""
    program = "import json; print(json.dumps({'read': open('/var/lib/vexlab/source/a.c').read()}))"
    assert bench.run(program) == {"read": "int a;\n"}
    assert {path.lstat().st_uid for path in bench.work.rglob("*")} == {bench.user or sandbox.NOBODY}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root leaves files that nobody may write")
def test_what_an_earlier_build_of_root_left_is_handed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 0)
    (bench.work / "build").mkdir(parents=True, mode=0o700)
    (bench.work / "build" / "old.o").write_text("old")
    (bench.work / "build" / "link").symlink_to(tmp_path / "source" / "a.c")
    program = "import json; open('/var/lib/vexlab/build/old.o', 'w').write('new'); print(json.dumps({}))"
    assert bench.run(program) == {}
    assert (bench.work / "build" / "old.o").read_text() == "new"
    assert (tmp_path / "source" / "a.c").stat().st_uid == 0


@pytest.mark.parametrize("left", ["build/m.ko", "build", "build.log"])
def test_link_out_of_the_build_is_not_followed(bench: Bench, left: str) -> None:
    """The role copies the module and the log with its own rights."""
    (bench.place / "m.ko").write_text("secret")
    aim = bench.place if left == "build" else bench.place / "m.ko"
    program = (
        "import json, os\n"
        "os.makedirs(os.path.dirname('/var/lib/vexlab/" + left + "'), exist_ok=True)\n"
        f"os.symlink('{aim}', '/var/lib/vexlab/{left}')\n"
        "print(json.dumps({'module': {}}))"
    )
    answer = bench.run(program)
    assert f"the build left {bench.work}" in answer["error"]
    assert answer["log_written"] is False


def test_link_within_the_build_is_a_module(bench: Bench) -> None:
    program = (
        "import os\n"
        "os.mkdir('/var/lib/vexlab/build'); open('/var/lib/vexlab/build/real.ko', 'w')\n"
        "os.symlink('real.ko', '/var/lib/vexlab/build/m.ko')\n"
        "print('{}')"
    )
    assert bench.run(program) == {}


def test_killed_compiler_is_the_machines_fault(tmp_path: Path) -> None:
    answer = {"error": "`make` failed", "killed": "a program of the build was killed", "log_written": True}
    bench = Bench(tmp_path, os.geteuid())
    with (
        sandbox.held(bench.work),
        pytest.raises(sandbox.SandboxError, match="a program of the build was killed") as problem,
    ):
        sandbox.run(bench.inputs(), f"print({json.dumps(answer)!r})")
    assert (problem.value.of_host, problem.value.log_written) == (True, True)  # and the log says more


def test_flood_on_standard_output_takes_no_memory(bench: Bench) -> None:
    program = "import sys\nfor _ in range(200): sys.stdout.write('x' * (1 << 20))\nprint()\nprint('{\"n\": 1}')"
    process = bench.start(program)
    peak, answer = 0, b""
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max(peak, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))
        time.sleep(0.02)
    answer, _ = process.communicate()
    assert json.loads(answer) == {"n": 1}
    assert 0 < peak < 100 << 10


def test_build_ends_with_who_started_it(bench: Bench) -> None:
    process = bench.start("import os, time; open('/var/lib/vexlab/began', 'w'); os.fork(); time.sleep(600)")
    began = time.monotonic()
    while not (bench.work / "began").exists():
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    mark = str(bench.work).encode()
    assert len(users_of(mark)) > 1
    process.kill()
    process.communicate()
    began = time.monotonic()
    while users_of(mark):
        assert time.monotonic() - began < 10
        time.sleep(0.05)


def users_of(mark: bytes) -> list[str]:
    """Processes whose mounts have something of the bench."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "mountinfo").read_bytes():
                found.append(entry.name)
    return found
