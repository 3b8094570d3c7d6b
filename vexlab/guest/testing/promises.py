"""What came of several steps beside what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = object()  # what came, or was promised, of a step that only the other side has


def broken(seen: Mapping[str, Any], promised: Mapping[str, Any]) -> str:
    """The steps that came to something else than was promised, in words; nothing when all are right.

    A step is named by what was done. Of several allowed answers the promise is a tuple, as `("done", "EINVAL")`.
    """
    wrong = []
    for step in [*promised, *(step for step in seen if step not in promised)]:
        allowed = promised.get(step, NOTHING)
        alternatives = allowed if isinstance(allowed, tuple) else (allowed,)
        came = seen.get(step, NOTHING)
        if came not in alternatives:
            wrong.append(f"{step}: expected {' or '.join(map(shown, alternatives))}, came {shown(came)}")
    return "; ".join(wrong)


def shown(value: Any) -> str:
    """A value in words: `done` and the names of errors as they are, texts in quotes, lists by their parts."""
    if value is NOTHING:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if value == "done" or value.isupper() else f"'{value}'"
    if isinstance(value, list):
        parts = [f"({shown(part)})" if isinstance(part, list) else shown(part) for part in value]
        return ", ".join(parts) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(part)}" for name, part in value.items()) or "none"
    return str(value)
