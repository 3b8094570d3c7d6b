"""The runs that are kept: which there are, and what can be read of them. One that can't be read hides no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vexlab.config import user_directories
from vexlab.errors import UsageProblem, VexlabError
from vexlab.results.model import Run
from vexlab.results.results_file import read

RESULTS = "results.json"
SHOWN = 5  # runs that are named to somebody who named more than one


@dataclass(frozen=True)
class Unreadable:
    """A run whose results can't be read, and why not, as a part of a sentence."""

    name: str
    why: str


def directories(lab: str | None = None) -> list[Path]:
    """Directories of runs that have results, readable or not, the oldest first; of one lab or of all."""
    base = user_directories.runs_directory()
    found = sorted(path for path in base.iterdir() if path.is_dir()) if base.is_dir() else []
    return [path for path in found if _has_results(path) and (lab is None or lab_of(path) == lab)]


def read_all(paths: Iterable[Path]) -> tuple[list[Run], list[Unreadable]]:
    """The results in these directories, in their order, and the runs of which they can't be read."""
    runs: list[Run] = []
    unreadable: list[Unreadable] = []
    for path in paths:
        try:
            runs.append(read(path / RESULTS))
        except VexlabError as problem:
            unreadable.append(Unreadable(path.name, problem.message))
    return runs, unreadable


def last(lab: str | None = None) -> tuple[Run | None, list[Unreadable]]:
    """The newest run that can be read, of one lab or of all, and the newer ones that can't."""
    unreadable: list[Unreadable] = []
    for path in reversed(directories(lab)):
        runs, failed = read_all([path])
        if runs:
            return runs[0], unreadable
        unreadable += failed
    return None, unreadable


def find(name: str | None, lab: str | None = None) -> Path:
    """Directory of a run by its name or how that begins, or of the last one, readable or not.

    Raises UsageProblem when there is none, or when more than one begins like that.
    """
    if name is not None:
        return user_directories.runs_directory() / meant(name, [path.name for path in directories()])
    found = directories(lab)
    if not found:
        raise no_run(lab)
    return found[-1]


def find_any(name: str) -> Path:
    """Directory of a run by its name or how that begins, even of one that was cut off before it had results.

    Raises UsageProblem when there is none, or when more than one begins like that.
    """
    base = user_directories.runs_directory()
    return base / meant(name, sorted(path.name for path in base.iterdir() if path.is_dir()) if base.is_dir() else [])


def file_of(directory: Path, name: str) -> Path | None:
    """A file of a run by its path, which is relative to the run's directory; None where there is none in there.

    Results may say anything, and so may a link that somebody put there.
    """
    try:
        base = directory.resolve()
        found = (base / name).resolve()
        is_one = not Path(name).is_absolute() and found.is_relative_to(base) and found.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, links in a circle
        return None
    return found if is_one else None


def meant(beginning: str, names: Sequence[str]) -> str:
    """Return the one of these names of runs, the oldest first, that is this one or begins like that.

    Raises UsageProblem when there is none, or when more than one begins like that.
    """
    found = [name for name in names if name == beginning] or [name for name in names if name.startswith(beginning)]
    if not beginning or not found:
        raise UsageProblem(f"there is no run {beginning!r}", "vexlab runs lists them")
    if len(found) > 1:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UsageProblem(f"{len(found)} runs begin with {beginning!r}", f"{', '.join(found[-SHOWN:])}{more}")
    return found[0]


def no_run(lab: str | None) -> UsageProblem:
    """What is to be said when there is no run, of one lab or at all."""
    return UsageProblem(f"there is no run{f' of lab {lab}' if lab else ''} yet", "vexlab up, or vexlab test")


def _has_results(path: Path) -> bool:
    """Whether a directory is that of a run; what can't be looked into counts as one, so that it is named."""
    try:
        return (path / RESULTS).exists() or (path / RESULTS).is_symlink()
    except PermissionError:
        return True


def lab_of(path: Path) -> str:
    """The lab that a run was of; empty when nothing tells."""
    try:
        return (path / "lab").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
