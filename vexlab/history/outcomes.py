"""What a run came to, check by check, under the names by which runs are compared."""

from __future__ import annotations

from vexlab.results.model import WRONG, Check, Run, Stage, Verdict, asked_for

FAILS = (*WRONG, Verdict.XFAILED)
"""Verdicts of a check that did not do what it is there for, whether that was to be expected or not."""
JUDGED = (Verdict.PASSED, *FAILS)
"""Verdicts of a check that was executed to its end, or to that of its guest."""

WORDS = 200
"""Characters that are kept of what a check said; its run has the whole."""
ITSELF = "stage itself"
"""What stands in the place of a check for a stage that went wrong without one of its checks."""


def outcomes(run: Run) -> dict[str, Check]:
    """Each check of the stages that were asked for, as stage/check; and of each stage, that it came about (ITSELF).

    A role that fails, or a death between two checks, is told by no check, and must not get lost.
    """
    found: dict[str, Check] = {}
    for stage in asked_for(run):
        found[printable(f"{stage.name}/{ITSELF}")] = _itself(stage)
        found |= {printable(f"{stage.name}/{check.name}"): check for check in stage.checks}
    return found


def _itself(stage: Stage) -> Check:
    """A stage as a check: wrong where it went wrong and none of its checks tells that, or why: one was not reached."""
    verdicts = {check.verdict for check in stage.checks}
    not_reached = stage.verdict is Verdict.FAILED and stage.achieved is not False and Verdict.NOT_RUN in verdicts
    told = stage.verdict in verdicts or not_reached
    verdict = Verdict.PASSED if stage.verdict in WRONG and told else stage.verdict
    return Check(ITSELF, verdict, stage.seconds, "" if verdict is Verdict.PASSED else stage.reason)


def printable(text: str) -> str:
    """A text as a database takes it: halves of characters, which a guest may send, are escaped."""
    return text.encode(errors="backslashreplace").decode()
