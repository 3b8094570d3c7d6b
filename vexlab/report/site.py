"""A static site of all runs, for a CI service to publish: pages that link to each other and to nothing outside.

Whoever reads it meanwhile sees no half of a file, and no link to what isn't there yet: each file is replaced in one
step, what is linked to before what links to it, and what is gone goes last. What hasn't changed is not written again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from vexlab import __version__
from vexlab.config import atomic_file, user_directories
from vexlab.errors import HostProblem, UsageProblem, VexlabError, write_problem
from vexlab.history import check_history, comparison, index, matrices
from vexlab.history.past_runs import PastRun, PastRuns
from vexlab.report import history_pages, matrix, matrix_comparison, page
from vexlab.results import archive, results_file
from vexlab.results.matrix import MatrixRecord

MARK = "site.json"  # tells that a directory is a site, and of what its pages were made
LARGEST = 16 << 20  # bytes of a file that is published whole
END = 256 << 10  # bytes of a larger log that are
TEXTS = (".log", ".txt", ".md", ".xml")
COMPARED = 200  # the newest runs have a page of what is new in them
OF_CHECKS = 100  # runs that the page of all checks looks at
NO_END = "this run did not come to its end, or has not yet; what is said here is not final"


def write(directory: Path, doubts: Mapping[str, str], words: Mapping[str, str]) -> tuple[int, int]:
    """Write the site of all runs, or bring it up to date; returns how many runs it has and how many were written anew.

    `doubts` has the runs whose results were edited, with what is wrong; `words` what is said of a run that did not end.
    Raises UsageProblem for a directory that holds something else, HostProblem when another command writes it.
    """
    _take(directory)
    lock = filelock.FileLock(directory / ".lock", timeout=0)
    try:
        with lock:
            return index.ask(lambda past: _write(directory, past, doubts, words))
    except filelock.Timeout:
        raise HostProblem(f"another command writes {directory} now", "wait until it has ended") from None
    except OSError as problem:
        raise write_problem(Path(problem.filename or directory), problem) from problem


def _take(directory: Path) -> None:
    """Make the directory, unless it is a site already; what was not made by vexlab is not touched."""
    if directory.exists() and not directory.is_dir():
        raise UsageProblem(f"{directory} is not a directory", "name a new one")
    found = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    if MARK not in found and set(found) - {".lock"}:
        raise UsageProblem(f"{directory} holds {found[0]}, and is no site of runs", "name a new directory, or empty it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if MARK not in found:
            atomic_file.replace_file(directory / MARK, "{}\n")
    except OSError as problem:
        raise write_problem(directory, problem) from problem


def _write(directory: Path, past: PastRuns, doubts: Mapping[str, str], words: Mapping[str, str]) -> tuple[int, int]:
    """Write every page, the first one last."""
    runs, known = past.runs(), _made_of(directory)
    made, own = {run.name: _key(run) for run in runs}, directory / "runs"
    changed = [run for run in runs if known.get(run.name) != made[run.name] or not (own / run.name).is_dir()]
    for run in changed:
        _publish_run(own / run.name, run)
    pages = {run.name: f"runs/{run.name}/{page.PAGE}" for run in runs if (own / run.name / page.PAGE).is_file()}
    comparisons = _Comparisons(past, doubts, {name: f"../{link}" for name, link in pages.items()})
    compared = comparisons.write(directory / "compare", runs[-COMPARED:], {run.name for run in changed})
    told = [f"run {name} is not as it was when it ended: {why}" for name, why in doubts.items()]
    told += [f"run {one.name} can't be read: {one.why}" for one in past.unreadable()]
    text = history_pages.of_runs(
        runs[::-1], words, pages=pages, compared=compared, doubts=told,
        checks_page=_write_checks(directory, runs, past), matrices=_write_matrices(directory / "matrices", pages),
    )  # fmt: skip
    atomic_file.replace_file(directory / "index.html", text)
    _remove_others(own, set(made))
    _remove_others(directory / "compare", {f"{name}.html" for name in compared})
    atomic_file.replace_file(directory / MARK, json.dumps(made, indent=1) + "\n")
    return len(runs), len(changed)


def _made_of(directory: Path) -> dict[str, str]:
    """What the pages of each run were made of; nothing where that can't be read, so that all are made anew."""
    try:
        found = json.loads((directory / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(run: PastRun) -> str:
    """What tells that the page of a run is still right: its results, the page that it left, and this vexlab."""
    mark = ""
    with contextlib.suppress(OSError):
        mark = str((user_directories.runs_directory() / run.name / page.PAGE).stat().st_mtime_ns)
    return " ".join((__version__, run.sha256, mark))


def _publish_run(to: Path, run: PastRun) -> None:
    """Copy the page of a run with the logs that it names; a run that left none gets one of what is known of it."""
    source = user_directories.runs_directory() / run.name
    try:
        found = results_file.read(source / archive.RESULTS)
    except VexlabError:  # it is gone by now
        return
    to.mkdir(parents=True, exist_ok=True)
    for name in found.evidence.values():
        _copy(source, to, name)
    if (source / page.PAGE).is_file():
        _copy(source, to, page.PAGE)
    else:
        around = page.Around(doubts=() if found.finished else (NO_END,))
        atomic_file.replace_file(to / page.PAGE, page.render(found, source, around))


def _copy(source: Path, to: Path, name: str) -> None:
    """Copy a file of a run in one step; in the place of a large one goes a text that says so, with a log's end.

    What leads out of the run's directory is not copied, and nothing links to it.
    """
    path = archive.file_of(source, name)
    if path is None:
        return
    target = to / path.relative_to(source.resolve())
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.stat().st_size > LARGEST:
            temporary.write_bytes(_instead_of(path, f"{source.name}/{name}"))
        else:
            shutil.copyfile(path, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _instead_of(path: Path, name: str) -> bytes:
    """What is published of a large file: why it isn't there, where it is, and how a log ends."""
    size = path.stat().st_size
    told = f"[{name} has {size >> 20} MiB, and this site has no file above {LARGEST >> 20} MiB: see the run itself]\n"
    if path.suffix not in TEXTS:
        return told.encode()
    with path.open("rb") as stream:
        stream.seek(max(0, size - END))
        end = stream.read(END).partition(b"\n")[2]
    return f"{told}[its end:]\n".encode() + end


@dataclass(frozen=True)
class _Comparisons:
    """The pages of what is new in a run; `links` are to the pages of runs, from one of these."""

    past: PastRuns
    doubts: Mapping[str, str]
    links: Mapping[str, str]

    def write(self, directory: Path, runs: Sequence[PastRun], changed: set[str]) -> dict[str, str]:
        """Write that of each run against the one before it in its lab, as far as one changed; returns the links."""
        directory.mkdir(exist_ok=True)
        found = {}
        for old, new in _pairs(runs):
            path = directory / f"{new.name}.html"
            if not path.is_file() or {old.name, new.name} & changed:
                try:
                    text = self._page(old, new)
                except VexlabError:  # they have nothing in common, or one is gone by now
                    continue
                atomic_file.replace_file(path, text)
            found[new.name] = f"{directory.name}/{path.name}"
        return found

    def _page(self, old: PastRun, new: PastRun) -> str:
        doubts = [f"run {run.name}: {self.doubts[run.name]}" for run in (old, new) if run.name in self.doubts]
        found = comparison.compare(old, new, self.past, leave_out=self.doubts)
        return history_pages.of_comparison(found, self.links, doubts)


def _pairs(runs: Sequence[PastRun]) -> Iterator[tuple[PastRun, PastRun]]:
    """Yield each run that ended with the one before it in its lab."""
    last: dict[str, PastRun] = {}
    for run in runs:
        if run.finished:
            if run.lab in last:
                yield last[run.lab], run
            last[run.lab] = run


def _write_checks(directory: Path, runs: Sequence[PastRun], past: PastRuns) -> str:
    """Write the page of all checks over the newest runs; returns the link to it, empty when there are none."""
    newest = {run.name: run for run in runs[-OF_CHECKS:]}
    found = check_history.of_names(["*/*"], list(newest.values()), past) if newest else []
    if not found:
        return ""
    text = history_pages.of_checks(found, newest, runs_page="index.html")
    atomic_file.replace_file(directory / "checks.html", text)
    return "checks.html"


def _write_matrices(directory: Path, pages: Mapping[str, str]) -> list[tuple[str, str]]:
    """Write the page of each matrix that ended; returns link and summary of each, the newest first."""
    known = matrices.ended()
    directory.mkdir(exist_ok=True)
    links, last = list[tuple[str, str]](), dict[str, MatrixRecord]()
    for record in known:
        before = last.get(record.tier)
        new = None
        with contextlib.suppress(UsageProblem):  # they have no cell in common
            new = matrices.compare(before, record) if before else None
        back = ["../index.html", *([f"{before.name}.html"] if before and new else [])]
        runs = {name: f"../{link}" for name, link in pages.items()}
        text = matrix_comparison.page_of(record, runs, new, back)
        path = directory / f"{record.name}.html"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_file.replace_file(path, text)
        links.append((f"{directory.name}/{path.name}", f"{record.name}: {matrix.summary(record)}"))
        last[record.tier] = record
    _remove_others(directory, {f"{record.name}.html" for record in known})
    return links[::-1]


def _remove_others(directory: Path, kept: set[str]) -> None:
    """Remove what nothing links to any more."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
