"""The index of the runs: a database that holds nothing but what is read from their directories, so that it may go.

It is built when it isn't there, is damaged or of another make, and brought up to date whenever it is asked: runs are
added, read again when their results are another file, and dropped with their directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import filelock

from vexlab import __version__
from vexlab.config import user_directories
from vexlab.errors import VexlabError
from vexlab.history.outcomes import FAILS, WORDS, outcomes, printable
from vexlab.history.past_runs import COLUMNS, PastRuns, facts
from vexlab.results import archive, results_file
from vexlab.results.archive import RESULTS
from vexlab.results.causes import first_line
from vexlab.results.model import Check

T = TypeVar("T")
SCHEMA = 3  # of the tables; a database of another one is built anew
SECONDS = 300.0  # that another command may take to build the index, before this one does without it
AT_ONCE = 50  # runs that are written in one go: what was read stays when a person ends the command
OLD_SECONDS = 90 * 86400.0  # after which an index that nothing was written to is removed
_TABLES = f"""
CREATE TABLE run (id INTEGER PRIMARY KEY, name TEXT UNIQUE, signature TEXT, unreadable TEXT, {", ".join(COLUMNS)});
CREATE TABLE name (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE outcome (
    run INTEGER, name INTEGER, verdict TEXT, seconds REAL, words TEXT, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX outcome_of_name ON outcome (name);
PRAGMA user_version = {SCHEMA};
"""


def ask(question: Callable[[PastRuns], T], notice: Callable[[int], None] = lambda _: None) -> T:
    """Answer a question by the index, which is up to date; it is asked again when a damage shows only meanwhile.

    `notice` is told how many runs are to be read first, when that takes a while.

    Where there can be no index, because the cache can't be written or another command holds it too long, one is made in
    memory for this question.
    """
    path = user_directories.index_file()
    for _ in range(2):
        try:
            connection = _opened(path, notice)
        except sqlite3.DatabaseError:
            _throw_away(path)
            continue
        except (OSError, filelock.Timeout):
            break
        with contextlib.closing(connection):
            try:
                return question(PastRuns(connection))
            except sqlite3.DatabaseError:
                _throw_away(path)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_TABLES)
        _update(connection, notice)
        return question(PastRuns(connection))


def _opened(path: Path, notice: Callable[[int], None]) -> sqlite3.Connection:
    """Open the index, up to date; one command at a time writes to it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(path):
        connection = _connect(path)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
                connection.close()
                _discard(path)
                connection = _connect(path)
                connection.executescript(_TABLES)
                _discard_old(path.parent)
            _update(connection, notice)
        except BaseException:
            connection.close()
            raise
    return connection


def _throw_away(path: Path) -> None:
    """Remove a damaged index, as far as that can be done; who has it open goes on with what is in it."""
    with contextlib.suppress(OSError, filelock.Timeout), _lock(path):
        _discard(path)


def _lock(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path.with_suffix(".lock"), timeout=SECONDS)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=SECONDS)


def _discard(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-journal")):
        each.unlink(missing_ok=True)


def _discard_old(directory: Path) -> None:
    """Remove indices that were not written to for long: those of state directories that are gone, in the main."""
    before = time.time() - OLD_SECONDS
    for path in directory.glob("*.sqlite"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                _discard(path)


def _update(connection: sqlite3.Connection, notice: Callable[[int], None]) -> None:
    """Make the index say what the directories of the runs say now."""
    known = dict(connection.execute("SELECT name, signature FROM run"))
    there = {printable(path.name): (path, _signature(path / RESULTS)) for path in archive.directories()}
    with _transaction(connection):
        _drop(connection, [name for name in known if name not in there])
    changed = [(path, mark) for name, (path, mark) in there.items() if not mark or known.get(name) != mark]
    if len(changed) > AT_ONCE:
        notice(len(changed))
    for start in range(0, len(changed), AT_ONCE):
        with _transaction(connection):
            for path, mark in changed[start : start + AT_ONCE]:
                _drop(connection, [printable(path.name)])
                _add(connection, path, mark)


def _signature(path: Path) -> str:
    """What tells that results are still those that were read, and read by this vexlab; empty when nothing does."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{__version__} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _drop(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    chosen = "(SELECT id FROM run WHERE name IN (SELECT value FROM json_each(?)))"
    connection.execute(f"DELETE FROM outcome WHERE run IN {chosen}", [json.dumps(names)])  # noqa: S608  two constants
    connection.execute("DELETE FROM run WHERE name IN (SELECT value FROM json_each(?))", [json.dumps(names)])


def _add(connection: sqlite3.Connection, path: Path, signature: str) -> None:
    """Read a run and write it down, or why it can't be read."""
    name = printable(path.name)
    try:
        run = results_file.read(path / RESULTS)
        values = facts(run, archive.lab_of(path), hashlib.sha256((path / RESULTS).read_bytes()).hexdigest())
    except (VexlabError, OSError) as problem:
        _insert(connection, "run", {"name": name, "signature": signature, "unreadable": printable(str(problem))})
        return
    number = _insert(connection, "run", {"name": name, "signature": signature, "unreadable": "", **values})
    found = outcomes(run)
    connection.executemany("INSERT OR IGNORE INTO name (name) VALUES (?)", ((check,) for check in found))
    connection.executemany(
        "INSERT INTO outcome SELECT ?, id, ?, ?, ? FROM name WHERE name = ?",
        ((number, check.verdict, check.seconds, _words(check), full) for full, check in found.items()),
    )


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, str]) -> int | None:
    """Put in a row; two directories whose names can only be told apart by what can't be printed are one run."""
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    query = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608  names of ours
    return connection.execute(query, list(row.values())).lastrowid


def _words(check: Check) -> str:
    """What is kept of what a check said: the first line, of one that failed."""
    return printable(first_line(check.message)[:WORDS]) if check.verdict in FAILS else ""
