"""Watches the guest while stages run: QEMU's events first, the serial console for the words of the cause."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qemu.qmp import QMPClient, QMPError, Runstate

from vexlab.results import Verdict

# What the kernel prints first when it dies; matched after the time stamp.
CAUSE = re.compile(
    r"(BUG: .+|kernel BUG at .+|Oops: .+|general protection fault.*|Unable to handle kernel .+|"
    r"watchdog: BUG: soft lockup.*|INFO: task .+ blocked for more than .+|Kernel panic - not syncing: .+)"
)
FUNCTION = re.compile(r"\bRIP: [0-9a-f]+:(?P<function>[A-Za-z_][\w.]*\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?)")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
TIME = re.compile(r"^\[\s*\d+\.\d+\](?:\[\s*[CT]\d+\])? ?")
HUNG = re.compile(r"INFO: task .+ blocked for more than|soft lockup|hung_task")
TICK = 0.5  # seconds between two looks at whether the watch is over


@dataclass(frozen=True)
class Death:
    """Why the guest can't go on: panicked, hung or lost, and the cause in a sentence."""

    verdict: Verdict
    reason: str


class Watch:
    """A thread that reads QEMU's events until it is closed; `on_death` is called once, in that thread."""

    def __init__(self, qmp: Path, console: Path, on_death: Callable[[Death], None]) -> None:
        """Begin to watch; what the console holds already is not of this watch."""
        self._qmp = qmp
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
        finally:
            with contextlib.suppress(QMPError, OSError, EOFError):
                await client.disconnect()

    def _meaning(self, event: str, data: object) -> Death | None:
        if event == "GUEST_PANICKED":
            return self.explain(Verdict.PANICKED, "the guest's kernel panicked")
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


def explain_console(text: str, verdict: Verdict, otherwise: str) -> Death:
    """The verdict and the first cause that a console's text names; `otherwise` is the reason when it names none."""
    lines = [TIME.sub("", CONTROL.sub("", line)).strip() for line in text.splitlines()]
    cause = next((found[0] for line in lines if (found := CAUSE.match(line))), None)
    if cause is None:
        return Death(verdict, otherwise)
    function = next((found["function"] for line in lines if (found := FUNCTION.search(line))), None)
    if HUNG.search(cause):
        verdict = Verdict.HUNG
    return Death(verdict, f"{cause} in {function}" if function else cause)
