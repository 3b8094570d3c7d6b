"""What came of several steps beside what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def broken(seen: Mapping[str, Any], promised: Mapping[str, Any]) -> str:
    """The steps that came to something else than was promised, in words; nothing when all are right.

    A step is named by what was done. Of several allowed answers the promise is a tuple, as `("done", "EINVAL")`.
    """
    wrong = []
    for step in [*promised, *(step for step in seen if step not in promised)]:
        allowed = promised.get(step, "nothing")
        alternatives = allowed if isinstance(allowed, tuple) else (allowed,)
        came = seen.get(step, "nothing")
        if came not in alternatives:
            wrong.append(f"{step}: expected {' or '.join(map(shown, alternatives))}, came {shown(came)}")
    return "; ".join(wrong)


def shown(value: Any) -> str:
    """A value in words: `done` and the names of errors as they are, texts in quotes, lists by their parts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if value == "done" or value.isupper() else f"'{value}'"
    if isinstance(value, list):
        return f"({', '.join(map(shown, value))})"
    return str(value)
