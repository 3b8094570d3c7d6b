"""How long the work on an image may take, and that nobody works on one for a caller that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import ENDS

from .store import ImageError


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise ImageError after so many seconds, and have SIGTERM come when whoever started this process has ended."""

    def late(number: int, frame: FrameType | None) -> None:
        for other in ENDS:
            signal.signal(other, signal.SIG_IGN)  # Ctrl-C must not cut the clean-up short
        raise ImageError(
            f"The image was not ready within {seconds} seconds.",
            "Give it more time with vexlab_image_deadline; the log beside the image says how far it came.",
        )

    before, over, starters = signal.signal(signal.SIGALRM, late), threading.Event(), _starters()
    if starters:
        threading.Thread(target=_watch, args=(starters, over), daemon=True).start()
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        over.set()


def _starters() -> list[tuple[int, int]]:
    """Those whose end means that nobody waits for this process any more, as pairs of child and parent.

    They are its ancestors up to the leader of its session, and that one's parent: under Ansible, and under sshd, each
    command is a session, and killing ansible-playbook or the connection leaves the session running.
    """
    pairs: list[tuple[int, int]] = []
    child, session = os.getpid(), os.getsid(0)
    while (parent := _parent(child)) > 1:
        pairs.append((child, parent))
        if child == session:
            break
        child = parent
    return pairs


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _watch(starters: list[tuple[int, int]], over: threading.Event) -> None:
    # A child gets another parent at the moment its own ends, even if that one is not reaped or its number used again.
    while not over.wait(1):
        if not all(_parent(child) == parent for child, parent in starters):
            os.kill(os.getpid(), signal.SIGTERM)
            return
