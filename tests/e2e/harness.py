"""End to end: the command line as a person uses it, with real guests.

Labs, runs and sockets of a session are in a temporary directory; images come from the user's cache, since building one
takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VEXFS = ROOT / "examples" / "vexfs"
RUN_DEADLINE = 1500  # seconds for one command, far above what emulation needs


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)

    def stage(self, name: str) -> dict[str, Any]:
        stages: list[dict[str, Any]] = self.document["stages"]
        return next(stage for stage in stages if stage["name"] == name)

    def verdicts(self) -> dict[str, str]:
        return {stage["name"]: stage["verdict"] for stage in self.document["stages"]}


class Vexlab:
    """Runs `vexlab` in an environment of its own."""

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self.home = home
        self.python = python
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        # As a person has it who follows the README: the environment that vexlab is installed in is not activated.
        kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        own = {Path(sys.executable).parent, Path(python).parent}
        outside = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) not in own]
        self.environment = kept | {
            "PATH": os.pathsep.join(outside),
            "XDG_CACHE_HOME": cache,
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_RUNTIME_DIR": str(home / "r"),
            "COLUMNS": "160",
            # Two guests of two CPUs, emulated on two, take as long at once as one after the other.
            "VEXLAB_CPUS": "1",
        }
        (home / "r").mkdir(mode=0o700, exist_ok=True)
        self.started: list[subprocess.Popen[str]] = []

    @property
    def labs(self) -> Path:
        return self.home / "state" / "vexlab" / "labs"

    @property
    def runs(self) -> Path:
        return self.home / "state" / "vexlab" / "runs"

    def as_usual(self) -> Vexlab:
        """The same with guests as a person gets them, for what is about the filesystem and not about the lab."""
        self.environment.pop("VEXLAB_CPUS", None)
        return self

    def command(self, *arguments: str) -> list[str]:
        # A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and what is started inherits that.
        return ["env", "--default-signal=INT,TERM,HUP", str(Path(self.python).with_name("vexlab")), *arguments]

    def __call__(self, *arguments: str, cwd: Path | None = None, **environment: str) -> Done:
        done = subprocess.run(
            self.command(*arguments), cwd=cwd or self.home, env=self.environment | environment, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_DEADLINE, check=False,
        )  # fmt: skip
        print(f"$ vexlab {' '.join(arguments)} → {done.returncode}\n{done.stderr[-4000:]}")
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(*arguments), cwd=self.home, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], patience: float = RUN_DEADLINE) -> Done:
        """Wait for what was started."""
        stdout, stderr = process.communicate(timeout=patience)
        print(f"$ {process.args!r} → {process.returncode}\n{stderr[-4000:]}")
        return Done(process.returncode, stdout, stderr)

    def record(self, lab: str = "default") -> dict[str, Any]:
        """What the guest's role wrote about the guest."""
        document: dict[str, Any] = json.loads((self.labs / lab / "guest.json").read_text())
        return document

    def processes(self) -> list[str]:
        """Command lines of all processes of this environment, told by its path in them or in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if f"{self.home}/".encode() in words:
                    found.append(line[:200])
        return found

    def end(self) -> None:
        """End the commands that a failed test left running, and take down every lab that is left."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait(120)
        for lab in sorted(self.labs.iterdir()) if self.labs.is_dir() else []:
            self("destroy", "--name", lab.name)


def edit(path: Path, old: str, new: str) -> str:
    """Replace the one place where `old` stands; returns the former text."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))
    return text


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], patience: float = 600) -> None:
    """Until it holds; fails when the process ends before."""
    deadline = time.monotonic() + patience
    while not condition():
        assert process.poll() is None, f"ended early: {process.communicate()[1][-2000:]}"
        assert time.monotonic() < deadline
        time.sleep(0.05)
