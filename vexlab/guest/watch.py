"""Watches the guest from its first look to its last: QEMU's events, how QEMU says the guest is, the console's words."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_messages
from qemu.qmp import QMPClient, QMPError, Runstate

from vexlab.errors import make_room
from vexlab.guest import console_log
from vexlab.guest.failure import GuestFailure, MachineProblem
from vexlab.guest.lab import Pauses
from vexlab.results.model import Verdict

TICK = 0.1  # seconds between two looks at whether the watch is over
PULSE = 2.0  # seconds between two questions how the guest is
STOPPED_SECONDS = 0.5  # without an answer, until the state of QEMU's process is looked at
SILENT_SECONDS = 30.0  # until a QEMU that doesn't answer is given up, if nothing explains it sooner
CLOSING_SECONDS = SILENT_SECONDS + 2 * PULSE  # for the last question, and what it takes to give a QEMU up
SAVING = ("paused", "finish-migrate", "postmigrate")  # what QEMU says of a guest that is stopped to be saved
LAST_WORDS = 16384  # bytes of the console in which the cause stands of a death that was there before the watch
AGAIN = "the next vexlab up of this lab starts a pristine guest"

End = GuestFailure | MachineProblem


class Watch:
    """A thread that reads QEMU's events until it is closed; `on_end` is called in it at most once."""

    def __init__(
        self, qmp: Path, pid: int, console: Path, on_end: Callable[[End], None], pauses: Callable[[], Pauses]
    ) -> None:
        """Begin to watch QEMU, process `pid`; what the console holds already is not of this watch.

        `pauses` tells how often the guest was stopped to be saved, which is nobody's fault.
        """
        self._qmp = qmp
        self._pid = pid
        self._console = console
        self._begin = console.stat().st_size if console.exists() else 0
        self._from = max(0, self._begin - LAST_WORDS)
        self._on_end = on_end
        self._pauses = pauses
        self._stops = pauses().begun  # of which QEMU has told
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask QEMU one last time how the guest is, hear what it had still to tell, and end the watch.

        One that doesn't end says so, as an end of its own.
        """
        self._closing.set()
        self._thread.join(CLOSING_SECONDS)
        if self._thread.is_alive():
            reason = f"QEMU, process {self._pid}, did not say within {CLOSING_SECONDS:.0f} s how the guest is"
            self._on_end(MachineProblem(reason, AGAIN))

    def explain(self, verdict: Verdict, otherwise: str) -> GuestFailure:
        """The verdict with the console's words for the cause, if it has any since the watch began."""
        with contextlib.suppress(OSError):
            return explain_console(console_log.read(self._console, self._from), verdict, otherwise)
        return GuestFailure(verdict, otherwise)

    def _work(self) -> None:
        """Watch; a watch that fails says so, since nobody would hear of a death any more."""
        try:
            end = asyncio.run(self._listen())
        except Exception as problem:  # noqa: BLE001  whatever it is
            end = MachineProblem(f"QEMU could not be watched any more: {type(problem).__name__}: {problem}", AGAIN)
        if end is not None:
            self._on_end(end)

    async def _listen(self) -> End | None:
        """What the guest ended with; None when the watch was closed before that."""
        client = QMPClient("vexlab-watch")
        try:
            if end := await self._patiently(asyncio.ensure_future(client.connect(str(self._qmp)))):
                return end
        except (QMPError, OSError) as problem:
            return GuestFailure(Verdict.LOST, f"QEMU does not answer on its QMP socket ({problem})")
        try:
            asked = 0.0
            while True:
                is_last = self._closing.is_set()  # read before QEMU is asked: what it told until then is heard
                if is_last or time.monotonic() - asked > PULSE:
                    end = await self._ask(client)
                    asked = time.monotonic()
                else:
                    end = await self._wait(client)
                self._from = self._from if end else self._begin  # it lived when the watch began
                if end is None and client.runstate is not Runstate.RUNNING:
                    end = self.explain(Verdict.LOST, "QEMU ended")
                if end is not None or is_last:
                    return end
        finally:
            with contextlib.suppress(QMPError, OSError, EOFError):
                await client.disconnect()

    async def _wait(self, client: QMPClient) -> End | None:
        """Wait a moment for an event; what it means."""
        try:
            message = await asyncio.wait_for(client.events.get(), TICK)
        except TimeoutError:
            return None
        return await self._meaning(client, str(message["event"]), message.get("data"))

    async def _ask(self, client: QMPClient) -> End | None:
        """Ask QEMU how the guest is. The answer comes behind the events before it, and those say more."""
        status = await self._status(client)
        while not client.events.empty():
            message = await client.events.get()
            if end := await self._meaning(client, str(message["event"]), message.get("data")):
                return end
        return self._of_status(status) if isinstance(status, str) else status

    async def _status(self, client: QMPClient) -> str | End:
        """What QEMU says of the guest: running, paused, …; empty if it ended. A stopped process tells nobody."""
        question = asyncio.ensure_future(client.execute("query-status"))
        try:
            if end := await self._patiently(question):
                return end
        except (QMPError, EOFError, OSError):
            return ""  # it ended: the run state tells
        answer = question.result()
        return str(answer["status"]) if isinstance(answer, dict) else ""

    async def _patiently(self, question: asyncio.Future[Any]) -> End | None:
        """Wait until QEMU has answered; what it ended with if it doesn't. Raises what the question raises."""
        waited = 0.0
        while not (await asyncio.wait({question}, timeout=STOPPED_SECONDS))[0]:
            waited += STOPPED_SECONDS
            end = self._stopped() or (self._silent() if waited > SILENT_SECONDS else None)
            if end is not None:
                question.cancel()
                return end
        question.result()
        return None

    def _stopped(self) -> MachineProblem | None:
        """A QEMU that somebody stopped."""
        if process_state(self._pid) not in ("T", "t"):
            return None
        reason = f"QEMU, process {self._pid}, was stopped from outside (SIGSTOP or a debugger)"
        return MachineProblem(reason, AGAIN)

    def _silent(self) -> End:
        """A QEMU that doesn't answer: the guest's doing if its console says why, else the machine's."""
        otherwise = f"QEMU, process {self._pid}, does not answer any more (state {process_state(self._pid)})"
        death = self.explain(Verdict.HUNG, otherwise)
        return MachineProblem(otherwise, AGAIN) if death.reason == otherwise else death

    def _of_status(self, status: str) -> End | None:
        """What a state of the guest means that no event told of."""
        if status in ("", "running") or (status in SAVING and self._is_being_saved()):
            return None
        if status == "guest-panicked":
            return self.explain(Verdict.PANICKED, "the guest's kernel panicked")
        if status == "watchdog":
            return self.explain(Verdict.HUNG, "the guest's watchdog was not fed")
        if status in ("shutdown", "suspended"):
            return self.explain(Verdict.LOST, f"the guest went down ({status})")
        if status == "io-error":
            return MachineProblem("this machine could not read or write the guest's disk", self._room())
        return MachineProblem(f"the guest was paused from outside (QEMU says: {status})", AGAIN)

    async def _meaning(self, client: QMPClient, event: str, data: object) -> End | None:
        facts = data if isinstance(data, dict) else {}
        if event == "GUEST_PANICKED":
            return self.explain(Verdict.PANICKED, "the guest's kernel panicked")
        if event == "WATCHDOG":
            return self.explain(Verdict.HUNG, "the guest's watchdog was not fed")
        if event in ("SHUTDOWN", "RESET"):
            why = facts.get("reason") or "no reason given"
            return self.explain(Verdict.LOST, f"the guest went down ({event.lower()}, {why})")
        if event == "BLOCK_IO_ERROR":
            what = (
                f"{facts.get('operation', 'use')} of the guest's disk failed: {facts.get('reason', 'no reason given')}"
            )
            return MachineProblem(f"on this machine, {what}", self._room())
        return await self._of_stop(client) if event == "STOP" else None

    async def _of_stop(self, client: QMPClient) -> End | None:
        """What it means that the guest was stopped; nothing when it is to be saved.

        One that is over counts too: the guest's clock and every deadline in it went on meanwhile.
        """
        if self._pauses().begun > self._stops:
            self._stops += 1
            return None
        status = await self._status(client)
        end = self._of_status(status) if isinstance(status, str) else status
        return end or MachineProblem("the guest was paused from outside for a while", AGAIN)

    def _is_being_saved(self) -> bool:
        """Whether it is stopped to be saved, as its record says."""
        begun, ended = self._pauses()
        return begun > ended

    def _room(self) -> str:
        return f"{make_room(self._console.parent)}; {AGAIN}"


def process_state(pid: int) -> str:
    """The state of a process as ps shows it: R, S, D, T, Z; empty when it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def explain_console(text: str, verdict: Verdict, otherwise: str) -> GuestFailure:
    """The verdict and the cause that a console's text names; `otherwise` is the reason when it names none.

    Words on the console can make a hang of a panic, which QEMU told of, and nothing else of any verdict. What ended the
    guest otherwise, such as a deadline, stays in the reason.
    """
    texts = [kernel_messages.text_of(line) for line in text.splitlines()]
    cause = kernel_messages.explain(texts, hangs=verdict is Verdict.HUNG)
    if cause is None:
        return GuestFailure(verdict, otherwise)
    if verdict is not Verdict.PANICKED:
        return GuestFailure(verdict, f"{otherwise}: {cause.said}")
    return GuestFailure(Verdict.HUNG if cause.hangs else verdict, cause.said)
