"""`vexlab bisect`: which commit of the module's source brought a failure about."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from vexlab.bisect import commits, judging, repeats, search
from vexlab.bisect.commits import Commits
from vexlab.bisect.judging import Judgement, Observation, Sight
from vexlab.bisect.outcome import Judged, Outcome
from vexlab.bisect.repeats import Rate
from vexlab.bisect.search import Answer
from vexlab.bundle import archive_file, contents
from vexlab.bundle.manifest import Failure
from vexlab.cli import completion, stages
from vexlab.cli.bundle import ENDING
from vexlab.cli.common import hushed, json_option, plain, remove_lab, stderr, verbose_option
from vexlab.cli.history import asked
from vexlab.cli.options import amount_options, lab_named, with_options
from vexlab.cli.order import Order, only, outcome, select, take_order
from vexlab.config import stage_list
from vexlab.config.settings import Options
from vexlab.errors import GuestProblem, StageFailed, UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab
from vexlab.history.past_runs import PastRuns, Tally
from vexlab.results import archive
from vexlab.results.causes import first_line
from vexlab.results.model import Run
from vexlab.run import scratch
from vexlab.run.selection import Selection
from vexlab.source import revision

TRIES = 5  # runs on the bad commit in which the failure has to show
AGAIN = 4  # times that it is run again there, to see whether it is flaky


@click.command("bisect")
@click.option("--good", metavar="REV", required=True, help="A commit, branch or tag on which the check passes.")
@click.option("--bad", metavar="REV", default="HEAD", show_default=True, help="A later one on which it fails.")
@click.option(
    "--check", metavar="STAGE/CHECK", shell_complete=completion.check_names,
    help="The check that is looked at; by default it is what fails first on the bad commit.",
)  # fmt: skip
@click.option(
    "--runs", type=click.IntRange(min=1), metavar="N",
    help="Number of passes that make a commit good, instead of what the check's rate demands.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path),
    help="The bundle that is written; by default it is bisect-COMMIT.tar.zst in the current directory.",
)  # fmt: skip
@lab_named("Lab whose options are taken; its guest is left alone")
@json_option
@amount_options
@verbose_option
@with_options
def bisect_command(
    *, good: str, bad: str, check: str | None, runs: int | None, output: Path | None, name: str, as_json: bool,
    options: Options, verbose: int,
) -> None:  # fmt: skip
    """Find the commit of the source that brought a failure about.

    The source is a checkout of git. It is left as it is, and what isn't committed is not looked at: commits are checked
    out elsewhere, and run in a lab that is made for it. A commit that doesn't build, or on which something else
    fails, says nothing and is passed over.

    Ends with 0 when one commit is found, and with 1 when so many were passed over that it may be any of several.
    """
    order = take_order(name, options, as_json=False, verbose=verbose)
    tree = _tree(order, check)
    with scratch.directory() as work:
        (work / "source").mkdir()
        history = commits.between(tree, good, bad, work / "source")
        _tell_beforehand(history)
        with _lab_for(tree) as lab:
            bisection = Bisection(order, history, lab, work / "bundle")
            bisection.look_at_ends(check, runs)
            came = bisection.search()
            _tell(came, history, bisection.keep_bundle(came, output), as_json=as_json)


def _tree(order: Order, check: str | None) -> Path:
    """The source; raises UsageProblem where there is none on this machine, or no such check."""
    if not order.settings.source:
        raise UsageProblem("the source of this target is not on this machine", "name a checkout of it with --source")
    select(order, stage_list.stages_for(()), (check,) if check else (), failed=False)
    return Path(order.settings.source)


def _tell_beforehand(history: Commits) -> None:
    at = revision.of(history.tree)
    if at is not None and at.edited:
        stderr.say(f"{at.edited} files of {history.tree} are not as committed, which is not looked at", style="yellow")
    stderr.say(f"{len(history.candidates())} commits may be it")


@contextlib.contextmanager
def _lab_for(tree: Path) -> Iterator[Lab]:
    """A lab for the commits of this tree alone; removed at the end. If that fails, it hides nothing."""
    lab = labs.find(f"bisect-{hashlib.sha256(str(tree).encode()).hexdigest()[:12]}")
    try:
        yield lab
    finally:
        try:
            if lab.exists():
                remove_lab(lab)
        except (VexlabError, OSError) as problem:
            stderr.say(f"lab {lab.name} is still there: {problem}")


class Bisection:
    """Runs what is looked for at one commit after the other. Use once: first the ends, then the search."""

    def __init__(self, order: Order, history: Commits, lab: Lab, bundle: Path) -> None:
        """Prepare; nothing is run. `order` is what a person asked for, `bundle` a file that is not there yet."""
        self._order = order
        self._history = history
        self._lab = lab
        self._bundle = bundle
        self._judged: list[Judged] = []

    def look_at_ends(self, check: str | None, runs: int | None) -> None:
        """See that it fails on the bad commit, how often, and that it passes on the good one; raises UsageProblem."""
        self._failure, self._rate = self._look_at_bad(check)
        self._times = runs or repeats.times(self._rate, len(self._history.candidates()))
        if self._times > 1:
            stderr.say(f"a commit on which it passes {self._times} times is taken for good")
        seen = self._judge(self._history.good)
        if seen.answer is not Answer.GOOD:
            word = "fails as well" if seen.answer is Answer.BAD else f"says nothing: {seen.last.why}"
            told = f"good, {self._history.good[:12]}, {word}"
            raise UsageProblem(told, f"name an earlier one with --good; vexlab report {seen.last.run}")

    def search(self) -> Outcome:
        """Search between the ends."""
        found = search.first_bad(self._history, lambda commit: self._judge(commit).answer)
        about = tuple(map(self._history.about, found.commits))
        candidates = tuple(self._history.candidates())
        return Outcome(self._failure, found, about, self._rate, tuple(self._judged), candidates)

    def keep_bundle(self, came: Outcome, output: Path | None) -> Path | None:
        """Move the bundle of the first bad commit, which was judged last of the bad ones, to where it is wanted."""
        if not came.found.is_certain or not self._bundle.exists():
            return None
        path = output or Path(f"bisect-{came.found.commits[0][:12]}{ENDING}")
        path.write_bytes(self._bundle.read_bytes())
        return path

    def _look_at_bad(self, check: str | None) -> tuple[Failure, Rate]:
        """What fails on the bad commit, and how often it does."""
        bad = self._history.bad
        stderr.say(plain(f"looking at bad, {self._history.about(bad)}"))
        self._history.check_out(bad)
        order = self._take()
        every = stage_list.stages_for(())
        selected = select(order, every, (check,) if check else (), failed=False) or Selection(tuple(every))
        wanted = None if check else contents.failure_of(self._run(order, selected))
        for tried in range(1, TRIES + 1):
            run = self._run(order, only(order, wanted) if wanted else selected, again=AGAIN, clean=tried == 1)
            if (failure := _failure_in(run, wanted)) is not None:
                break
        else:
            told = f"{wanted.name if wanted else check} passes on bad, {bad[:12]}, in each of {TRIES} runs"
            alone = "; it failed when all was run" if wanted else ""
            raise UsageProblem(f"{told}{alone}", f"name another with --bad or --check; vexlab report {run.run}")
        if check and not failure.check:
            told = f"{check} is not reached on bad, {bad[:12]}: stage {failure.stage} {failure.verdict}"
            raise UsageProblem(told, f"name one with --bad on which it is; vexlab report {run.run}")
        self._keep(run)
        rate = _rate(run, failure, tried)
        often = f"{rate.failed} of {rate.judged} times (run {run.run})"
        stderr.say(plain(f"{failure.name} {failure.verdict} there, {often}"))
        return failure, rate

    def _judge(self, commit: str) -> Judgement:
        """Say whether a commit is good, and tell it."""
        self._history.check_out(commit)
        judgement = judging.judge(self._observations(), self._times)
        self._judged.append(Judged(self._history.about(commit), judgement))
        stderr.say(plain(self._judged[-1].line))
        return judgement

    def _observations(self) -> Callable[[], Observation]:
        """What one run after the other shows at a commit; everything is built anew before the first."""
        is_first = iter([True])

        def observe() -> Observation:
            try:
                order = self._take()
            except UsageProblem as problem:  # there is no source at that commit, or none that can be copied
                return Observation(Sight.OTHER, problem.message)
            try:
                run = self._run(order, only(order, self._failure), clean=next(is_first, False))
            except GuestProblem as problem:
                return Observation(Sight.LOST, problem.message)
            seen = judging.seen_in(run, self._failure)
            if seen.sight is Sight.PRESENT:
                self._keep(run)
            return seen

        return observe

    def _take(self) -> Order:
        """What is run at the commit that is checked out: what a person asked for, with another source."""
        given = dataclasses.replace(
            self._order.options.over(self._order.of_file), source=str(self._history.source)
        )  # fmt: skip
        return take_order(self._lab.name, given, as_json=False, verbose=self._order.verbose, as_it_is=True)

    def _run(self, order: Order, selected: Selection, *, again: int = 0, clean: bool = True) -> Run:
        """Run what is selected; returns the run, whatever came of it."""
        with hushed(order.verbose):
            return outcome(
                order, lambda: stages.run_test(order, selected, keep=False, clean=clean, reruns=again)
            )  # fmt: skip

    def _keep(self, run: Run) -> None:
        """Make a bundle of a run as long as what was built in it is there."""
        with scratch.directory() as work:
            manifest, pieces = contents.collect(run, archive.find(run.run), work)
            archive_file.write(self._bundle, manifest, pieces)


def _failure_in(run: Run, wanted: Failure | None) -> Failure | None:
    """What failed in a run, which is what is wanted, if that is known; None when it didn't."""
    if wanted is not None:
        return wanted if judging.seen_in(run, wanted).sight is Sight.PRESENT else None
    try:
        return contents.failure_of(run)
    except UsageProblem:
        return None


def _rate(run: Run, failure: Failure, tries: int) -> Rate:
    """How often it fails on the bad commit: in all runs of this module, in those of now, and run again."""
    again = run.reruns if run.reruns and run.reruns.check == failure.name else None

    def question(past: PastRuns) -> Tally:
        same = next((each.same for each in past.runs() if each.name == run.run), None)
        alike = [each.name for each in past.runs() if same is not None and each.same == same]
        return past.tallies([failure.name], alike).get(failure.name, Tally(1, tries))

    known = asked(question)
    return Rate(known.failed, known.judged).and_also(again.failed if again else 0, again.of if again else 0)


def _tell(came: Outcome, history: Commits, bundle: Path | None, *, as_json: bool) -> None:
    """Print what was found; raises StageFailed, which has the exit code, when it may be any of several."""
    changes = history.changes(came.commits[0].hash) if came.found.is_certain else []
    if as_json:
        click.echo(json.dumps(came.document(changes, str(bundle) if bundle else None), indent=2))
    elif came.found.is_certain:
        commit = came.commits[0]
        click.echo(f"commit {commit.hash}\nauthor {commit.author}\ndate   {commit.date}\n\n    {commit.subject}\n")
        click.echo("\n".join(changes))
    else:
        click.echo("\n".join(map(str, came.commits)))
    stderr.say(plain(came.doubt))
    if not came.found.is_certain:
        raise StageFailed(
            f"the first bad commit is one of {len(came.commits)}: those between say nothing",
            "commits that build are found sooner with another --good, --bad or --check",
        )
    commit = came.commits[0]
    stderr.say(plain(f"{commit} brought it about: {first_line(came.failure.words)}"), style="bold")
    if bundle is not None:
        stderr.say(f"what repeats it: vexlab replay {bundle}")
