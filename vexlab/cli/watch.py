"""`vexlab watch`: on each save, what failed last, and then what the save affects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import click

from vexlab.cli.common import hushed, plain, stderr, verbose_option
from vexlab.cli.options import lab_option, with_options
from vexlab.cli.order import Order, outcome, run_stages, take_order
from vexlab.config import settings_file, stage_list, user_directories
from vexlab.config.settings import Options
from vexlab.errors import Interrupted, UsageProblem, VexlabError
from vexlab.guest.lab import name_option
from vexlab.report import page
from vexlab.report.terminal import STYLES
from vexlab.results import archive, logs
from vexlab.results.causes import first_line
from vexlab.results.model import WRONG, Run, Verdict
from vexlab.run import selection, up_to_date
from vexlab.run.selection import Selection
from vexlab.saves import rounds
from vexlab.saves.changes import Saves, only_texts
from vexlab.saves.rounds import Round

UP = tuple(spec.name for spec in stage_list.stages() if spec.up)


@click.command("watch")
@lab_option
@click.option(
    "--run", "text", metavar="COMMAND",
    help="Run this instead of a bell when the verdict changes; it finds that in VEXLAB_VERDICT.",
)  # fmt: skip
@verbose_option
@with_options
def watch_command(*, name: str, text: str | None, options: Options, verbose: int) -> None:
    """Bring the lab up on each save, and judge what that affects.

    What failed last is run first. A line tells what each round came to. What editors, git and builds write on the way
    starts none; what is saved during a round starts the next. Ctrl-C ends it with 130, and the guest stays up.
    """
    order = take_order(name, options, as_json=False, verbose=verbose)
    if not order.settings.source:
        raise UsageProblem("the source of this target is not on this machine", "name one with --source")
    stderr.say(f"watching {order.settings.source}; Ctrl-C ends it")
    down = f"vexlab down{name_option(name)} takes it down"
    until_interrupted(_saves(order), Player(order).play, text, lambda: down if order.lab.is_up() else "")


def until_interrupted(
    saves: Saves, play: Callable[[Sequence[Path]], Round], text: str | None, still_up: Callable[[], str]
) -> None:
    """Play one round after the other; ends with Interrupted at Ctrl-C, which says what of the lab is still up."""
    try:
        rounds.follow(saves.each(), play, _tell, lambda now, before: _sign(text, now, before))
    except (KeyboardInterrupt, Interrupted):
        hint = still_up()
        raise Interrupted("not watching any more" + ("; the guest stays up" if hint else ""), hint) from None


def _saves(order: Order) -> Saves:
    """The source, and the files that say how it is tested."""
    contract, tree = order.settings.contract, Path(order.settings.source)
    settings = settings_file.find(Path.cwd())
    files = [Path(contract["vexlab_target_file"]).absolute(), *([settings.path] if settings else [])]
    return Saves(
        tree, tuple(path for path in files if not path.is_relative_to(tree)), tuple(contract["vexlab_exclude"])
    )  # fmt: skip


class Player:
    """Plays the rounds of a lab, and knows what failed in the last one."""

    def __init__(self, order: Order) -> None:
        """Prepare; nothing is run."""
        self._given = order
        run, _ = archive.last(order.lab.name)
        self._failed = run if run is not None and run.verdict in WRONG else None

    def play(self, saved: Sequence[Path]) -> Round:
        """Run what failed last and, if that passes, what is affected; a problem is told, and ends nothing."""
        try:
            given = self._given
            order = take_order(given.lab.name, given.options, as_json=False, verbose=given.verbose)
            with order.lab.held(), hushed(given.verbose):
                return self._judge(order, saved)
        except (Interrupted, KeyboardInterrupt):
            raise
        except VexlabError as problem:
            return Round(rounds.NO_VERDICT, f"{problem.message}{f' → {problem.hint}' if problem.hint else ''}")

    def _judge(self, order: Order, saved: Sequence[Path]) -> Round:
        inputs = up_to_date.inputs_of(order.settings)
        if run := up_to_date.last_run(order.lab, order.settings, inputs):
            self._failed = None
            return _round_of(run, "nothing changed")
        if self._failed is not None:
            selected = _of_failed(self._failed)
            again = _run(order, selected) if selected is not None else None
            if again is not None and again.verdict is not Verdict.PASSED:
                self._failed = again
                return _round_of(again, "what failed last")
        if saved and only_texts(saved):
            return _round_of(_run(order, Selection(("structure",))), "the texts")
        run = _run(order, Selection(UP))
        self._failed = run if run.verdict in WRONG else None
        up_to_date.remember(order.lab, order.settings, run, inputs)
        return _round_of(run)


def _of_failed(run: Run) -> Selection | None:
    """What of the stages up to mount went wrong in a run; None when nothing did that can be chosen."""
    try:
        return selection.failed(run, UP)
    except UsageProblem:
        return None


def _run(order: Order, selected: Selection) -> Run:
    """Run stages in the guest that is up; returns the run, whatever came of it."""
    return outcome(order, lambda: run_stages(order, selected, "up"))


def _round_of(run: Run, what: str = "") -> Round:
    wrong = logs.first_wrong(run)
    told = f"stage {wrong.name} {wrong.verdict}: {first_line(wrong.reason)}" if wrong else f"stages {_of(run)}"
    words = ", ".join(filter(None, (told, what)))
    return Round(str(run.verdict), words, user_directories.runs_directory() / run.run / page.PAGE)


def _of(run: Run) -> str:
    return ", ".join(stage.name for stage in run.stages if stage.verdict is Verdict.PASSED)


def _tell(came: Round, saved: str) -> None:
    """Print a round in a line."""
    sign, style = STYLES[Verdict(came.verdict)] if came.verdict != rounds.NO_VERDICT else ("!", "yellow")
    head = f"{datetime.now().astimezone():%H:%M:%S} {sign} {came.verdict}"
    stderr.say(plain(": ".join(filter(None, (head, saved, came.words)))), style)


def _sign(text: str | None, now: Round, before: Round) -> None:
    """Ring, or run the person's command."""
    if text is None:
        if stderr.is_terminal:
            stderr.bell()
    elif problem := rounds.command(text, now, before):
        stderr.say(plain(problem), "yellow")
