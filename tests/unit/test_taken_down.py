"""Whatever goes wrong on this machine, what a run brought about on the other one is taken down."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from vexlab.config import settings
from vexlab.config.settings import Options, Settings
from vexlab.errors import Interrupted
from vexlab.guest.lab import Lab
from vexlab.report import terminal
from vexlab.report.screen import Screen
from vexlab.results.model import DeviceRecord
from vexlab.run import controller

# A stage is announced as playbooks/stages.yml does; nothing else of it is needed for a run that breaks off.
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - vexfs.vexlab.stage: {name: structure, marker: 0123, kernel_log: /dev/null}
    - ansible.builtin.command: {argv: [sleep, "60"]}
"""


class Gone(io.StringIO):
    """A terminal that takes no more words while a stage runs."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


# EIO is a terminal that was closed, which is as Ctrl-C.
@pytest.mark.parametrize(("number", "raised"), [(errno.EIO, Interrupted), (errno.EBADF, OSError)])
def test_terminal_that_is_gone_is_no_reason_to_leave_a_module_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: type[Exception]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(terminal, "PLAIN_EVERY", 0.0)
    monkeypatch.setattr(terminal, "LONG", 0.0)
    gone = Screen(stderr=True)
    gone.file = Gone(number)
    lab = Lab("bench1", tmp_path / "bench1")
    lab.directory.mkdir()
    made = Settings("bench1", lab.directory, settings.make("hardware", Options()).contract)
    lab.write_inventory(made, sys.executable)
    (tmp_path / "play.yml").write_text(PLAY)
    taken_down: list[str] = []

    def take_down() -> str:
        taken_down.append("once")
        return ""

    course = controller.RunController(
        lab, made, ["structure"], terminal.Progress(gone),
        device=DeviceRecord("/dev/disk/by-id/x", "S1", 1),
    )  # fmt: skip
    with pytest.raises(raised):
        course.execute(str(tmp_path / "play"), take_down=take_down)
    assert (course.began, taken_down) == (True, ["once"])
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if str(tmp_path / "play.yml").encode() in line]
