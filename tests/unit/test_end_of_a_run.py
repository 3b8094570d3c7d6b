"""What a run leaves in its directory when it came to its end: reports that fit the results, which stay as sealed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from vexlab.config import settings
from vexlab.config.settings import Options, Settings
from vexlab.gate import evidence
from vexlab.guest.lab import Lab
from vexlab.report import terminal
from vexlab.report.screen import Screen
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


def test_run_leaves_its_page_and_its_report_beside_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    screen = Screen(stderr=True)
    screen.file = io.StringIO()
    lab = Lab("bench1", tmp_path / "bench1")
    lab.directory.mkdir()
    made = Settings("bench1", lab.directory, settings.make("hardware", Options()).contract)
    lab.write_inventory(made, sys.executable)
    (tmp_path / "play.yml").write_text(PLAY)
    course = controller.RunController(
        lab, made, ["structure"], terminal.Progress(screen), device=DeviceRecord("/dev/disk/by-id/x", "S1", 1)
    )
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
