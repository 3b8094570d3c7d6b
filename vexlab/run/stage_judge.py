"""The stages of one execution, judged by what was seen of it and by what their checks left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from vexlab.results import judging
from vexlab.results.model import Stage, Verdict
from vexlab.results.stage_record import StageRecord
from vexlab.run import tracker
from vexlab.run.replan import ExecutionResult, Plan
from vexlab.run.tracker import PlannedStage, StageProgress, State
from vexlab.source import compiler_errors

BUILDS = "vexfs_build"  # the role that has a compiler work


@dataclass(frozen=True)
class StageJudge:
    """Judges the stages of an execution of `plan`; `root` is the directory of the run, `directory` its own.

    `build` is where a copy of `source` was built. `annotate` puts places of the source behind functions of the module.
    """

    plan: Plan
    root: Path
    directory: Path
    build: str = ""
    source: Path | None = None
    annotate: Callable[[str], str] = str

    def result(self, state: State) -> ExecutionResult:
        """Return the stages that were judged, or that went wrong while they were only brought about; of those ended."""
        ended = [name for name, stage in state.stages.items() if stage.ended is not None]
        ended += [state.victim] if state.began and not state.stages else []
        stages = {name: self.judge(state, name) for name in ended}
        told = {name: stage for name, stage in stages.items() if self.tells(state, stage)}
        return ExecutionResult(told, state.death is not None)

    def tells(self, state: State, stage: Stage) -> bool:
        """Whether a stage that ended tells of the filesystem: not when it was only to be brought about, and was."""
        progress = state.stages.get(stage.name)
        return progress is None or progress.judged or stage.verdict is not Verdict.NOT_RUN

    def judge(self, state: State, name: str) -> Stage:
        """Return the stage as far as it was seen.

        One that was only brought about stays not_run unless it went wrong. One that never began is that of the guest
        that died before it.
        """
        progress = state.stages.get(name) or StageProgress(name, time.monotonic())
        planned = next(stage for stage in state.planned if stage.name == name)
        record = StageRecord(self.directory, name)
        verdict, reason = tracker.spoils(state, name) or (None, "")
        seconds = round((progress.ended or time.monotonic()) - progress.began, 1)
        achieved = self._achieved(progress, planned)
        if not progress.judged and verdict is None and progress.role_ok is not False:
            return Stage(name, seconds=seconds, achieved=achieved)
        by_machine = state.machine_problem is not None
        role_reason, details = self._role_reason(state, progress)
        stage = judging.judge_stage(
            name, began=True, role_ok=progress.role_ok, role_reason=role_reason,
            tests_ok=progress.checks_ok, checks=record.all_checks(verdict, reason, is_no_verdict=by_machine),
            interruption=verdict, interruption_reason=reason, seconds=seconds,
        )  # fmt: skip
        if state.late is not None and state.late.stage == name and stage.verdict is Verdict.PASSED:
            stage = replace(stage, verdict=Verdict.FAILED, reason=f"{tracker.AFTER}{state.late.reason}")
        log = record.kernel_log()
        checks = tuple(replace(check, message=self.annotate(check.message)) for check in stage.checks)
        return replace(
            stage, checks=checks, reason=self.annotate(stage.reason),
            kernel_log=str(log.relative_to(self.root)) if log else None, taint=record.taint(), achieved=achieved,
            details=details if stage.verdict is Verdict.FAILED else "", left_out=record.left_out(),
        )  # fmt: skip

    def _role_reason(self, state: State, progress: StageProgress) -> tuple[str, str]:
        """Return why a role failed, and more lines of it; a compiler's errors are told as it told them."""
        failure = state.failure
        if failure is None:
            return "", ""
        if progress.role_ok is False and failure.role == BUILDS:
            try:
                log = (self.directory / "build.log").read_text(encoding="utf-8", errors="replace")
            except OSError:
                log = ""
            if errors := compiler_errors.find(log, self.build, self.source):
                shown = compiler_errors.shown(errors, f"vexlab logs build --run {self.root.name}")
                return errors[0].headline, shown
        return failure.message, ""

    def _achieved(self, progress: StageProgress, planned: PlannedStage) -> bool | None:
        """Whether what a stage brings about is there: its role says so, if it was applied."""
        return progress.role_ok is True if planned.has_role and self.plan.apply else None
