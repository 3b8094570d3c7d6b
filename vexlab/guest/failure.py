"""What ends a run from outside of its checks: the guest, or the machine that runs the lab."""

from __future__ import annotations

from msgspec import Struct

from vexlab.results.model import Verdict


class GuestFailure(Struct, frozen=True, tag=True):
    """The guest can't go on: panicked, hung or lost, and the cause in a sentence."""

    verdict: Verdict
    reason: str


class MachineProblem(Struct, frozen=True, tag=True):
    """The machine failed, or what it gave the guest: nothing is said about the module. The fact, and what to do.

    `explains_panic`: a guest that panics afterwards may have died of it.
    """

    reason: str
    hint: str = ""
    explains_panic: bool = True
