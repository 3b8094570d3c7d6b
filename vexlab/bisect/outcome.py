"""What a search came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from vexlab.bisect import repeats
from vexlab.bisect.commits import Commit
from vexlab.bisect.judging import Judgement
from vexlab.bisect.repeats import Rate
from vexlab.bisect.search import Answer, Found
from vexlab.bundle.manifest import Failure


@dataclass(frozen=True)
class Judged:
    """A commit and what was said of it."""

    commit: Commit
    judgement: Judgement

    @property
    def line(self) -> str:
        """It in a line, such as `1a2b3c4d5e6f Rename inodes: good, passed 7 times`."""
        judgement = self.judgement
        how = {
            Answer.GOOD: f"good, passed{f' {judgement.passed} times' if judgement.passed > 1 else ''}",
            Answer.BAD: f"bad{f', after it passed {judgement.passed} times' if judgement.passed else ''}",
            Answer.SKIP: f"says nothing, {judgement.last.why}",
        }[judgement.answer]
        return f"{self.commit}: {how}{f' (run {judgement.last.run})' if judgement.last.run else ''}"


@dataclass(frozen=True)
class Outcome:
    """What was looked for and found, how often it was seen to fail, and all that was judged on the way.

    `commits` has the one that is found, or those that may be it; `candidates` are all that could have been, the newest
    first.
    """

    failure: Failure
    found: Found
    commits: tuple[Commit, ...]
    rate: Rate
    judged: tuple[Judged, ...]
    candidates: tuple[str, ...]

    @property
    def needed(self) -> list[int]:
        """For each commit before the one that is found: how often it passed by chance, if that were the first bad one.

        Commits from it on that are taken for good would be bad.
        """
        passed = {
            each.commit.hash: each.judgement.passed for each in self.judged if each.judgement.answer is Answer.GOOD
        }
        before = self.candidates[self.candidates.index(self.found.commits[-1]) + 1 :]
        sums = accumulate(passed.get(commit, 0) for commit in before)
        return [count for count in sums if count]

    @property
    def seen(self) -> Rate:
        """The rate with what was seen on the way at commits that are bad."""
        bad = [each.judgement for each in self.judged if each.judgement.answer is Answer.BAD]
        return self.rate.and_also(len(bad), sum(each.passed + 1 for each in bad))

    @property
    def doubt(self) -> str:
        """The chance of a wrong answer, as a sentence."""
        rate = self.seen
        likely, most = (repeats.chance_of_error(each, self.needed) for each in (rate.likely, rate.least))
        how = f"{self.failure.name} failed in {rate.failed} of {rate.judged} runs where the failure is"
        told = "there is none if it always does" if rate.is_steady else f"{_percent(likely)} at that rate"
        least = f"{_percent(most)} at {rate.least:.0%}, the lowest rate that fits with it (95 %)"
        return f"{how}. Chance of a wrong answer: {told}, {least}"

    def document(self, changes: Sequence[str], bundle: str | None) -> dict[str, Any]:
        """All of it, as `--json` prints it."""
        rate = self.seen
        return {
            "found": self.found.is_certain,
            "commits": [_told(commit) for commit in self.commits],
            "changes": list(changes),
            "check": self.failure.name,
            "verdict": self.failure.verdict,
            "words": self.failure.words,
            "failed": rate.failed,
            "runs": rate.judged,
            "chance_of_error": round(repeats.chance_of_error(rate.likely, self.needed), 4),
            "chance_of_error_at_most": round(repeats.chance_of_error(rate.least, self.needed), 4),
            "judged": [
                {
                    **_told(each.commit), "answer": each.judgement.answer.name.lower(),
                    "passed": each.judgement.passed, "why": each.judgement.last.why, "run": each.judgement.last.run,
                }
                for each in self.judged
            ],
            "bundle": bundle,
        }  # fmt: skip


def _percent(chance: float) -> str:
    return "below 0.1 %" if 0 < chance < 0.001 else f"{100 * chance:.1f} %"


def _told(commit: Commit) -> dict[str, str]:
    return {"commit": commit.hash, "author": commit.author, "date": commit.date, "subject": commit.subject}
