"""What a person means by a word that stands for a run: a run, a kernel, a branch or a commit of the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vexlab.errors import UsageProblem
from vexlab.history import differences
from vexlab.history.past_runs import PastRun
from vexlab.results import archive
from vexlab.source import revision

LEAST = 4  # characters of a commit's hash that may stand for it, as with git
HINT = "name a run (vexlab runs), a kernel, or a branch or commit that was tested"


def last_two(runs: Sequence[PastRun], lab: str | None) -> tuple[PastRun, PastRun]:
    """The last two runs that ended, of a lab, or of that of the last run; raises UsageProblem when there are none."""
    ended = _ended(runs, lab)
    if not ended:
        raise archive.no_run(lab)
    of_lab = _ended(runs, ended[-1].lab)
    if len(of_lab) < 2:
        raise UsageProblem(f"lab {ended[-1].lab} has one run that ended, {ended[-1].name}, and nothing before it", HINT)
    return of_lab[-2], of_lab[-1]


def last_beside(run: PastRun, runs: Sequence[PastRun], lab: str | None) -> PastRun:
    """The run that another is compared with when only that one is named: the last of its lab, or of the lab named."""
    ended = [each for each in _ended(runs, lab or run.lab) if each.name != run.name]
    if not ended or (lab is None and ended[-1].name < run.name):
        raise UsageProblem(
            f"{run.name} is the last run of lab {run.lab}", f"name the run that it is to be compared with; {HINT}"
        )
    return ended[-1]


def meant(word: str, runs: Sequence[PastRun], lab: str | None) -> PastRun:
    """The run that a word means; where that is more than one, the newest that ended, of a lab or of all.

    First what the word is exactly: a run, a kernel, a branch. Then what begins with it: a run, a commit, a kernel. Then
    what git makes of it in the source's repository. Raises UsageProblem when it means nothing, or several runs by the
    beginning of their names.
    """
    if not word:  # which is also what an unknown commit or branch is
        raise UsageProblem("the name of a run is empty", HINT)
    if named := [run for run in runs if run.name == word]:
        return named[0]
    of_lab = _ended(runs, lab)
    for fits in (lambda run: word == run.kernel, lambda run: word == run.branch):
        if found := _newest(of_lab, fits):
            return found
    names = [run.name for run in runs]
    if any(name.startswith(word) for name in names):
        chosen = archive.meant(word, names)
        return next(run for run in runs if run.name == chosen)
    if found := _by_beginning(word, of_lab) or _by_git(word, of_lab):
        return found
    raise UsageProblem(f"{word!r} means no run{f' of lab {lab}' if lab else ''}", HINT)


def _ended(runs: Sequence[PastRun], lab: str | None) -> list[PastRun]:
    return [run for run in runs if run.finished and (lab is None or run.lab == lab)]


def _newest(runs: Sequence[PastRun], fits: Callable[[PastRun], bool]) -> PastRun | None:
    return next((run for run in reversed(runs) if fits(run)), None)


def _by_beginning(word: str, runs: Sequence[PastRun]) -> PastRun | None:
    """The newest run of the commit, or else of the kernel, that begins so; a release ends at a dot or a hyphen."""
    commits = {run.commit for run in runs if run.commit.startswith(word.lower())} if len(word) >= LEAST else set()
    if len(commits) > 1:
        raise UsageProblem(f"{len(commits)} commits that were tested begin with {word!r}", ", ".join(sorted(commits)))
    if commits:
        return _newest(runs, lambda run: run.commit in commits)
    return _newest(runs, lambda run: run.kernel.startswith((f"{word}.", f"{word}-", f"{word}+")))


def _by_git(word: str, runs: Sequence[PastRun]) -> PastRun | None:
    """The newest run of the commit that a branch, a tag or `HEAD~2` is in the repository of the last run's source."""
    tree = next(filter(None, (differences.source_directory(run.name) for run in reversed(runs) if run.commit)), None)
    commit = revision.commit_of(tree, word) if tree else ""
    if not commit:
        return None
    found = _newest(runs, lambda run: run.commit == commit)
    if found is None:
        raise UsageProblem(f"{word!r} is commit {commit[:12]}, which no run tested", HINT)
    return found
