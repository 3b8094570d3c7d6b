"""The commands that run stages: up, test, verify."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vexlab.cli.common import (
    WHILE_IT_RUNS,
    choice_options,
    clean_option,
    end_guest,
    existing,
    fail_fast_option,
    json_option,
    name_unreadable,
    progress_option,
    require_host,
    show_log,
    stderr,
    verbose_option,
    verdict_table,
)
from vexlab.cli.options import FromFile, amount_options, lab_option, of_settings_file, with_options
from vexlab.config import stage_list
from vexlab.config.settings import Options, Settings, make
from vexlab.errors import Interrupted, StageFailed, UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab, name_option
from vexlab.report import github, markdown
from vexlab.report.terminal import Progress
from vexlab.results import archive, logs, model, results_file
from vexlab.results.model import DIED, Run, Verdict
from vexlab.run import controller, plain_playbooks, selection, up_to_date
from vexlab.run.selection import Selection


@click.command()
@lab_option
@json_option
@clean_option
@progress_option
@verbose_option
@with_options
def up(name: str, as_json: bool, clean: bool, options: Options, verbose: int) -> None:
    """Bring up a guest with the filesystem built and mounted in it.

    Each stage on the way is judged: structure, build, load, mkfs, mount.

    On a lab that is up, only what changed is done again. Options are remembered until the lab is destroyed.
    """
    order = take_order(name, options, as_json=as_json, verbose=verbose)
    with order.lab.held():
        inputs = up_to_date.inputs_of(order.settings)
        if not clean and (run := up_to_date.last_run(order.lab, order.settings, inputs)):
            _show_unchanged(order, run)
            return
        stages = tuple(spec.name for spec in stage_list.stages() if spec.up)
        run = run_stages(order, Selection(stages), "up", clean=clean)
        up_to_date.remember(order.lab, order.settings, run, inputs)
        _say_it_is_up(order, run)


def _say_what(order: Order) -> None:
    """The lab, its target, and where the source is."""
    settings = order.settings
    in_guest = settings.contract["vexlab_source_in_guest"]
    where = f"source {settings.source or f'{in_guest} in the guest'}"
    if settings.contract["vexlab_module_source"] == "kernel":
        where = "the kernel's own module"
    what = f"lab {order.lab.name}: target {settings.target_name}, {where}"
    stderr.say(what)


def _show_unchanged(order: Order, run: Run) -> None:
    """Say that nothing is done, and whose verdicts stand."""
    _say_what(order)
    if order.as_json:
        click.echo(markdown.render_json(run, unchanged_since=run.finished), nl=False)
    stderr.table(verdict_table(run))
    again = f"vexlab verify{name_option(order.lab.name)} judges it again"
    told = f"nothing changed since {run.finished}: the verdicts are those of run {run.run}"
    stderr.say(f"{told}; {again}")


@click.command()
@lab_option
@json_option
@click.option("--keep", is_flag=True, help="Leave the guest up afterwards.")
@choice_options("Only this stage, and those before it that it can't do without; may be given more than once.")
@amount_options
@click.option(
    "--quick", is_flag=True, default=None, help="Do a quarter of everything in stage stress, with the same checks."
)
@fail_fast_option
@click.option("--keep-going", is_flag=True, hidden=True, help="What is done anyway; for the scripts that say so.")
@click.option(
    "--rerun",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many times the first check that went wrong is run again.",
)
@clean_option
@progress_option
@verbose_option
@with_options
def test(
    *,
    name: str,
    as_json: bool,
    keep: bool,
    fail_fast: bool,
    keep_going: bool,
    rerun: int | None,
    clean: bool,
    chosen: tuple[str, ...],
    checks: tuple[str, ...],
    failed: bool,
    options: Options,
    verbose: int,
) -> None:
    """Run every stage on a pristine guest.

    The guest is taken down at the end. A stage is held back only by what isn't there: a module that wasn't built or
    loaded, an image that wasn't formatted. After a crash, what is left is run on another guest.
    """
    if fail_fast and keep_going:
        raise UsageProblem("-x (--fail-fast) and --keep-going exclude each other", "give one of them")
    stages = stage_list.stages_for(chosen)
    order = take_order(name, options, as_json=as_json, verbose=verbose)
    selected = select(order, chosen or stages, checks, failed=failed) or Selection(tuple(stages))
    with order.lab.held():
        if order.lab.is_up():
            stderr.say(f"the guest of lab {name} is replaced by a pristine one")
            end_guest(order.lab, "stopped")
        with contextlib.nullcontext() if keep else _ending(order.lab):
            how: dict[str, Any] = {
                "fail_fast": fail_fast,
                "keep_going": not fail_fast,
                "reruns": rerun or 0,
                "stays": keep,
            }
            run = run_stages(order, selected, "up", clean=clean, **how)
            if keep:
                _say_it_is_up(order, run)


@contextlib.contextmanager
def _ending(lab: Lab) -> Iterator[None]:
    """End the guest afterwards. If that fails, on a full disk, say, it doesn't hide what went wrong before."""
    try:
        yield
    except BaseException:
        try:
            end_guest(lab, "stopped")
        except (VexlabError, OSError) as problem:
            stderr.say(f"the guest is still there: {problem}")
        raise
    end_guest(lab, "stopped")


@click.command()
@lab_option
@json_option
@choice_options("Only this stage; may be given more than once.")
@fail_fast_option
@progress_option
@verbose_option
def verify(
    *,
    name: str,
    as_json: bool,
    chosen: tuple[str, ...],
    checks: tuple[str, ...],
    failed: bool,
    fail_fast: bool,
    verbose: int,
) -> None:
    """Judge a lab that is up once more, and change nothing in it."""
    known = stage_list.stages_for(())
    stage_list.stages_for(chosen)  # raises when one is unknown
    lab = existing(name)
    with lab.held():
        lab.ssh_command()  # raises when no guest is up
        usual = [spec.name for spec in stage_list.stages() if spec.up]
        whole = Selection(tuple(stage for stage in known if stage in (chosen or usual)))
        order = take_order(name, Options(), as_json=as_json, verbose=verbose, as_it_is=True)
        selected = select(order, chosen or known, checks, failed=failed) or whole
        selected = dataclasses.replace(selected, applied=())  # nothing is brought about
        memory = up_to_date.forget(lab)
        run_stages(order, selected, "stages", apply=False, fail_fast=fail_fast)  # raises unless it passed
        up_to_date.put_back(lab, memory)


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
    plain_playbooks.prepare(lab, settings)
    lab.remember(order.options.to_remember(), order.of_file)
    _say_what(order)
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
    _show(run, course)
    if run.verdict is not Verdict.PASSED:
        raise _not_passed(run, lab, stays=stays)
    changed = course.changed_stages()
    if apply:
        stderr.say(f"changed: {', '.join(changed)}" if changed else "nothing changed: everything was as wanted already")
    return run


def _finish_early(directory: Path, as_json: bool) -> None:
    if as_json:
        click.echo(markdown.render_json(results_file.read(directory / "results.json")), nl=False)


def _show(run: Run, course: controller.RunController) -> None:
    """The table of verdicts, and what is to be known beside it."""
    stderr.table(verdict_table(run))
    for stage, check in model.known_failures(run):
        stderr.say(f"known failure {stage.name}/{check.name}: {check.message.partition(chr(10))[0]}")
    if left_out := model.left_out(run):
        stderr.say(f"left out, since only some were chosen: {left_out}; the gate takes no such run as evidence")
    for stage, check in model.advice(run):
        stderr.say(f"advice {stage.name}/{check.name}: {check.advice}")
    stderr.say(f"evidence: {course.directory}")
    click.echo(github.tell(run, os.environ), err=True, nl=False)


def _not_passed(run: Run, lab: Lab, *, stays: bool) -> StageFailed:
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


def _say_it_is_up(order: Order, run: Run) -> None:
    """What a guest that stays up has to offer."""
    contract, option = order.settings.contract, name_option(order.lab.name)
    how = "read-write" if "read-write" in contract["vexlab_capabilities"] else "read-only"
    mounted = f"{order.settings.target_name} is mounted {how} at {contract['vexlab_mount_point']} in the guest"
    what = mounted if "mount" in run.selected else "the guest is up"
    stderr.say(f"{what}: vexlab ssh{option}", style="bold")
