"""The first cause, from what a kernel really writes to its console when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vexlab.guest import watch
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.guest.lab import Pauses
from vexlab.guest.watch import End, Watch, explain_console
from vexlab.results.model import Verdict

NULL_POINTER = """\
[   83.101010] loop0: detected capacity change from 0 to 131072
[   83.120001] BUG: kernel NULL pointer dereference, address: 0000000000000000
[   83.120502] #PF: supervisor write access in kernel mode
[   83.121010] #PF: error_code(0x0002) - not-present page
[   83.122000] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI
[   83.123000] CPU: 1 UID: 0 PID: 812 Comm: mount Tainted: G           OE      6.12.117+deb13-amd64 #1
[   83.124000] RIP: 0010:vexfs_fill_super+0x4a/0x9b0 [vexfs]
[   83.125000] Call Trace:
[   83.129000] RIP: 0033:0x7f4c1b71d88a
[   83.140000] Kernel panic - not syncing: Fatal exception
"""
HUNG_TASK = """\
[  243.910000] INFO: task umount:1034 blocked for more than 60 seconds.
[  243.911000]       Tainted: G           OE      6.12.117+deb13-amd64 #1 Debian 6.12.117-1
[  243.920000] Kernel panic - not syncing: hung_task: blocked tasks
"""
SOFT_LOCKUP = """\
[  140.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [ls:992]
[  140.001000] RIP: 0010:vexfs_readdir+0x10/0x200 [vexfs]
[  140.002000] Kernel panic - not syncing: softlockup: hung tasks
"""
UNKILLABLE = """\
[  213.655328] vexlab: SIGKILL does not end umount (process 974, state D) in toyfs_put_super+0x3e/0x140 [toyfs]
[  213.900000] sysrq: Show Blocked State
"""
BUG = """\
[   61.000000][  T755] kernel BUG at fs/inode.c:1835!\r
[   61.000001][  T755] Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI\r
[   61.000100][  T755] RIP: 0010:iput+0x1f0/0x200\r
"""
SYSRQ = "[   41.200000] sysrq: Trigger a crash\n[   41.200100] Kernel panic - not syncing: sysrq triggered crash\n"


@pytest.mark.parametrize(
    ("console", "verdict", "reason"),
    [
        (
            NULL_POINTER, Verdict.PANICKED,
            "BUG: kernel NULL pointer dereference, address: 0000000000000000 in vexfs_fill_super+0x4a/0x9b0 [vexfs]",
        ),
        (HUNG_TASK, Verdict.HUNG, "INFO: task umount:1034 blocked for more than 60 seconds."),
        (
            SOFT_LOCKUP, Verdict.HUNG,
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [ls:992] in vexfs_readdir+0x10/0x200 [vexfs]",
        ),
        (BUG, Verdict.PANICKED, "kernel BUG at fs/inode.c:1835! in iput+0x1f0/0x200"),
        (SYSRQ, Verdict.PANICKED, "Kernel panic - not syncing: sysrq triggered crash"),
    ],
    ids=["null pointer", "hung task", "soft lockup", "BUG", "panic"],
)  # fmt: skip
def test_first_cause_is_named(console: str, verdict: Verdict, reason: str) -> None:
    death = explain_console(console, Verdict.PANICKED, "the guest's kernel panicked")
    assert (death.verdict, death.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("console", "cause"),
    [
        (UNKILLABLE, UNKILLABLE.splitlines()[0].partition("] ")[2]),
        (HUNG_TASK.splitlines()[0], "INFO: task umount:1034"),
    ],
    ids=["stuck process", "hung task"],
)
def test_deadline_stays_in_the_reason(console: str, cause: str) -> None:
    otherwise = "the stage did not end within its deadline of 900 s"
    death = explain_console(console, Verdict.HUNG, otherwise)
    assert death.verdict is Verdict.HUNG
    assert death.reason.startswith(f"{otherwise}: {cause}")


@pytest.mark.parametrize("verdict", [Verdict.LOST, Verdict.PANICKED])
def test_program_on_the_terminal_changes_no_verdict(verdict: Verdict) -> None:
    """Without a time stamp it isn't the kernel; with one, what comes after the last panic is only the kernel."""
    faked = "[   30.000000] Kernel panic - not syncing: hung_task: blocked tasks\n" + HUNG_TASK.splitlines()[0]
    death = explain_console(f"{faked}\n{SYSRQ if verdict is Verdict.PANICKED else ''}", verdict, "gone")
    assert death.verdict is verdict
    bare = "INFO: task umount:1034 blocked for more than 60 seconds.\nKernel panic - not syncing: hung_task: x\n"
    assert explain_console(bare, verdict, "gone") == GuestFailure(verdict, "gone")


def test_program_in_the_log_is_never_the_cause() -> None:
    """Not even when the kernel's own words did not reach the console any more: facility 1 is before the stamp."""
    forged = "<12>[   30.000000] Kernel panic - not syncing: hung_task: blocked tasks\n"
    forged += "<8>[   31.000000] INFO: task umount:1034 blocked for more than 60 seconds.\n"
    assert explain_console(forged, Verdict.PANICKED, "the guest's kernel panicked") == GuestFailure(
        Verdict.PANICKED, "the guest's kernel panicked"
    )
    real = forged + "".join(f"<0>{line}\n" for line in SYSRQ.splitlines())
    assert explain_console(real, Verdict.PANICKED, "x").reason == "Kernel panic - not syncing: sysrq triggered crash"


def test_console_without_a_cause_leaves_the_event_to_speak() -> None:
    text = "[    1.000000] systemd[1]: Reached target multi-user.target.\n[    2.0] EXT4-fs error (device vda)\n"
    death = explain_console(text, Verdict.LOST, "QEMU ended")
    assert (death.verdict, death.reason) == (Verdict.LOST, "QEMU ended")


class Monitor:
    """The side of QEMU: a QMP socket, and a process that can be stopped. `status` is what it says of the guest."""

    def __init__(self, directory: Path, status: str = "running") -> None:
        self.status = status
        self.before_answer: list[dict[str, Any]] = []  # events that are sent ahead of the next answer
        self.asked = 0
        self.console = directory / "console.log"
        self.console.write_text(SYSRQ)  # of an earlier life
        self.process = subprocess.Popen(["sleep", "600"])
        self.ends: queue.Queue[End] = queue.Queue()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / "qmp"))
        self._listener.listen()
        self._connected = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()
        self.pauses = Pauses(0, 0)
        self.watch = Watch(directory / "qmp", self.process.pid, self.console, self.ends.put, lambda: self.pauses)

    def _serve(self) -> None:
        self._connection = self._listener.accept()[0]
        self._say(
            {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}
        )
        while data := self._connection.recv(65536):  # one order, which has no line's end; the next waits for the answer
            order = json.loads(data)
            answer: dict[str, Any] = {}
            if order["execute"] == "query-status":
                self.asked += 1
                if self.status == "silent":
                    continue
                for event in self.before_answer:
                    self.event(**event)
                self.before_answer = []
                answer = {"status": self.status, "running": self.status == "running", "singlestep": False}
            self._say({"return": answer, **({"id": order["id"]} if "id" in order else {})})
            self._connected.set()

    def _say(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, event: str, **data: Any) -> None:
        self._connected.wait(5)
        with contextlib.suppress(BrokenPipeError):  # the watch has heard enough, and is gone
            self._say({"event": event, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})

    def end(self, seconds: float = 5) -> End:
        return self.ends.get(timeout=seconds)

    def wait_until_asked(self) -> None:
        deadline = time.monotonic() + 5
        while not self.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.watch.close()
        self._listener.close()


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    made = Monitor(tmp_path)
    yield made
    made.status = "running"
    made.close()


NO_SPACE = {"operation": "write", "action": "stop", "nospace": True, "reason": "No space left on device"}


def test_a_quiet_guest_has_no_end(monitor: Monitor) -> None:
    monitor.wait_until_asked()
    monitor.watch.close()
    assert monitor.ends.empty()


def test_a_panic_is_told_with_its_cause(monitor: Monitor) -> None:
    monitor.wait_until_asked()
    with monitor.console.open("a") as console:
        console.write(NULL_POINTER)
    monitor.event("GUEST_PANICKED", action="pause")
    end = monitor.end()
    assert isinstance(end, GuestFailure)
    assert end.verdict is Verdict.PANICKED
    assert end.reason.startswith("BUG: kernel NULL pointer dereference")


def test_a_guest_that_had_died_before_is_no_quiet_one(tmp_path: Path) -> None:
    """Of a panic between two watches there is no event; its words are on the console already."""
    made = Monitor(tmp_path, "guest-panicked")  # before it is asked for the first time
    assert made.end() == GuestFailure(Verdict.PANICKED, "Kernel panic - not syncing: sysrq triggered crash")
    made.close()


@pytest.mark.parametrize(
    ("status", "events", "verdict"),
    [
        ("guest-panicked", [], Verdict.PANICKED),
        ("running", [{"event": "GUEST_PANICKED", "action": "pause"}], Verdict.PANICKED),
        ("running", [{"event": "WATCHDOG", "action": "none"}], Verdict.HUNG),
        ("shutdown", [{"event": "SHUTDOWN", "guest": True, "reason": "guest-shutdown"}], Verdict.LOST),
    ],
)
def test_the_last_question_brings_what_was_still_to_be_told(
    monitor: Monitor, status: str, events: list[dict[str, Any]], verdict: Verdict
) -> None:
    """A guest that dies while its run ends has died in it."""
    monitor.wait_until_asked()
    monitor.status, monitor.before_answer = status, events
    monitor.watch.close()
    end = monitor.ends.get_nowait()
    assert isinstance(end, GuestFailure)
    assert end.verdict is verdict


@pytest.mark.parametrize(
    ("status", "events", "reason"),
    [
        ("io-error", [{"event": "BLOCK_IO_ERROR", **NO_SPACE}, {"event": "STOP"}], "failed: No space left on device"),
        ("io-error", [{"event": "STOP"}], "could not read or write the guest's disk"),
        ("paused", [{"event": "STOP"}], "paused from outside (QEMU says: paused)"),
        ("running", [{"event": "STOP"}, {"event": "RESUME"}], "paused from outside for a while"),
        ("internal-error", [], "QEMU says: internal-error"),
    ],
)
def test_a_pause_that_nobody_asked_for_is_the_machines_problem(
    monitor: Monitor, status: str, events: list[dict[str, Any]], reason: str
) -> None:
    monitor.wait_until_asked()
    monitor.status = status
    for event in events:
        monitor.event(**event)
    end = monitor.end()
    assert isinstance(end, MachineProblem)
    assert reason in end.reason
    assert end.hint


def test_a_pause_in_which_the_guest_is_saved_is_nobodys_problem(monitor: Monitor) -> None:
    """QEMU tells of it when it may be over already."""
    monitor.wait_until_asked()
    monitor.pauses = Pauses(1, 0)
    monitor.status = "postmigrate"
    monitor.event(event="STOP")
    monitor.wait_until_asked()
    monitor.status, monitor.pauses = "running", Pauses(1, 1)
    monitor.watch.close()
    assert monitor.ends.empty()


def test_a_pause_after_the_guest_was_saved_is_the_machines_problem(monitor: Monitor) -> None:
    monitor.wait_until_asked()
    monitor.pauses = Pauses(1, 1)
    for _ in range(2):
        monitor.event(event="STOP")
    end = monitor.end()
    assert isinstance(end, MachineProblem)
    assert "paused from outside for a while" in end.reason


def test_a_guest_that_stays_stopped_after_it_was_saved_is_the_machines_problem(monitor: Monitor) -> None:
    monitor.pauses = Pauses(1, 1)
    monitor.status = "paused"
    assert isinstance(monitor.end(), MachineProblem)


def test_a_process_that_was_stopped_is_the_machines_problem(monitor: Monitor) -> None:
    monitor.wait_until_asked()
    monitor.status = "silent"
    os.kill(monitor.process.pid, signal.SIGSTOP)
    end = monitor.end()
    assert isinstance(end, MachineProblem)
    assert f"QEMU, process {monitor.process.pid}, was stopped from outside" in end.reason


def test_a_watch_that_does_not_end_says_so(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how the guest is then."""
    monkeypatch.setattr(watch, "CLOSING_SECONDS", 0.2)
    monitor.wait_until_asked()
    monitor.status = "silent"
    monitor.watch.close()
    end = monitor.ends.get_nowait()
    assert isinstance(end, MachineProblem)
    assert end.reason == f"QEMU, process {monitor.process.pid}, did not say within 0 s how the guest is"


def test_a_panic_pauses_the_guest_and_is_a_panic(monitor: Monitor) -> None:
    monitor.wait_until_asked()
    monitor.status = "guest-panicked"
    monitor.event("STOP")
    end = monitor.end()
    assert isinstance(end, GuestFailure)
    assert end.verdict is Verdict.PANICKED
