"""What is to be run in a lab, and the run of it: for the commands that run stages."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import msgspec

from vexlab.bundle.manifest import Failure
from vexlab.cli.common import (
    WHILE_IT_RUNS,
    end_guest,
    end_left,
    name_unreadable,
    refuse_hosted,
    require_host,
    show_log,
    stderr,
    verdict_table,
)
from vexlab.cli.options import FromFile, of_settings_file
from vexlab.config import debug_kinds, stage_list
from vexlab.config.settings import Options, Settings, make
from vexlab.errors import GuestProblem, Interrupted, StageFailed, UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest import recovery
from vexlab.guest.lab import Lab, name_option
from vexlab.history import durations, index, known_failures
from vexlab.report import github, markdown
from vexlab.report.terminal import Progress
from vexlab.results import archive, logs, model, results_file
from vexlab.results.model import DIED, Run, Verdict
from vexlab.run import (
    brought_about,
    checked_before,
    controller,
    plain_playbooks,
    replan,
    scratch,
    selection,
    shares,
    up_to_date,
)
from vexlab.run.checked_before import Before
from vexlab.run.control import Control
from vexlab.run.selection import Selection
from vexlab.run.shares import Share
from vexlab.run.up_to_date import Inputs


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

    @cached_property
    def inputs(self) -> Inputs:
        """The hashes over all that decides what is brought about; raises UsageProblem for what can't be read."""
        return up_to_date.inputs_of(self.settings)


def take_order(
    name: str, given: Options, *, as_json: bool, verbose: int, as_it_is: bool = False, on_hypervisor: bool = False
) -> Order:  # fmt: skip
    """Check what was asked for, and the machine; nothing is made or changed when something is wrong with them.

    `as_it_is`: a lab that is up is judged as it was brought up, whatever a settings file says now. `on_hypervisor`:
    this machine has no guest to run, and only makes images.
    """
    lab = labs.find(name)
    if not on_hypervisor:
        refuse_hosted(lab)
    options = given.over(lab.remembered())
    found = FromFile() if as_it_is else of_settings_file()
    of_file = found.options if found.file else lab.of_settings_file()
    settings = make(name, options.over(of_file))
    require_host(builds_only=on_hypervisor)
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
    order: Order, selected: Selection, playbook: str, *, apply: bool = True, stays: bool = True, jobs: int = 1,
    spread: bool = False, beside: Control | None = None, **how: Any,
) -> Run:  # fmt: skip
    """Run stages and show their verdicts; raises StageFailed, which has the exit code, unless the run passed.

    `stays`: the guest is not taken down afterwards, so that a person can look at it. `jobs`: how many guests may be at
    work at once; `spread`: the checks are shared among them. `beside`: on which what went wrong is run too. `how`:
    whether everything is built anew, and what is done after a stage that went wrong (RunController.execute).
    """
    lab, settings = order.lab, order.settings
    judged = stage_list.applicable(selected.judged, settings.contract)
    applied = stage_list.applicable(selected.applied, settings.contract) if selected.applied else []
    whole = playbook == "up" and not selected.chosen
    in_forks = playbook == "up" and how.get("again") and not how.get("until_failure")
    is_saved = whole or in_forks
    checkpoint = (
        replan.checkpoint_name(stage_list.stages(), judged + applied, order.inputs.anywhere) if is_saved else ""
    )
    shared = _shares(settings, judged, jobs) if whole and spread else ()
    settings = shares.with_one_seed(settings) if shared else settings
    up_to_date.forget(lab)
    end_left(lab)
    known = checked_before.forget(order.inputs)
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
            lab, settings, judged, progress, applied=applied, choices=selected.choices, chosen=selected.chosen,
            checkpoint=checkpoint, jobs=jobs, shares=shared,
        )  # fmt: skip
        if beside is not None:
            how["advise"] = functools.partial(beside.judged_beside, progress=progress)
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
        raise not_passed(run, lab, stays=stays, is_left=bool(how.get("leaves")))
    mounted = course.checkpoint if checkpoint == order.inputs.anywhere else ""  # what `up` can go on from
    checked_before.note(order.inputs, run, mounted, known)
    changed = course.changed_stages()
    if apply:
        stderr.say(f"changed: {', '.join(changed)}" if changed else "nothing changed: everything was as wanted already")
    return run


def _shares(settings: Settings, judged: Sequence[str], jobs: int) -> tuple[Share, ...]:
    """What each of so many guests judges, by how long that took before."""
    if jobs == 1:
        return ()
    recorded = index.ask(functools.partial(durations.recorded, settings.target_name))
    return shares.planned(judged, settings.contract, recorded, jobs)


def go_on(order: Order, before: Before) -> bool:
    """Start the guest of a new lab from the one that an earlier run saved, with all brought about in it.

    False when that can't be, or doesn't show what it should: then it is as if there had been no such run.
    """
    lab, settings = order.lab, order.settings
    plain_playbooks.prepare(lab, settings)
    recovery.remember(lab, settings.contract)
    brought_about.remember(lab)
    lab.remember(order.options.to_remember(), order.of_file)
    variables = {"vexlab_checkpoint": order.inputs.anywhere, "vexlab_from_checkpoint": True}
    with scratch.directory() as directory, Progress(stderr) as progress:
        progress.begin("guest", lambda: "")
        try:
            outcome = plain_playbooks.run_plain(
                "guest_create", lab, variables, directory / "ansible.log", plain_playbooks.shown_by(progress)
            )
        except Interrupted:
            end_guest(lab, "stopped")
            raise
        progress.end("guest", "goes on from the one that was saved" if outcome.ok else "has to be brought up anew")
    if outcome.ok:
        if before.run.guest:
            lab.remember_image(before.run.guest.image)
        if before.run.module:
            lab.remember_module(msgspec.to_builtins(before.run.module))
        if up_to_date.remember(lab, settings, before.run, order.inputs):
            return True
        stderr.say("the guest that was saved is not what it should be; all is brought about anew")
        end_guest(lab, "stopped")
    checked_before.forget(order.inputs)
    return False


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
    _show_known_failures(run)
    if left_out := model.left_out(run):
        stderr.say(f"left out, since only some were chosen: {left_out}; the gate takes no such run as evidence")
    for stage, check in model.advice(run):
        stderr.say(f"advice {stage.name}/{check.name}: {check.advice}")
    if count := model.renewed(run):
        stderr.say(f"a fresh filesystem was made for {count} checks, after one that failed or left it unfit")
    stderr.say(f"evidence: {course.directory}")
    click.echo(github.tell(run, os.environ, source), err=True, nl=False)


def _show_known_failures(run: Run) -> None:
    """The known failures with how often each failed, and those that passed this time."""
    reasons = {f"{stage.name}/{check.name}": check.message for stage, check in model.known_failures(run)}
    listed = run.contract is not None and run.contract.known_failures
    rates = index.ask(functools.partial(known_failures.rates, run)) if listed else {}
    for name in dict.fromkeys((*reasons, *rates)):
        said = f"known failure {name}: {reasons.get(name, 'passed this time').partition(chr(10))[0]}"
        tally = rates.get(name)
        stderr.say(f"{said}; failed in {tally.failed} of {tally.judged} runs" if tally else said)


def not_passed(run: Run, lab: Lab, *, stays: bool, is_left: bool = False) -> StageFailed:
    """What went wrong first in a run, and the commands that tell more; a guest that is gone is no place to look at.

    `is_left`: the guest was left as it failed or died.
    """
    culprit = logs.first_wrong(run) or next(
        (stage for stage in run.stages if stage.name in run.selected and stage.verdict is not Verdict.PASSED), None
    )
    named = f"stage {culprit.name} {culprit.verdict}: {culprit.reason}" if culprit else f"the run is {run.verdict}"
    if culprit is not None and culprit.details:  # the whole of the reason, once
        stderr.verbatim(culprit.details)
        named = f"stage {culprit.name} {culprit.verdict}"
    hint = f"vexlab report {run.run}; vexlab logs --run {run.run}"
    if is_left and lab.is_up():
        gdb = " --gdb" if run.verdict in DIED else ""
        return StageFailed(named, f"vexlab debug{gdb}{name_option(lab.name)} looks at the guest; {hint}")
    can_be_asked = stays and run.verdict not in DIED and lab.is_up()
    return StageFailed(named, f"{hint}; vexlab ssh{name_option(lab.name)}" if can_be_asked else hint)


def say_what(order: Order) -> None:
    """The lab, its target, where the source is, and how hard the kernel looks if a lab remembers that it should."""
    settings = order.settings
    in_guest = settings.contract["vexlab_source_in_guest"]
    where = f"source {settings.source or f'{in_guest} in the guest'}"
    if settings.contract["vexlab_module_source"] == "kernel":
        where = "the kernel's own module"
    what = f"lab {order.lab.name}: target {settings.target_name}, {where}"
    kind = settings.contract["vexlab_debug"]
    stderr.say(what if kind == debug_kinds.NONE else f"{what}, kernel with --debug {kind}")
