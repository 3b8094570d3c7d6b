"""Each check of two runs in one of the seven classes in which KernelCI tells what changed (https://kernelci.org).

The names are KernelCI's; what each means for the verdicts of vexlab is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vexlab.history.outcomes import FAILS, JUDGED, WORDS
from vexlab.results.causes import first_line
from vexlab.results.model import Check, Verdict


class Class(StrEnum):
    """What became of a check from one run to the other.

    regression: passed, and fails now. new failure: fails, and had no verdict before. still failing and fixed: failed
    before. new pass: passes, and was known without a verdict (skipped, not run). appeared: was not among the checks,
    and doesn't fail. disappeared: had a verdict, and has none now, or isn't among the checks any more.
    """

    REGRESSION = "regression"
    NEW_FAILURE = "new failure"
    STILL_FAILING = "still failing"
    FIXED = "fixed"
    NEW_PASS = "new pass"  # noqa: S105
    APPEARED = "appeared"
    DISAPPEARED = "disappeared"


NEW = (Class.REGRESSION, Class.NEW_FAILURE)
"""Classes that tell of something that was not wrong before."""


@dataclass(frozen=True)
class Change:
    """A check that is in a class: its verdicts, None where it isn't among the checks, and why it has the newer one.

    `explained` is what takes the change its weight, as a part of a sentence: a known failure, a flaky past; else empty.
    """

    check: str
    kind: Class
    old: Verdict | None
    new: Verdict | None
    why: str = ""
    explained: str = ""


def changes(old: Mapping[str, Check], new: Mapping[str, Check]) -> list[Change]:
    """Every check that is in a class, class by class, in the order of the checks; the others are as they were."""
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        before, now = old.get(name), new.get(name)
        kind = _class(before.verdict if before else None, now.verdict if now else None)
        if kind is not None:
            found.append(_change(name, kind, before, now))
    order = list(Class)
    return sorted(found, key=lambda change: order.index(change.kind))


def new_failures(found: Sequence[Change]) -> list[Change]:
    """Return what is wrong that was not before, and that nothing explains."""
    return [change for change in found if change.kind in NEW and not change.explained]


def _change(name: str, kind: Class, before: Check | None, now: Check | None) -> Change:
    why = first_line(now.message)[:WORDS] if now and now.verdict is not Verdict.PASSED else ""
    known = now is not None and now.verdict is Verdict.XFAILED
    verdicts = (before.verdict if before else None, now.verdict if now else None)
    return Change(name, kind, *verdicts, why, f"a known failure: {why}" if known else "")


def _class(old: Verdict | None, new: Verdict | None) -> Class | None:
    """The class of a check by its verdicts; None when there is nothing to say of it."""
    if new in FAILS:
        return Class.REGRESSION if old is Verdict.PASSED else Class.STILL_FAILING if old in FAILS else Class.NEW_FAILURE
    if new is Verdict.PASSED:
        return {None: Class.APPEARED, Verdict.PASSED: None}.get(old, Class.FIXED if old in FAILS else Class.NEW_PASS)
    if old is None:
        return Class.APPEARED
    return Class.DISAPPEARED if old in JUDGED or new is None else None
