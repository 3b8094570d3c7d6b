"""Watches the guest while stages run: QEMU's events first, the serial console for the words of the cause."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qemu.qmp import QMPClient, QMPError, Runstate

from vexlab.kernel import kernel_messages
from vexlab.results import Verdict

TICK = 0.5  # seconds between two looks at whether the watch is over
PULSE = 2.0  # seconds between two questions how the guest is
SILENT_SECONDS = 30.0  # until a QEMU that doesn't answer counts as hung, if nothing explains it sooner


@dataclass(frozen=True)
class Death:
    """Why the guest can't go on: panicked, hung or lost, and the cause in a sentence."""

    verdict: Verdict
    reason: str


class Watch:
    """A thread that reads QEMU's events until it is closed; `on_death` is called once, in that thread."""

    def __init__(self, qmp: Path, pid: int, console: Path, on_death: Callable[[Death], None]) -> None:
        """Begin to watch QEMU, process `pid`; what the console holds already is not of this watch."""
        self._qmp = qmp
        self._pid = pid
        self._console = console
        self._from = console.stat().st_size if console.exists() else 0
        self._on_death = on_death
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()), name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch."""
        self._over.set()
        self._thread.join(5)

    async def _listen(self) -> None:
        client = QMPClient("vexlab-watch")
        try:
            await client.connect(str(self._qmp))
        except (QMPError, OSError) as problem:
            self._report(Death(Verdict.LOST, f"QEMU does not answer on its QMP socket ({problem})"))
            return
        pulse: asyncio.Task[Death | None] | None = None
        try:
            while not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    message = await asyncio.wait_for(client.events.get(), TICK)
                    if death := self._meaning(str(message["event"]), message.get("data")):
                        self._report(death)
                        return
                if client.runstate is not Runstate.RUNNING:
                    self._report(self.explain(Verdict.LOST, "QEMU ended"))
                    return
                if pulse is None:
                    pulse = asyncio.create_task(self._feel_pulse(client))
                elif pulse.done():
                    if death := pulse.result():
                        self._report(death)
                        return
                    pulse = None
        finally:
            if pulse is not None:
                pulse.cancel()
            with contextlib.suppress(QMPError, OSError, EOFError):
                await client.disconnect()

    async def _feel_pulse(self, client: QMPClient) -> Death | None:
        """Ask QEMU how the guest is; why it can't go on, if so. A process that was stopped sends no event of it."""
        await asyncio.sleep(PULSE)
        question = asyncio.create_task(client.execute("query-status"))
        waited = 0.0
        while not (await asyncio.wait({question}, timeout=TICK))[0]:
            waited += TICK
            if process_state(self._pid) in ("T", "t"):
                question.cancel()
                return Death(
                    Verdict.HUNG, f"QEMU, process {self._pid}, was stopped from outside (SIGSTOP or a debugger)"
                )
            if waited > SILENT_SECONDS:
                question.cancel()
                return self.explain(Verdict.HUNG, f"QEMU, process {self._pid}, does not answer any more")
        try:
            answer = question.result()
        except (QMPError, EOFError, OSError):
            return None  # it ended: the run state tells
        status = str(answer["status"]) if isinstance(answer, dict) else ""
        return (
            Death(Verdict.HUNG, "the guest was paused from outside (QEMU says: paused)") if status == "paused" else None
        )

    def _meaning(self, event: str, data: object) -> Death | None:
        if event == "GUEST_PANICKED":
            return self.explain(Verdict.PANICKED, "the guest's kernel panicked")
        if event == "WATCHDOG":
            return self.explain(Verdict.HUNG, "the guest's watchdog was not fed")
        if event in ("SHUTDOWN", "RESET"):
            why = data.get("reason", "") if isinstance(data, dict) else ""
            return self.explain(Verdict.LOST, f"the guest went down ({event.lower()}, {why or 'no reason given'})")
        return None

    def _report(self, death: Death) -> None:
        if not self._over.is_set():
            self._over.set()
            self._on_death(death)

    def explain(self, verdict: Verdict, otherwise: str) -> Death:
        """The verdict with the console's words for the cause, if it has any since the watch began."""
        with contextlib.suppress(OSError), self._console.open("rb") as console:
            console.seek(self._from)
            return explain_console(console.read().decode(errors="replace"), verdict, otherwise)
        return Death(verdict, otherwise)


def process_state(pid: int) -> str:
    """The state of a process as ps shows it: R, S, D, T, Z; empty when it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def explain_console(text: str, verdict: Verdict, otherwise: str) -> Death:
    """The verdict and the cause that a console's text names; `otherwise` is the reason when it names none.

    Words on the console can make a hang of a panic, which QEMU told of, and nothing else of any verdict. What ended the
    guest otherwise, such as a deadline, stays in the reason.
    """
    texts = [kernel_messages.text_of(line) for line in text.splitlines()]
    cause = kernel_messages.explain(texts, hangs=verdict is Verdict.HUNG)
    if cause is None:
        return Death(verdict, otherwise)
    if verdict is not Verdict.PANICKED:
        return Death(verdict, f"{otherwise}: {cause.said}")
    return Death(Verdict.HUNG if cause.hangs else verdict, cause.said)
