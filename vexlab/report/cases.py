"""A run as the formats of other tools have it: a suite per stage that was asked for, a case per check.

THE home of what is red there: no case is made up while checks tell what went wrong, and red never looks green.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from vexlab.report import facts
from vexlab.report.text import _QUIET, _clean, place_of
from vexlab.results import archive, logs
from vexlab.results.model import DIED, Check, Run, Stage, Verdict, asked_for

LONGEST = 65_536
"""Characters of a text that a dashboard gets; results.json has all."""


class Outcome(StrEnum):
    """What came of a case, for formats that know fewer verdicts. Broken: something died, or a run that isn't passed."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    SKIPPED = "skipped"
    NOT_RUN = "not_run"


RED = (Outcome.FAILED, Outcome.BROKEN)
_OUTCOMES = {
    Verdict.PASSED: Outcome.PASSED,
    Verdict.FAILED: Outcome.FAILED,
    Verdict.SKIPPED: Outcome.SKIPPED,
    Verdict.XFAILED: Outcome.SKIPPED,
    Verdict.NOT_RUN: Outcome.NOT_RUN,
} | dict.fromkeys(DIED, Outcome.BROKEN)


@dataclass(frozen=True)
class Case:
    """A check of a stage, or what stands for a stage or a run that went wrong without one."""

    stage: Stage
    check: Check
    outcome: Outcome
    details: str = ""

    @property
    def parts(self) -> tuple[str, str]:
        """The module of the check, empty without one, and its name in there, fit to be shown."""
        module, _, name = _clean(self.check.name).partition(".")
        return (module, name) if name else ("", module)

    @property
    def message(self) -> str:
        """Why it is what it is; empty of what passed."""
        return _clean(shortened(self.check.message))

    @property
    def title(self) -> str:
        """The first line of the message, or the verdict."""
        return next((line.strip() for line in self.message.splitlines() if line.strip()), str(self.check.verdict))

    @property
    def text(self) -> str:
        """All that is to be said of it: the compiler's errors, or what is promised and what came."""
        promise = _clean(self.check.promise)
        return _clean(shortened(self.details)) or (f"{promise}\n{self.message}" if promise else self.message)

    @property
    def place(self) -> tuple[str, int] | None:
        """File and line to look at; a file of a repository as that names it, since services link to it there."""
        found = place_of(self.check.place, shortened(self.check.message))
        return (_clean(_in_repository(found[0])), found[1]) if found else None

    def evidence(self, directory: Path) -> dict[str, Path]:
        """What there is to read of a red case, in the directory of the run: a title and a file, the most telling first.

        The trace of a death and the kernel's messages of the stage; of a build its log, of a death the console.
        """
        if self.outcome not in RED:
            return {}
        found = {"kernel messages": self.kernel_log(directory)}
        if self.check.verdict in DIED:
            console = archive.file_of(directory, logs.OF_AN_EXECUTION["console"])
            found = {"trace": self.trace(directory)} | found | {"console": console}
        if self.stage.name in logs.OF_AN_EXECUTION:
            found |= {self.stage.name: archive.file_of(directory, logs.OF_AN_EXECUTION[self.stage.name])}
        return {title: path for title, path in found.items() if path is not None}

    def kernel_log(self, directory: Path) -> Path | None:
        """The kernel's messages of the stage; None where the directory of the run doesn't have them."""
        return archive.file_of(directory, self._kernel_log)

    def trace(self, directory: Path) -> Path | None:
        """The trace of the stage, which is beside the kernel's messages; None where there is none."""
        return archive.file_of(directory, str(Path(self._kernel_log).with_name(logs.OF_A_STAGE["trace"])))

    @property
    def _kernel_log(self) -> str:
        return self.stage.kernel_log or f"stages/{self.stage.name}/{logs.OF_A_STAGE['kernel']}"


def of_run(run: Run) -> list[tuple[str, list[Case]]]:
    """The suites of a run in their order, each with its name and its cases.

    A stage that went wrong without a check that tells it has a case of its own, and a run that is not passed without
    any of its stages being to blame has one as well.
    """
    suites = [
        (stage.name, [Case(stage, check, _OUTCOMES[check.verdict]) for check in stage.checks] + _own(stage))
        for stage in asked_for(run)
    ]
    if run.verdict is not Verdict.PASSED and not any(stage.verdict not in _QUIET for stage in run.stages):
        blame = Check("verdict", run.verdict, 0.0, facts.summary(run))
        suites.append(("run", [Case(Stage("run"), blame, Outcome.BROKEN)]))
    return suites


def _own(stage: Stage) -> list[Case]:
    """The case of what is no check and went wrong, when none of the checks tells the stage's verdict."""
    tells = {Verdict.FAILED: {Verdict.FAILED}}.get(stage.verdict, {stage.verdict})
    if stage.verdict in _QUIET or tells & {check.verdict for check in stage.checks}:
        return []
    name = f"stage.{'role' if stage.achieved is False else 'whole'}"
    check = Check(name, stage.verdict, 0.0, stage.reason)
    return [Case(stage, check, _OUTCOMES[stage.verdict], stage.details)]


def _in_repository(file: str) -> str:
    """A file's path relative to the repository of git that it is in; as it is when there is none on this machine."""
    path = Path(file)
    with contextlib.suppress(OSError):
        for parent in path.parents if path.is_absolute() else ():
            if (parent / ".git").exists():
                return str(path.relative_to(parent))
    return file


def shortened(text: str, longest: int = LONGEST) -> str:
    """Text cut to so many characters, which then says that it was."""
    end = f"\n... cut; results.json has all {len(text)} characters"
    return text if len(text) <= longest else text[: longest - len(end)] + end


def last_lines(path: Path, longest: int) -> str:
    """The end of a log, at most so many characters of it, fit to be shown."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - longest))
        return _clean(stream.read(longest).decode(errors="replace"))


def milliseconds(stamp: str | None) -> int | None:
    """A time stamp in milliseconds since 1970; None of one that can't be read."""
    try:
        return int(datetime.fromisoformat(stamp or "").timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return None
