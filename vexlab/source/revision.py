"""Which commit of git a source tree is at, and how two commits differ. Git only reads, and nothing of the tree is run.

All of it is told as far as git can tell it: without git, outside of a repository, or in one that git refuses to read
because it is another user's, nothing is known, and that is no fault.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECONDS = 20.0  # of git, for a tree of any size
# A repository may name programs that git starts: a monitor of the file system, hooks, what shows a difference.
_ONLY_READS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-pager")
_SHOWN = 40  # lines of a difference


@dataclass(frozen=True)
class Revision:
    """Where a tree is: its commit, its branch (empty without one), how many files differ from the commit or are new."""

    commit: str
    branch: str
    edited: int


def of(tree: Path) -> Revision | None:
    """What git tells of a tree, which may be a part of a repository; None when it tells nothing."""
    commit = _git(tree, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    edited = _git(tree, "status", "--porcelain", "--ignore-submodules=dirty", "--untracked-files=all", "--", ".")
    if not commit or edited is None:
        return None
    branch = _git(tree, "symbolic-ref", "--quiet", "--short", "HEAD") or ""
    return Revision(commit.strip(), branch.strip(), len(edited.splitlines()))


def commit_of(tree: Path, name: str) -> str:
    """The commit that a name of a branch, a tag or a commit means in the repository of a tree; empty if none."""
    return (_git(tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") or "").strip()


def difference(tree: Path, old: str, new: str) -> list[str]:
    """The files below a tree that differ between two commits, a line each as `git diff --stat` has them."""
    how = ("--stat=100", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options")
    lines = (_git(tree, "diff", *how, old, new, "--", ".") or "").splitlines()
    return lines if len(lines) <= _SHOWN else [*lines[: _SHOWN - 2], " …", lines[-1]]


def patch(tree: Path) -> bytes:
    """How a tree differs from its commit, as `git apply` takes it; empty when it does not, or git tells nothing."""
    how = ("--binary", "--relative", "--no-color", "--no-ext-diff", "--no-textconv")
    return _output(tree, "diff", *how, "HEAD", "--", ".") or b""


def asked(tree: Path, *words: str) -> str:
    """What git answers to a question about a tree; empty when it tells nothing."""
    return _git(tree, *words) or ""


def _git(tree: Path, *words: str) -> str | None:
    """What git prints, as text; None as `_output` has it."""
    printed = _output(tree, *words)
    return None if printed is None else printed.decode(errors="replace")


def _output(tree: Path, *words: str) -> bytes | None:
    """What git prints; None when it isn't there, fails, or takes too long. It writes nothing and asks nobody."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # of a hook we run in
    own |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *_ONLY_READS, "-C", str(tree), *words], capture_output=True, check=False, timeout=SECONDS,
            stdin=subprocess.DEVNULL, env=own,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired, ValueError):  # the last of a name that holds a zero byte
        return None
    return done.stdout if done.returncode == 0 else None
