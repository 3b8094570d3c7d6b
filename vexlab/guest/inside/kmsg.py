"""The kernel's log, from /dev/kmsg."""

from __future__ import annotations

import os
from typing import Any

from vexlab.guest.inside.system import read


class KernelLog:
    """The kernel's messages from a descriptor of /dev/kmsg, and how many were overwritten before they could be read.

    A flood of messages takes room from those that nobody has read yet. The kernel numbers its records, so a gap shows.
    What a program wrote there is marked as kernel_messages.py knows it.
    """

    def __init__(self, kmsg: int) -> None:
        """Read from where the descriptor is."""
        self._kmsg = kmsg
        self._next: int | None = None  # the number that the next record has if none is missing

    def new(self) -> dict[str, Any]:
        """What the kernel logged since the last time, in the form of dmesg; what of that is no good news; the lost."""
        lines: list[str] = []
        warnings: list[str] = []
        lost = 0
        while True:
            try:
                record = os.read(self._kmsg, 8192).decode(errors="replace")
            except BlockingIOError:
                return {"kernel": lines, "warnings": warnings, "lost": lost}
            except BrokenPipeError:  # the next read goes on behind what was overwritten, and its number tells how many
                lost += self._next is None
                continue
            head, _, text = record.partition(";")
            source_and_level, number, time = (int(field) for field in head.split(",")[:3])
            lost += number - self._next if self._next is not None else 0
            self._next = number + 1
            # The facility is above the three bits of the level; only that of the kernel itself is 0.
            by = "(program) " if source_and_level >> 3 else ""
            lines.append(f"[{time // 1000000:5d}.{time % 1000000:06d}] {by}{text.splitlines()[0] if text else ''}")
            if source_and_level <= 4:  # source 0 is the kernel itself, level 4 is a warning, and 0 the worst
                warnings.append(lines[-1])


def look() -> list[Any]:
    """The kernel's whole log, how many of its messages were lost, and its taint flags."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        log = KernelLog(descriptor).new()
    finally:
        os.close(descriptor)
    return [log["kernel"], log["lost"], int(read("/proc/sys/kernel/tainted"))]
