"""What people sign for a module: that which no run can show, by name, with a date, bound to the module's sha256."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from vexlab.config import user_directories
from vexlab.errors import UsageProblem
from vexlab.gate import hash_chain, run_criteria


def directory(sha256: str) -> Path:
    """Where what is known of a module's readiness is kept."""
    return user_directories.state_directory() / "readiness" / sha256


def file_of(sha256: str) -> Path:
    """The chain of what was signed for a module."""
    return directory(sha256) / "statements.jsonl"


def about_run(run: str) -> str:
    """What a statement is about that says that the module is not to blame for what went wrong in a run."""
    return f"run {run}"


def excuse(sha256: str, run: str, operator: str, note: str, now: datetime) -> None:
    """Record that a named person says of a run of this module that the module is not to blame, and why."""
    _append(sha256, about_run(run), operator, note, now)


def sign(sha256: str, key: str, operator: str, note: str, now: datetime) -> None:
    """Record that a named person vouches for something; raises UsageProblem for what evidence has to show."""
    hint = f"what people sign for: {', '.join(run_criteria.PROTOCOL)}"
    if key not in run_criteria.PROTOCOL:
        computed = key in ("evidence", *run_criteria.MUST_PASS) or key.startswith(("phase-", "claims-"))
        why = f"{key} is computed from evidence and can't be signed" if computed else f"unknown criterion {key!r}"
        raise UsageProblem(why, hint)
    _append(sha256, key, operator, note, now)


def _append(sha256: str, about: str, operator: str, note: str, now: datetime) -> None:
    """Add a statement to what was signed for a module; raises UsageProblem without a name or a reason."""
    for what, words in (("--operator", operator), ("--note", note)):
        if not words.strip():
            raise UsageProblem(f"{what} is empty", "a statement needs a person's name, and what was done")
    record = {"criterion": about, "module": sha256, "operator": operator.strip(), "note": note.strip()}
    hash_chain.append(file_of(sha256), record | {"made": now.isoformat(timespec="seconds")})
