"""What a run leaves in its directory when it came to its end: reports that fit the results, which stay as sealed."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from vexlab.config import settings
from vexlab.config.settings import Options, Settings
from vexlab.errors import HostProblem
from vexlab.gate import evidence
from vexlab.guest.lab import Lab
from vexlab.report import terminal
from vexlab.report.screen import Screen
from vexlab.results import results_file
from vexlab.results.model import DeviceRecord, Verdict
from vexlab.run import controller

# A stage is announced as playbooks/stages.yml does, and its role fails.
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vexfs.vexlab.stage: {name: structure, marker: 0123, kernel_log: /dev/null}
    - ansible.builtin.fail: {msg: "the tree has <no> Kbuild"}
"""


KILLED = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vexfs.vexlab.stage: {name: structure, marker: 0123, kernel_log: /dev/null}
    - ansible.builtin.pause: {seconds: 60}
"""


def course_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play: str) -> controller.RunController:
    """A run of one stage on this machine, of a playbook `play` beside its state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    screen = Screen(stderr=True)
    screen.file = io.StringIO()
    lab = Lab("bench1", tmp_path / "bench1")
    lab.directory.mkdir()
    made = Settings("bench1", lab.directory, settings.make("hardware", Options()).contract)
    lab.write_inventory(made, sys.executable)
    (tmp_path / "play.yml").write_text(play)
    return controller.RunController(
        lab, made, ["structure"], terminal.Progress(screen), device=DeviceRecord("/dev/disk/by-id/x", "S1", 1)
    )


def kill_ansible(events: Path) -> None:
    """Kill the Ansible that this process has started, as soon as a stage has begun."""
    while not (events.exists() and '"announced"' in events.read_text()):
        time.sleep(0.1)
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            is_ours = f"\nPPid:\t{os.getpid()}\n" in status.read_text()
            if is_ours and b"ansible-playbook" in status.with_name("cmdline").read_bytes():
                os.kill(int(status.parent.name), signal.SIGKILL)


def test_ansible_that_was_killed_leaves_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OOM killer of this machine says nothing of the module, whose stage had begun."""
    course = course_of(tmp_path, monkeypatch, KILLED)
    threading.Thread(target=kill_ansible, args=(course.directory / "events.jsonl",), daemon=True).start()
    with pytest.raises(HostProblem, match="Ansible ended before it was done"):
        course.execute(str(tmp_path / "play"))
    run = results_file.read(course.directory / "results.json")
    assert [stage.verdict for stage in run.stages if stage.name == "structure"] == [Verdict.NOT_RUN]


# Its checks pass, and only then this machine fails, so that nobody knows what became of the guest.
FULL_LATER = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vexfs.vexlab.stage: {{name: structure, marker: 0123, kernel_log: /dev/null}}
    - vexfs.vexlab.judge:
        {{stage: structure, host: x, inventory: /i, run_directory: /r, checks: /c/tests/stages, python: "{checks}"}}
    - ansible.builtin.set_fact: {{vexfs_build_result: {{host_problem: the disk is full}}}}
"""
CHECKS = """#!/bin/sh
mkdir -p {stage} && echo '{{"name": "tree.is_whole", "verdict": "passed", "seconds": 1.0}}' >{stage}/checks.jsonl
"""


def test_run_whose_machine_failed_at_its_end_has_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = tmp_path / "checks"
    course = course_of(tmp_path, monkeypatch, FULL_LATER.format(checks=checks))
    checks.write_text(CHECKS.format(stage=course.directory / "stages" / "structure"))
    checks.chmod(0o700)
    with pytest.raises(HostProblem, match="the disk is full"):
        course.execute(str(tmp_path / "play"))
    run = results_file.read(course.directory / "results.json")
    [stage] = [stage for stage in run.stages if stage.name == "structure"]
    assert [check.verdict for check in stage.checks] == [Verdict.PASSED]
    assert (run.verdict, stage.verdict) == (Verdict.NOT_RUN, Verdict.NOT_RUN)
    assert stage.reason == "its checks passed, and then this machine failed: the disk is full"
    [entry] = evidence.entries()
    assert (entry.verdict, evidence.problem(entry)) == (Verdict.NOT_RUN, "")


def test_run_leaves_its_page_and_its_report_beside_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = course_of(tmp_path, monkeypatch, PLAY)
    run = course.execute(str(tmp_path / "play"))
    assert run.verdict is Verdict.FAILED
    assert all((course.directory / path).is_file() for path in run.evidence.values())
    report = (course.directory / run.evidence["report"]).read_text()
    page = (course.directory / run.evidence["page"]).read_text()
    assert "the tree has \\<no\\> Kbuild" in report
    assert "the tree has &lt;no&gt; Kbuild" in page
    assert "was not kept in this run" not in page  # there is a timeline
    assert 'href="./ansible.log"' in page
    [entry] = evidence.entries()
    assert evidence.problem(entry) == ""
