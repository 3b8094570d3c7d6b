"""The commands that run stages: up, test, verify."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import click
from msgspec.structs import replace

from vexlab.cli import completion, hosted
from vexlab.cli.common import (
    choice_options,
    clean_option,
    end_guest,
    existing,
    fail_fast_option,
    json_option,
    keep_on_failure_option,
    progress_option,
    stderr,
    verbose_option,
    verdict_table,
)
from vexlab.cli.hosted import Wanted, hypervisor_options
from vexlab.cli.options import JOBS, QUICK, amount_options, lab_option, with_options
from vexlab.cli.order import Order, go_on, run_stages, say_what, select, take_order
from vexlab.config import stage_list
from vexlab.config.settings import Options
from vexlab.errors import StageFailed, UsageProblem, VexlabError
from vexlab.guest.lab import Lab, name_option
from vexlab.report import markdown
from vexlab.results.model import Run
from vexlab.run import checked_before, forks, run_facts, up_to_date
from vexlab.run import control as controls
from vexlab.run.control import Control
from vexlab.run.selection import Selection

UNTIL_SECONDS = 600  # for which what passes is run again, when nobody says for how long


@click.command()
@lab_option
@json_option
@keep_on_failure_option
@clean_option
@progress_option
@verbose_option
@hypervisor_options
@with_options
def up(
    *, name: str, as_json: bool, keep_on_failure: bool, clean: bool, options: Options, wanted: Wanted, verbose: int
) -> None:  # fmt: skip
    """Bring up a guest with the filesystem built and mounted in it.

    Each stage on the way is judged: structure, build, load, mkfs, mount.

    On a lab that is up, only what changed is done again. Options are remembered until the lab is destroyed, and so is
    the hypervisor that has it.
    """
    hosted.bring_about(name, options, wanted)
    order = take_order(name, options, as_json=as_json, verbose=verbose)
    with order.lab.held():
        inputs = order.inputs
        if not clean and (run := up_to_date.last_run(order.lab, order.settings, inputs)):
            say_what(order)
            _show_earlier(order, run, f"nothing changed since {run.finished}")
            return
        stages = tuple(spec.name for spec in stage_list.stages() if spec.up)
        if not clean and (before := _checked_before(order, stages)):
            _show_earlier(order, before, f"all of this was checked before, until {before.finished}")
            _say_it_is_up(order, before)
            return
        run = run_stages(order, Selection(stages), "up", clean=clean, leaves=keep_on_failure)
        up_to_date.remember(order.lab, order.settings, run, inputs)
        _say_it_is_up(order, run)


def _checked_before(order: Order, stages: tuple[str, ...]) -> Run | None:
    """The run that passed with the same inputs on this machine, in a lab whose guest now goes on from there.

    Of the guest it says what this one is.
    """
    if order.lab.is_up() or not order.settings.contract["vexlab_warm"]:
        return None
    applicable = tuple(stage_list.applicable(stages, order.settings.contract))
    before = checked_before.find(order.inputs, applicable)
    if before is None:
        return None
    say_what(order)
    if not go_on(order, before):
        return None
    return replace(before.run, guest=run_facts.guest_of(order.lab, order.settings))


def _show_earlier(order: Order, run: Run, why: str) -> None:
    """Say whose verdicts stand, and why nothing is judged."""
    if order.as_json:
        click.echo(markdown.render_json(run, unchanged_since=run.finished), nl=False)
    stderr.table(verdict_table(run))
    again = f"vexlab verify{name_option(order.lab.name)} judges it again"
    told = f"{why}: the verdicts are those of run {run.run}"
    stderr.say(f"{told}; {again}")


@click.command()
@lab_option
@json_option
@click.option("--keep", is_flag=True, help="Leave the guest up afterwards.")
@keep_on_failure_option
@choice_options("Only this stage, and those before it that it can't do without; may be given more than once.")
@amount_options
@JOBS
@QUICK
@fail_fast_option
@click.option("--keep-going", is_flag=True, hidden=True, help="What is done anyway; for the scripts that say so.")
@click.option(
    "--rerun",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many times the first check that went wrong is run again.",
)
@click.option(
    "--until-failure",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=UNTIL_SECONDS,
    metavar="[SECONDS]",
    help="Run what has passed again and again on the same guest, until something fails or so many seconds are over; "
    f"without a number, {UNTIL_SECONDS}.",
)
@click.option(
    "--control",
    metavar="FILESYSTEM",
    shell_complete=completion.controls,
    help="Run the checks that went wrong on a filesystem of the kernel too, such as ext4, and tell which fail there.",
)
@clean_option
@progress_option
@verbose_option
@hypervisor_options
@with_options
def test(
    *,
    name: str,
    as_json: bool,
    keep: bool,
    keep_on_failure: bool,
    fail_fast: bool,
    keep_going: bool,
    rerun: int | None,
    until_failure: int | None,
    control: str | None,
    clean: bool,
    chosen: tuple[str, ...],
    checks: tuple[str, ...],
    failed: bool,
    options: Options,
    wanted: Wanted,
    verbose: int,
) -> None:
    """Run every stage on a pristine guest.

    The guest is taken down at the end. A stage is held back only by what isn't there: a module that wasn't built or
    loaded, an image that wasn't formatted. After a crash, what is left is run on another guest.
    """
    if fail_fast and keep_going:
        raise UsageProblem("-x (--fail-fast) and --keep-going exclude each other", "give one of them")
    if keep_on_failure and (rerun or control or keep_going):
        others = "--rerun, --control and --keep-going"
        raise UsageProblem(f"--keep-on-failure leaves the guest, and {others} go on with it", "give one of them")
    stages = stage_list.stages_for(chosen)
    hosted.bring_about(name, options, wanted)
    order = take_order(name, options, as_json=as_json, verbose=verbose)
    beside = controls.beside(name, control, order.options.over(order.of_file)) if control else None
    selected = select(order, chosen or stages, checks, failed=failed) or Selection(tuple(stages))
    run_test(
        order, selected, keep=keep, clean=clean, fail_fast=fail_fast, leaves=keep_on_failure, reruns=rerun or 0,
        until_failure=until_failure or 0, beside=beside,
    )  # fmt: skip


def run_test(
    order: Order, selected: Selection, *, keep: bool, clean: bool = False, fail_fast: bool = False,
    leaves: bool = False, reruns: int = 0, until_failure: int = 0, beside: Control | None = None,
) -> Run:  # fmt: skip
    """Run stages on a pristine guest, which is taken down at the end unless `keep`; `leaves`: nor when one fails.

    Raises StageFailed unless the run passed. `until_failure`: for how many seconds what passed is run again. `reruns`:
    how often the first check that went wrong is run again; `beside`: on which all that did so are run too.
    """
    with order.lab.held():
        if order.lab.is_up():
            stderr.say(f"the guest of lab {order.lab.name} is replaced by a pristine one")
            end_guest(order.lab, "stopped")
        with contextlib.nullcontext() if keep else ending(order.lab, unless_failed=leaves):
            alone = fail_fast or leaves
            how: dict[str, Any] = {"fail_fast": fail_fast, "keep_going": not alone, "again": reruns, "leaves": leaves}
            how["jobs"] = order.settings.contract["vexlab_jobs"] or forks.most(order.settings.contract)
            how["spread"] = not (alone or until_failure)
            how |= {"until_failure": until_failure, "stays": keep or leaves}
            run = run_stages(order, selected, "up", clean=clean, beside=beside, **how)
            if keep:
                _say_it_is_up(order, run)
        return run


@contextlib.contextmanager
def ending(lab: Lab, *, unless_failed: bool = False) -> Iterator[None]:
    """End the guest afterwards. If that fails, on a full disk, say, it doesn't hide what went wrong before.

    `unless_failed`: not when a stage has failed.
    """
    try:
        yield
    except BaseException as raised:
        if unless_failed and isinstance(raised, StageFailed):
            raise
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
@keep_on_failure_option
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
    keep_on_failure: bool,
    verbose: int,
) -> None:
    """Judge a lab that is up once more, and change nothing in it."""
    known = stage_list.stages_for(())
    stage_list.stages_for(chosen)  # raises when one is unknown
    hosted.judge(name)
    lab = existing(name)
    with lab.held():
        lab.ssh_command()  # raises when no guest is up
        usual = [spec.name for spec in stage_list.stages() if spec.up]
        whole = Selection(tuple(stage for stage in known if stage in (chosen or usual)))
        order = take_order(name, Options(), as_json=as_json, verbose=verbose, as_it_is=True)
        selected = select(order, chosen or known, checks, failed=failed) or whole
        selected = dataclasses.replace(selected, applied=())  # nothing is brought about
        memory = up_to_date.forget(lab)
        how: dict[str, Any] = {"fail_fast": fail_fast, "leaves": keep_on_failure}
        run_stages(order, selected, "stages", apply=False, **how)  # raises unless it passed
        up_to_date.put_back(lab, memory)


def _say_it_is_up(order: Order, run: Run) -> None:
    """What a guest that stays up has to offer."""
    contract, option = order.settings.contract, name_option(order.lab.name)
    how = "read-write" if "read-write" in contract["vexlab_capabilities"] else "read-only"
    mounted = f"{order.settings.target_name} is mounted {how} at {contract['vexlab_mount_point']} in the guest"
    what = mounted if "mount" in run.selected else "the guest is up"
    stderr.say(f"{what}: vexlab ssh{option}", style="bold")
