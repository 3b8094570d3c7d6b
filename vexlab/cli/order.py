"""What is to be run in a lab, and the run of it: for the commands that run stages."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vexlab.bundle.manifest import Failure
from vexlab.cli.common import (
    WHILE_IT_RUNS,
    end_guest,
    name_unreadable,
    require_host,
    show_log,
    stderr,
    verdict_table,
)
from vexlab.cli.options import FromFile, of_settings_file
from vexlab.config import stage_list
from vexlab.config.settings import Options, Settings, make
from vexlab.errors import GuestProblem, Interrupted, StageFailed, UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab, name_option
from vexlab.report import github, markdown
from vexlab.report.terminal import Progress
from vexlab.results import archive, logs, model, results_file
from vexlab.results.model import DIED, Run, Verdict
from vexlab.run import brought_about, controller, plain_playbooks, scratch, selection, up_to_date
from vexlab.run.selection import Selection


@dataclass(frozen=True)
class Order:
    """What is to be run, checked as far as it can be without touching anything.

    `options` were given, now or to the lab before; `of_file` are those of a settings file.
    """

    lab: Lab
    options: Options
    of_file: Options
    settings: Settings
    as_json: bool
    verbose: int


def take_order(name: str, given: Options, *, as_json: bool, verbose: int, as_it_is: bool = False) -> Order:
    """Check what was asked for, and the machine; nothing is made or changed when something is wrong with them.

    `as_it_is`: a lab that is up is judged as it was brought up, whatever a settings file says now.
    """
    lab = labs.find(name)
    options = given.over(lab.remembered())
    found = FromFile() if as_it_is else of_settings_file()
    of_file = found.options if found.file else lab.of_settings_file()
    settings = make(name, options.over(of_file))
    require_host()
    return Order(lab, options, of_file, settings, as_json, verbose)


def select(order: Order, stages: Sequence[str], checks: Sequence[str], *, failed: bool) -> Selection | None:
    """The checks that were asked for, of these stages; None when whole stages were."""
    if failed and checks:
        raise UsageProblem("--failed and --check both say which checks are run", "give one of them")
    if failed:
        run, unreadable = archive.last(order.lab.name)
        name_unreadable(unreadable)
        if run is None:
            raise archive.no_run(order.lab.name)
        return selection.failed(run, stages)
    return selection.by_name(checks, stages, order.settings.contract) if checks else None


def only(order: Order, failure: Failure) -> Selection:
    """What runs a failure again, and nothing else: its check, or its stage where no check tells of it."""
    checks = (failure.name,) if failure.check else ()
    chosen = Selection(tuple(stage_list.stages_for((failure.stage,))))
    return select(order, [failure.stage], checks, failed=False) or chosen


def run_stages(
    order: Order, selected: Selection, playbook: str, *, apply: bool = True, stays: bool = True, **how: Any
) -> Run:
    """Run stages and show their verdicts; raises StageFailed, which has the exit code, unless the run passed.

    `stays`: the guest is not taken down afterwards, so that a person can look at it. `how`: whether everything is built
    anew, and what is done after a stage that went wrong (RunController.execute).
    """
    lab, settings = order.lab, order.settings
    judged = stage_list.applicable(selected.judged, settings.contract)
    applied = stage_list.applicable(selected.applied, settings.contract) if selected.applied else []
    up_to_date.forget(lab)
    was_up = lab.is_up()
    if apply and was_up:
        _make_way(lab, settings)
    plain_playbooks.prepare(lab, settings)
    if apply:
        brought_about.remember(lab)
    lab.remember(order.options.to_remember(), order.of_file)
    say_what(order)
    with Progress(stderr, follows=order.verbose >= WHILE_IT_RUNS) as progress:
        course = controller.RunController(
            lab, settings, judged, progress, applied=applied, choices=selected.choices, chosen=selected.chosen
        )
        try:
            run = course.execute(playbook, apply=apply, **how)
        except VexlabError as problem:
            if isinstance(problem, Interrupted) and not was_up:
                progress.say("interrupted; ending what was started")
                end_guest(lab, "stopped")
            _finish_early(course.directory, order.as_json)
            raise
        finally:
            show_log(course.directory / "ansible.log", order.verbose)
    if order.as_json:
        click.echo(markdown.render_json(run), nl=False)
    _show(run, course, settings.source)
    if run.verdict is not Verdict.PASSED:
        raise not_passed(run, lab, stays=stays)
    changed = course.changed_stages()
    if apply:
        stderr.say(f"changed: {', '.join(changed)}" if changed else "nothing changed: everything was as wanted already")
    return run


def outcome(order: Order, run: Callable[[], Run]) -> Run:
    """What running stages came to, passed or not; raises what kept them from coming about."""
    before = archive.directories(order.lab.name)
    try:
        return run()
    except StageFailed:
        made = [path for path in archive.directories(order.lab.name) if path not in before]
        if not made:
            raise
        return results_file.read(made[-1] / archive.RESULTS)


def _make_way(lab: Lab, settings: Settings) -> None:
    """Take down what is up when it was brought about with other words than it shall be now; raises GuestProblem."""
    differing = brought_about.differing(lab, settings.contract)
    if not differing or labs.guest_status(lab.record()) != "running":
        return
    names = ", ".join(differing)
    stderr.say(f"{names}: not as it was; what is up is taken down first")
    with scratch.directory() as directory, Progress(stderr) as progress:
        progress.wait_for("unmounting and unloading")
        outcome = brought_about.take_down(lab, directory / "ansible.log", plain_playbooks.shown_by(progress))
    if not outcome.ok:
        words = outcome.failure.message if outcome.failure else "Ansible failed"
        raise GuestProblem(
            f"{names}: not as it was, and what is up in lab {lab.name} could not be taken down: {words}",
            f"end what uses it, or take a new guest: vexlab down{name_option(lab.name)}",
        )


def _finish_early(directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(markdown.render_json(results_file.read(directory / "results.json")), nl=False)


def _show(run: Run, course: controller.RunController, source: str) -> None:
    """The table of verdicts, and what is to be known beside it; `source` is the directory of the module's source."""
    stderr.table(verdict_table(run))
    for stage, check in model.known_failures(run):
        stderr.say(f"known failure {stage.name}/{check.name}: {check.message.partition(chr(10))[0]}")
    if left_out := model.left_out(run):
        stderr.say(f"left out, since only some were chosen: {left_out}; the gate takes no such run as evidence")
    for stage, check in model.advice(run):
        stderr.say(f"advice {stage.name}/{check.name}: {check.advice}")
    stderr.say(f"evidence: {course.directory}")
    click.echo(github.tell(run, os.environ, source), err=True, nl=False)


def not_passed(run: Run, lab: Lab, *, stays: bool) -> StageFailed:
    """What went wrong first in a run, and the commands that tell more; a guest that is gone is no place to look at."""
    culprit = logs.first_wrong(run) or next(
        (stage for stage in run.stages if stage.name in run.selected and stage.verdict is not Verdict.PASSED), None
    )
    named = f"stage {culprit.name} {culprit.verdict}: {culprit.reason}" if culprit else f"the run is {run.verdict}"
    if culprit is not None and culprit.details:  # the whole of the reason, once
        stderr.verbatim(culprit.details)
        named = f"stage {culprit.name} {culprit.verdict}"
    hint = f"vexlab report {run.run}; vexlab logs --run {run.run}"
    can_be_asked = stays and run.verdict not in DIED and lab.is_up()
    return StageFailed(named, f"{hint}; vexlab ssh{name_option(lab.name)}" if can_be_asked else hint)


def say_what(order: Order) -> None:
    """The lab, its target, and where the source is."""
    settings = order.settings
    in_guest = settings.contract["vexlab_source_in_guest"]
    where = f"source {settings.source or f'{in_guest} in the guest'}"
    if settings.contract["vexlab_module_source"] == "kernel":
        where = "the kernel's own module"
    what = f"lab {order.lab.name}: target {settings.target_name}, {where}"
    stderr.say(what)
