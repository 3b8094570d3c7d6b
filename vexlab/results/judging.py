"""The home of what a verdict is: how checks make a stage's verdict, and stages a run's."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from vexlab.config import check_list
from vexlab.results.causes import HARMLESS, causes, first_line
from vexlab.results.model import DIED, WRONG, Check, Stage, Verdict


def judge_stage(
    name: str,
    *,
    began: bool,
    role_ok: bool | None,
    role_reason: str,
    tests_ok: bool | None,
    checks: Sequence[Check],
    interruption: Verdict | None,
    interruption_reason: str,
    seconds: float,
) -> Stage:
    """Judge a stage by what was seen of it.

    `role_ok` is None for a stage without a role, `tests_ok` is None when pytest was not started or did not end.
    `interruption` is what ended the stage from outside (panicked, hung, lost; not_run for Ctrl-C); it wins over all.
    """
    verdict, reason = Verdict.NOT_RUN, interruption_reason or role_reason
    if began and interruption is not None:
        if interruption in HARMLESS:
            raise ValueError(f"an interruption can't be {interruption}")
        verdict, reason = interruption, interruption_reason or f"the stage ended as {interruption}"
    elif began:
        verdict, reason = _judge_finished(role_ok, role_reason, tests_ok, checks)
    return Stage(name=name, verdict=verdict, seconds=seconds, reason=reason, checks=tuple(checks))


def _judge_finished(
    role_ok: bool | None, role_reason: str, tests_ok: bool | None, checks: Sequence[Check]
) -> tuple[Verdict, str]:
    """Verdict and reason of a stage that began and that nothing interrupted."""
    wrong = causes(checks)
    died = next((cause.lead for cause in wrong if cause.lead.verdict in DIED), None)
    if role_ok is False:
        problem = role_reason or "the role of the stage failed"
    elif wrong:
        problem = wrong[0].line
    elif tests_ok is None:
        problem = "the checks of the stage did not run"
    elif not tests_ok:
        problem = "pytest failed without a failed check"
    elif any(check.verdict is Verdict.PASSED for check in checks):
        return Verdict.PASSED, ""
    elif not checks:
        problem = "no check ran"
    elif silent := next((check.name for check in checks if not check.message.strip()), ""):
        problem = f"no check passed: {silent} was skipped without a reason"
    else:
        return Verdict.SKIPPED, first_line(checks[0].message)
    if died is not None:
        return died.verdict, f"{died.name}: {first_line(died.message)}"
    return Verdict.FAILED, problem


def merge_stages(parts: Sequence[Stage]) -> Stage:
    """One stage as several executions showed it, beside or after each other: the worst verdict with its first cause.

    Each check is there once, in the order of the list of checks: as it went wrong, or else as the first execution
    showed it that ran it. The last execution that brought the stage about tells what is achieved.
    """
    if len(parts) == 1:
        return parts[0]
    found: dict[str, Check] = {}
    for check in (check for stage in parts for check in stage.checks):
        known = found.get(check.name)
        if known is None or _weight(check) < _weight(known):
            found[check.name] = check
    order = check_list.order(parts[0].name, found)
    worst = min(parts, key=lambda stage: (_SEVERITY.index(_severity(stage.verdict)), _death(stage, order)))
    checks = tuple(found[name] for name in order)
    achieved = [stage.achieved for stage in parts if stage.achieved is not None]
    return replace(
        worst, checks=checks, reason=_reason(worst, checks), seconds=round(sum(stage.seconds for stage in parts), 1),
        achieved=achieved[-1] if achieved else None, left_out=max(stage.left_out for stage in parts),
    )  # fmt: skip


def _weight(check: Check) -> int:
    """How much what an execution showed of a check weighs against what another one did, 0 the most."""
    if check.verdict in DIED:
        return 0
    return {Verdict.FAILED: 1, Verdict.NOT_RUN: 3}.get(check.verdict, 2)


def _death(stage: Stage, order: Sequence[str]) -> int:
    """Where in the order of checks a guest died; beyond its end where none did."""
    return min((order.index(check.name) for check in stage.checks if check.verdict in DIED), default=len(order))


def _reason(worst: Stage, checks: Sequence[Check]) -> str:
    """The reason of a part; where that is of its checks, it is the one of all checks."""
    own, all_ = causes(worst.checks), causes(checks)
    return all_[0].line if own and worst.reason == own[0].line else worst.reason


_SEVERITY = ("died", Verdict.FAILED, Verdict.NOT_RUN, Verdict.SKIPPED, Verdict.PASSED)


def _severity(verdict: Verdict) -> str:
    return "died" if verdict in DIED else verdict


def judge_run(stages: Sequence[Stage], selected: Sequence[str]) -> Verdict:
    """Judge a run: it passed only when every selected stage passed.

    Otherwise the verdict of the first stage that went wrong; with none, not_run when a selected stage was not reached
    (or nothing was selected), else skipped. A stage that was not selected can only make it worse.
    """
    wrong = [s.verdict for s in stages if s.verdict not in (*HARMLESS, Verdict.NOT_RUN)]
    if wrong:
        return wrong[0]
    by_name = {stage.name: stage.verdict for stage in stages}
    seen = [by_name.get(name, Verdict.NOT_RUN) for name in selected]
    if not seen or Verdict.NOT_RUN in seen:
        return Verdict.NOT_RUN
    return Verdict.PASSED if set(seen) == {Verdict.PASSED} else Verdict.SKIPPED


def without_verdict(check: Check, reason: str) -> Check:
    """The check of a stage that something else than the filesystem spoiled: what it blames may come from that."""
    if check.verdict not in WRONG:
        return check
    return replace(check, verdict=Verdict.NOT_RUN, message=f"{reason}; it had said: {check.message}")
