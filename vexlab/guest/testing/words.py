"""Things in a form for messages: what people read, and nothing of Python's own notation."""

from __future__ import annotations

from collections.abc import Collection, Iterable

MOST = 5  # names that a message has of a list
LONGEST = 60  # characters of a text


def quoted(value: object) -> str:
    """A text between quotation marks, on one line; of a long one its beginning and how long it is."""
    text = str(value)
    line = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:LONGEST])
    return f'"{line}"' if len(text) <= LONGEST else f'"{line}…" ({len(text)} characters)'


def duration(nanoseconds: int) -> str:
    """A time that passed, as people say it: from a second on with three digits behind the point."""
    return f"{nanoseconds} ns" if abs(nanoseconds) < 10**9 else f"{nanoseconds / 10**9:.3f} s"


def listed(names: Iterable[object]) -> str:
    """Names in a row, the first few of many; `none` of none."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return ", ".join(texts[:MOST]) + more or "none"


def difference(found: Collection[str], wanted: Collection[str]) -> str:
    """What a list lacks, what it has too many, and what it has twice, in words; empty where it is right."""
    twice = {name for name in found if list(found).count(name) > 1} if len(set(found)) != len(found) else set()
    parts = {"missing": set(wanted) - set(found), "too many": set(found) - set(wanted), "twice": twice}
    return "; ".join(f"{what}: {listed(sorted(names))}" for what, names in parts.items() if names)


def first_line_that_differs(found: Collection[str], wanted: Collection[str]) -> str:
    """Of two lists of lines the first that isn't the same, in words; empty where all are."""
    for one, other in zip(found, wanted, strict=False):
        if one != other:
            return f"{quoted(other)} became {quoted(one)}"
    return f"{len(found)} lines, there were {len(wanted)}" if len(found) != len(wanted) else ""
