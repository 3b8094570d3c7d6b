"""The claim on a machine for tests: of two controllers that want it at once, one is refused and told who has it.

It is kept on the machine (module `claim`), where each controller sees it. That somebody ended without freeing
it can be proven where both commands ran under the same kernel and see the same processes; then the claim is replaced.
Anywhere else nobody can know, so a person has to say it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vexlab.errors import Interrupted, UsageProblem, VexlabError
from vexlab.guest import reaper
from vexlab.guest.lab import started

Ask = Callable[[str, dict[str, Any], str], dict[str, Any] | None]
"""Asks the machine to be taken or free: the state, the claim, the id that may be replaced; returns who has it then."""


def mine() -> dict[str, Any]:
    """The claim of this process: who it is for people, and what proves that it has ended."""
    return {
        "id": reaper.MARK, "who": f"{getpass.getuser()} on {socket.gethostname()}", "pid": os.getpid(),
        "started": started(os.getpid()), "where": _where(), "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def has_ended(holder: dict[str, Any]) -> bool:
    """Whether the command that made a claim is provably over, and all that it had started."""
    pid = holder.get("pid")
    if holder.get("where") != _where() or not isinstance(pid, int):
        return False
    return started(pid) != holder.get("started") and not reaper.marked_processes(str(holder["id"]))


def _where() -> str:
    """The running kernel, and the processes that can be seen here."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"


@contextlib.contextmanager
def held(machine: str, ask: Ask, *, take_over: bool = False) -> Iterator[None]:
    """Have the machine for the time of one command; raises UsageProblem when somebody else has it.

    `take_over`: a person says that whoever has it is gone.
    """
    claim = mine()
    holder = ask("taken", claim, "")
    if holder is not None and holder["id"] != claim["id"] and (take_over or has_ended(holder)):
        holder = ask("taken", claim, str(holder["id"]))
    if holder is None or holder["id"] != claim["id"]:
        raise _refusal(machine, holder or {})
    try:
        yield
    finally:
        _free(ask, claim)


def _free(ask: Ask, claim: dict[str, Any]) -> None:
    """Free the machine; one that doesn't answer any more is free after its restart, and what was seen counts more."""
    try:
        ask("free", claim, "")
    except Interrupted:
        raise
    except VexlabError:
        return


def _refusal(machine: str, holder: dict[str, Any]) -> UsageProblem:
    """Who has the machine, in words; what another machine says is shown as it is and believed in nothing."""
    who, pid, since = (str(holder.get(name, "unknown"))[:100] for name in ("who", "pid", "since"))
    return UsageProblem(
        f"{machine} is in use: by {who}, process {pid}, since {since}",
        "wait for it; if it is gone for good, `vexlab recover --take-over` with the same --inventory frees the machine",
    )
