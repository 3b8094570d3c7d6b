"""A real playbook on this machine: what it brings into the queue, and who takes from it."""

from __future__ import annotations

import json
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from vexlab.config import installation
from vexlab.errors import Interrupted, VexlabError
from vexlab.guest.failure import MachineProblem
from vexlab.guest.lab import Lab
from vexlab.run.events import Clock, Event, Events, Interruption, PlaybookEnded, TaskEnded, TaskStarted
from vexlab.run.playbook import Playbook

PLAY = """
- hosts: here
  gather_facts: false
  tasks:
    - {name: changes, ansible.builtin.command: "true"}
    - {name: is ignored, ansible.builtin.command: "false", ignore_errors: true}
    - {name: is skipped, ansible.builtin.command: "true", when: false}
    - {name: tells, ansible.builtin.set_fact: {vexlab_told: {a: 1}, other_fact: 2}}
    - {name: announces, vexfs.vexlab.stage: {name: load, marker: "0123", kernel_log: /dev/null}}
    - {name: fails, ansible.builtin.command: "ls /nowhere-at-all"}
    - {name: is not reached, ansible.builtin.command: "true"}
"""
LONG = """
- hosts: here
  gather_facts: false
  tasks:
    - {name: sleeps, ansible.builtin.command: "sleep %s"}
"""


def seconds(tmp_path: Path) -> str:
    """About so many seconds as no other test sleeps that runs at the same time."""
    return f"120.{zlib.crc32(bytes(tmp_path))}"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(installation, "playbook", lambda name: tmp_path / f"{name}.yml")
    (tmp_path / "short.yml").write_text(PLAY)
    (tmp_path / "long.yml").write_text(LONG % seconds(tmp_path))
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "lab" / "inventory").mkdir(parents=True)
    hosts = {"here": {"hosts": {"localhost": host}}}
    (tmp_path / "lab" / "inventory" / "hosts.yml").write_text(json.dumps(hosts))
    return Lab("lab", tmp_path / "lab")


def test_queue_brings_what_ansible_does_in_its_order(lab: Lab, tmp_path: Path) -> None:
    taken: list[Event] = []
    threads = set()

    def take(event: Event) -> bool:
        taken.append(event)
        threads.add(threading.current_thread())
        return False

    outcome = Playbook("short", lab, {}, tmp_path / "ansible.log").run(take)
    assert threads == {threading.current_thread()}
    ended = {event.task: event for event in taken if isinstance(event, TaskEnded)}
    assert [(name, event.outcome) for name, event in ended.items()] == [
        ("changes", "ok"), ("is skipped", "skipped"), ("tells", "ok"), ("announces", "ok"), ("fails", "failed"),
    ]  # fmt: skip
    assert ended["tells"].facts == {"vexlab_told": {"a": 1}}
    assert (ended["announces"].action, ended["announces"].announced) == ("vexfs.vexlab.stage", "load")
    assert (ended["fails"].exit_code, ended["changes"].exit_code) == (2, 0)
    assert ended["fails"].message.startswith("`ls /nowhere-at-all` failed: ls: ")
    assert (outcome.ok, outcome.failure, outcome.changed) == (False, ended["fails"], ("changes",))
    times = [event.at for event in taken if isinstance(event, TaskStarted | TaskEnded)]
    assert times == sorted(times)
    assert isinstance(taken[-1], PlaybookEnded)
    assert len([event for event in taken if isinstance(event, Clock)]) >= 2


def test_clock_comes_however_many_other_events_there_are(lab: Lab, tmp_path: Path) -> None:
    """A deadline is kept by it."""
    queue, clocks = Events(), 0

    def take(event: Event) -> bool:
        nonlocal clocks
        clocks += isinstance(event, Clock)
        queue.put(MachineProblem("noise"))  # there is always one more
        return clocks > 3

    began = time.monotonic()
    Playbook("long", lab, {}, tmp_path / "ansible.log").run(take, queue)
    assert time.monotonic() - began < 60


def test_who_takes_an_event_ends_the_playbook(lab: Lab, tmp_path: Path) -> None:
    """By an answer, or by an exception, which is raised here; nothing of the playbook goes on then."""

    def stop(event: Event) -> bool:
        return isinstance(event, TaskStarted)

    assert not Playbook("long", lab, {}, tmp_path / "ansible.log").run(stop).ok

    def raise_it(event: Event) -> bool:
        if isinstance(event, TaskStarted):
            raise VexlabError("not like that")
        return False

    with pytest.raises(VexlabError, match="not like that"):
        Playbook("long", lab, {}, tmp_path / "ansible.log").run(raise_it)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    signs = [str(tmp_path / "long.yml").encode(), seconds(tmp_path).encode()]
    assert not [line for line in lines if any(sign in line for sign in signs)]


def test_interruption_at_the_very_end_is_not_lost(lab: Lab, tmp_path: Path) -> None:
    """What comes while the directories of a playbook that ended are removed was meant for all that was to follow."""
    queue = Events()

    def take(event: Event) -> bool:
        if isinstance(event, PlaybookEnded):
            queue.put(Interruption())
        return False

    with pytest.raises(Interrupted):
        Playbook("short", lab, {}, tmp_path / "ansible.log").run(take, queue)
