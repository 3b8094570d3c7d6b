"""The commits of a source: read from its repository, and checked out in another one, which is vexlab's own.

That has the objects of the first, by reference. So nothing is written into the person's repository, not even the record
of a work tree, and nothing is left there whatever ends the search.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.guest import reaper
from vexlab.source import revision

SECONDS = 300.0  # for one command of git, in a repository of any size
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "--no-pager")


@dataclass(frozen=True)
class Commit:
    """A commit, as it is told to people."""

    hash: str
    author: str
    date: str
    subject: str

    def __str__(self) -> str:
        """Return it in a line."""
        return f"{self.hash[:12]} {self.subject}"


@dataclass(frozen=True)
class Commits:
    """The commits from `good`, which is not among them, to `bad`, checked out one at a time.

    `tree` is the person's source, `checkout` our repository, `below` the directory of the source within it, which ends
    in a slash or is empty.
    """

    tree: Path
    checkout: Path
    below: str
    good: str
    bad: str

    @property
    def source(self) -> Path:
        """The source at the commit that is checked out."""
        return self.checkout / self.below

    @property
    def paths(self) -> tuple[str, ...]:
        """What of the repository is looked at, as the last words of a command of git."""
        return ("--", self.below) if self.below else ("--",)

    def candidates(self) -> list[str]:
        """The commits among which the first bad one is, the newest first: those that touch the source."""
        return self.git("rev-list", "--topo-order", f"{self.good}..{self.bad}", *self.paths).split()

    def check_out(self, commit: str) -> None:
        """Have the files of a commit in the source."""
        self.git("checkout", "--quiet", "--force", "--detach", commit)

    def about(self, commit: str) -> Commit:
        """Who made a commit, when, and what for."""
        told = self.git("show", "--no-patch", "--date=iso", "--format=%H%x00%an <%ae>%x00%ad%x00%s", commit)
        return Commit(*told.rstrip("\n").split("\0"))

    def changes(self, commit: str) -> list[str]:
        """The files of the source that a commit changes, a line each as `git diff --stat` has them."""
        return self.git("show", "--format=", "--stat=100", "--no-color", commit, *self.paths).splitlines()

    def git(self, *words: str) -> str:
        """What git prints in our repository; raises VexlabError with its words when it fails."""
        return _git(self.checkout, *words)


def between(tree: Path, good: str, bad: str, directory: Path) -> Commits:
    """The commits of a source between two that a person named; `directory` is empty, and becomes the repository.

    Raises UsageProblem where there is no history, or no way from the one to the other.
    """
    inside = revision.asked(tree, "rev-parse", "--is-inside-work-tree")
    if inside.strip() != "true":
        raise UsageProblem(
            f"{tree} is no checkout of git, or one that git doesn't read for you",
            "name one with --source; git -C DIR status tells why it doesn't",
        )
    ends = [_commit(tree, name, option) for option, name in (("--good", good), ("--bad", bad))]
    _refuse_no_way(tree, *ends)
    below = revision.asked(tree, "rev-parse", "--show-prefix").rstrip("\n")
    _borrow(tree, directory)
    commits = Commits(tree, directory, below, *ends)
    if not commits.candidates():
        raise UsageProblem(
            f"no commit between {ends[0][:12]} and {ends[1][:12]} changes {tree}", "name others with --good and --bad"
        )
    return commits


def _commit(tree: Path, name: str, option: str) -> str:
    commit = revision.commit_of(tree, name)
    if not commit:
        raise UsageProblem(
            f"{option} {name!r} is no commit in the repository of {tree}", f"git -C {tree} log --oneline lists some"
        )
    return commit


def _refuse_no_way(tree: Path, good: str, bad: str) -> None:
    """Raise UsageProblem unless the good commit is before the bad one."""
    if good == bad:
        raise UsageProblem(f"good and bad are the same commit, {good[:12]}", "name an earlier one with --good")
    base = revision.asked(tree, "merge-base", good, bad).strip()
    if base == bad:
        raise UsageProblem(
            f"good, {good[:12]}, comes after bad, {bad[:12]}: the two are swapped",
            "give --good the older one; vexlab bisect finds where a check began to fail, not where it was mended",
        )
    if base != good:
        told = f"their last common commit is {base[:12]}: is it good?" if base else "they have no common commit"
        raise UsageProblem(f"good, {good[:12]}, is not an ancestor of bad, {bad[:12]}", told)


def _borrow(tree: Path, directory: Path) -> None:
    """Make a repository with the objects of that of a tree."""
    objects, shallow = (
        revision.asked(tree, "rev-parse", "--path-format=absolute", "--git-path", name).rstrip("\n")
        for name in ("objects", "shallow")
    )
    kind = revision.asked(tree, "rev-parse", "--show-object-format").strip() or "sha1"
    _git(directory, "init", "--quiet", "--template=", f"--object-format={kind}")
    own = directory / ".git"
    (own / "objects" / "info").mkdir(exist_ok=True)
    (own / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    if Path(shallow).is_file():
        shutil.copy(shallow, own / "shallow")


def environment() -> dict[str, str]:
    """What git is started with: nothing of a repository that vexlab is started in, and words in English.

    Nor the mark of what a run starts: that is ended with the run, and the search goes on over many.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") and name != reaper.NAME}
    return own | {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}


def command(directory: Path, words: Sequence[str]) -> list[str]:
    """A command of git in our repository; hooks of the person are not run."""
    return ["git", *_QUIET, "-C", str(directory), *words]


def _git(directory: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            command(directory, words), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=SECONDS, check=False, env=environment(),
        )  # fmt: skip
    except OSError as problem:
        raise HostProblem("git can't be started", "sudo apt-get install git") from problem
    except subprocess.TimeoutExpired as problem:
        raise VexlabError(f"git {words[0]} did not end within {SECONDS:.0f} s") from problem
    if done.returncode:
        raise VexlabError(f"git {words[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout
