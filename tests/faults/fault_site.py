"""The place where faults are injected: a home of its own, a source to spoil, and one lab that many faults share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import ROOT, RUN_DEADLINE, Done, Vexlab, wait_until
from tests.faults import leftovers
from tests.faults.fault import Fault, Seen

NO_RUN = "no run"


class Site:
    """One home with its lab `default`. `source` is a copy of the bundled filesystem, which a fault may spoil."""

    def __init__(self, vexlab: Vexlab, source: Path) -> None:
        """Take a command line with a home of its own; its temporary files are kept apart, to be counted."""
        self.vexlab = vexlab
        self.home = vexlab.home
        self.source = source
        self.target = self.home / "target.yml"
        self.target.write_text(yaml.safe_dump(small_target(source)))
        (self.home / "t").mkdir(exist_ok=True)
        vexlab.environment["TMPDIR"] = str(self.home / "t")

    # --- what injections use

    def words(self, command: str = "up") -> tuple[str, ...]:
        """The command with this site's target and source."""
        return (command, "--target", str(self.target), "--source", str(self.source))

    def up(self, *more: str) -> Done:
        """`vexlab up` of this site's lab, to its end."""
        return self.vexlab(*self.words(), *more)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of vexlab in a session of its own; when none is given, an `up` that goes through all."""
        return self.vexlab.start(*(words or (*self.words(), "--clean")))

    def runs(self) -> set[Path]:
        """Directories of all runs so far."""
        found = self.vexlab.runs.glob("*") if self.vexlab.runs.is_dir() else ()
        return {path for path in found if path.is_dir()}  # beside them are the chain and its lock

    def wait_for_stage(self, process: subprocess.Popen[str], stage: str, before: set[Path]) -> None:
        """Until a run that isn't in `before` has begun to judge a stage; fails when the command ends first."""
        wait_until(lambda: any((run / "stages" / stage).is_dir() for run in self.runs() - before), process)

    def wait_for_guest(self, process: subprocess.Popen[str], state: str = "starting") -> int:
        """Until the lab's record says so of its guest; returns the pid of its QEMU."""

        def record() -> dict[str, Any]:
            try:
                known: dict[str, Any] = self.vexlab.record()
            except (OSError, ValueError):
                return {}
            return known

        pid_file = self.vexlab.labs / "default" / "qemu.pid"
        wait_until(lambda: record().get("state") == state and pid_file.is_file(), process)
        return int(pid_file.read_text())

    def wait_for_log(self, process: subprocess.Popen[str], words: str, before: set[Path]) -> Path:
        """Until Ansible's log of a run that isn't in `before` has these words; returns the run's directory."""
        found: list[Path] = []

        def told() -> bool:
            found[:] = [run for run in self.runs() - before if words in self.log(run)]
            return bool(found)

        wait_until(told, process)
        return found[0]

    def log(self, run: Path) -> str:
        """What Ansible has said so far in a run."""
        path = run / "ansible.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def checks(self, run: Path, stage: str) -> list[str]:
        """What a run has judged of a stage so far, one line per check."""
        path = run / "stages" / stage / "checks.jsonl"
        return path.read_text().splitlines() if path.is_file() else []

    def up_under(self, *prefix: str) -> Done:
        """`vexlab up`, which builds everything anew, run by a command that takes a command: unshare, setpriv, …"""
        command = [*prefix, *self.vexlab.command(*self.words(), "--clean")]
        done = subprocess.run(
            command, cwd=self.home, env=self.vexlab.environment, text=True, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=RUN_DEADLINE, check=False,
        )  # fmt: skip
        print(f"$ {' '.join(prefix)} vexlab up → {done.returncode}\n{done.stderr[-4000:]}")
        return Done(done.returncode, done.stdout, done.stderr)

    def end_with(self, process: subprocess.Popen[str], number: signal.Signals, *, group: bool = False) -> Done:
        """Send a signal to the command, or as a terminal does to its whole group, and wait for its end."""
        (os.killpg if group else os.kill)(process.pid, number)
        return self.vexlab.finish(process, patience=180)

    def ssh(self, script: str) -> str:
        """What a script prints in the guest; fails when it fails."""
        done = self.vexlab("ssh", script)
        assert done.code == 0, done.stderr
        return done.stdout.strip()

    # --- what is the same for every fault

    def suffer(self, topic: str, fault: Fault) -> Seen:
        """Bring about what the fault finds, inject it, and measure what came of it."""
        self._prepare(fault)
        before = self.runs()
        try:
            done = fault.inject(self)
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            said = next(iter(str(problem).splitlines()), "")[:200]
            return Seen(topic, fault.title, fault.how, "", None, (), "", (f"{type(problem).__name__}: {said}",))
        left = leftovers.find(self.home)
        verdict = self._verdict(before)
        next_up = self._next_up() if fault.next_up else ""
        if next_up and not left:
            left = leftovers.find(self.home)
        wrong = [
            "" if verdict == fault.verdict else f"verdict {verdict}, not {fault.verdict}",
            "" if done.code == fault.exit_code else f"exit code {done.code}, not {fault.exit_code}",
            "a traceback was printed" if "Traceback" in done.stderr else "",
            *(f"nothing is said of {words!r}" for words in fault.says if words not in done.stderr),
            "" if fault.next_up in next_up else f"the next up: {next_up}, not {fault.next_up}",
            "something is left" if left else "",
        ]
        left = tuple(line.replace(str(self.home), "HOME") for line in left)
        return Seen(topic, fault.title, fault.how, verdict, done.code, left, next_up, tuple(filter(None, wrong)))

    def _prepare(self, fault: Fault) -> None:
        if fault.lab == "up":
            done = self.up()
            assert done.code == 0, f"the lab is not up before the fault: {done.stderr}"
        else:
            done = self.vexlab("down" if fault.lab == "down" else "destroy")
            assert done.code == 0, done.stderr

    def _verdict(self, before: set[Path]) -> str:
        """The verdict of the run that the fault hit."""
        hit = sorted(self.runs() - before)
        if not hit:
            return NO_RUN
        try:
            return str(json.loads((hit[-1] / "results.json").read_text())["verdict"])
        except (OSError, ValueError) as problem:
            return f"unreadable results ({problem})"

    def _next_up(self) -> str:
        """What the next `up` comes to: `passed`, or its exit code and the first line of what it says."""
        done = self.up()
        if done.code == 0:
            return "passed"
        said = [line for line in done.stderr.splitlines() if line.startswith("vexlab: ")]
        return f"exit {done.code}: {said[-1].removeprefix('vexlab: ') if said else done.stderr[-200:]}"


def small_target(source: Path, *capabilities: str) -> dict[str, Any]:
    """The bundled filesystem, claiming little: what is judged of it is not what faults are about, and takes time."""
    target: dict[str, Any] = yaml.safe_load((ROOT / "examples/targets/vexfs.yml").read_text(encoding="utf-8"))
    little: dict[str, Any] = {"vexlab_capabilities": [*capabilities], "vexlab_limits": {}, "vexlab_checks": []}
    return target | little | {"vexlab_source": str(source)}
