"""A control: a filesystem of the kernel itself, on which the checks that went wrong are run as well.

What fails there too says little about the filesystem under test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vexlab.config import installation, stage_list
from vexlab.config.settings import Options, Settings, make, of_target
from vexlab.errors import Interrupted, UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab
from vexlab.report.terminal import Progress
from vexlab.results.model import WRONG, Check, Run, Verdict
from vexlab.run import replan, selection
from vexlab.run.aside import judged_aside
from vexlab.run.replan import Choice
from vexlab.run.selection import Selection

PACKAGES = "vexlab_packages"


@dataclass(frozen=True)
class Control:
    """A control beside a lab, in a lab of its own."""

    lab: Lab
    settings: Settings

    @property
    def name(self) -> str:
        """Name of the filesystem."""
        return self.settings.target_name

    def judged_beside(self, run: Run, progress: Progress) -> Mapping[str, str]:
        """Run what went wrong on the control too; advice for each check that does so there, by stage/check.

        What keeps the control from being judged is said, and is no reason for the run to end otherwise.
        """
        chosen = wrong_in(run, self.settings)
        if chosen is None:
            progress.say(f"nothing that {self.name} can have went wrong, so nothing is run on it")
            return {}
        progress.say(f"what went wrong is run on {self.name} too, in lab {self.lab.name}")
        try:
            seen = judged_aside(self.lab, self.settings, chosen, progress)
        except Interrupted:
            raise
        except VexlabError as problem:
            progress.say(f"what {self.name} does could not be seen: {problem.message}")
            return {}
        progress.say(summary(run, seen))
        return advice(run, seen)


def known() -> dict[str, Path]:
    """The target file of each control, by the name of its filesystem."""
    directory = installation.root() / "examples" / "targets" / "controls"
    return {path.stem: path for path in sorted(directory.glob("*.yml"))}


def beside(lab: str, name: str, options: Options) -> Control:
    """The control of this name beside a lab, with the lab's options; raises UsageProblem when there is none.

    Its guest has the packages of the lab's own one, so that it is started from the same image if it needs no more.
    """
    if name not in known():
        raise UsageProblem(f"unknown control {name!r}", f"known: {', '.join(known())}")
    own = set(of_target(options.target)[PACKAGES])
    settings = make(f"{lab}-{name}", dataclasses.replace(options, target=str(known()[name]), source=None, variant=None))
    # What the bundled target's image has, a control names to be started from that image, and not because it needs it.
    needed = set(settings.contract[PACKAGES]) - set(of_target(None)[PACKAGES])
    settings.contract[PACKAGES] = sorted(own | needed)
    return Control(labs.find(settings.lab), settings)


def wrong_in(run: Run, settings: Settings) -> Selection | None:
    """What went wrong in a run, as far as a control has those stages and checks; None when that is nothing."""
    specs, choices = stage_list.stages(), {}
    has = [spec.name for spec in specs if not spec.why_not(settings.contract)]
    for stage in (stage for stage in run.stages if stage.name in has):
        wrong = [check.name for check in stage.checks if check.verdict in WRONG]
        planned = selection.planned(stage.name, settings.contract) if wrong else []
        if there := tuple(name for name in wrong if name in planned):
            choices[stage.name] = Choice(only=there)
    if not choices:
        return None
    judged = tuple(spec.name for spec in specs if spec.name in choices)
    applied = tuple(name for name in replan.needed(specs, judged) if name in has)
    return Selection(
        judged, applied, choices, tuple(f"{stage}/{name}" for stage in judged for name in choices[stage].only)
    )


def both(run: Run, control: Run) -> Iterator[tuple[str, Check, Check]]:
    """Each check that went wrong in a run and is known of the control, as stage/check with what both say."""
    there = {f"{stage.name}/{check.name}": check for stage in control.stages for check in stage.checks}
    for stage in run.stages:
        for check in (check for check in stage.checks if check.verdict in WRONG):
            if (other := there.get(f"{stage.name}/{check.name}")) is not None:
                yield f"{stage.name}/{check.name}", check, other


def advice(run: Run, control: Run) -> dict[str, str]:
    """What is said of each check that went wrong in a run and on the control too."""
    return {name: f"also fails on {control.target}" for name, _, other in both(run, control) if other.verdict in WRONG}


def summary(run: Run, control: Run) -> str:
    """What the control did with the checks that went wrong, in a sentence."""
    verdicts = [other.verdict for _, _, other in both(run, control)]
    counted = {
        "passed": verdicts.count(Verdict.PASSED),
        "skipped": verdicts.count(Verdict.SKIPPED),
        "failed too": sum(verdict in WRONG for verdict in verdicts),
    }
    parts = [f"{count} {word}" for word, count in counted.items() if count]
    return f"of {len(verdicts)} checks that went wrong, on {control.target}: {', '.join(parts) or 'none was run'}"
