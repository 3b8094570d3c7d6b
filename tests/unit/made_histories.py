"""Histories of a module with a known answer, as the tests of bisect want them: real repositories, and no kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from vexlab.bisect.commits import Commits
from vexlab.bisect.judging import Observation, Sight

COMMITS = 16
DATE = "2026-11-01T12:00:00+00:00"


def git(tree: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"), ("DATE", DATE))}  # fmt: skip
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(tree), *words], env=own | who, capture_output=True, text=True, check=True
    )  # fmt: skip
    return done.stdout.strip()


def history(tree: Path, commits: int = COMMITS, below: str = "") -> list[str]:
    """A repository with so many commits, the first of which is number 1; returns their hashes, that of none at 0.

    Each writes its number into a file of the source.
    """
    source = tree / below
    source.mkdir(parents=True, exist_ok=True)
    git(tree, "init", "--quiet", "--initial-branch=main")
    hashes = [""]
    for number in range(1, commits + 1):
        (source / "number").write_text(f"{number}\n")
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", f"commit {number}")
        hashes.append(git(tree, "rev-parse", "HEAD"))
    return hashes


class Module:
    """A module of that history: which commit breaks it, and what else comes in the way.

    `unbuilt` don't build, `crashes` die of something else; `rate` is how the check fails once it is broken, as the
    answers that it gives in turn. `lost` says at which commits the guest gets lost, and how often.
    """

    def __init__(
        self, breaks: int, *, unbuilt: tuple[int, ...] = (), crashes: tuple[int, ...] = (),
        rate: Callable[[], bool] = lambda: True, lost: Mapping[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.breaks = breaks
        self.unbuilt = unbuilt
        self.crashes = crashes
        self.rate = rate
        self.lost = dict(lost or {})
        self.looked_at: list[int] = []

    def observe(self, commits: Commits) -> Observation:
        """What a run shows at the commit that is checked out."""
        number = int((commits.source / "number").read_text())
        self.looked_at.append(number)
        if self.lost.get(number, 0):
            self.lost[number] -= 1
            return Observation(Sight.LOST, "the guest is gone")
        if number in self.unbuilt:
            return Observation(Sight.OTHER, "stage build failed: make: Error 2")
        if number in self.crashes:
            return Observation(Sight.OTHER, "stage load panicked: BUG: of something else")
        return Observation(self.seen(number))

    def seen(self, number: int) -> Sight:
        """What the check comes to where it is reached."""
        return Sight.PRESENT if number >= self.breaks and self.rate() else Sight.ABSENT
