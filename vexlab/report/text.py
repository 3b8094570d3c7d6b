"""Text from a guest, made fit to be shown."""

from __future__ import annotations

import re

from vexlab.results.model import Verdict

# Colours of a terminal, and what neither XML nor a reader can take: control characters, halves of characters.
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")

_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_QUIET = (Verdict.PASSED, Verdict.SKIPPED, Verdict.XFAILED, Verdict.NOT_RUN)


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _COLOUR.sub("", text.replace("\r\n", "\n")))


_COMPILER = re.compile(r"([^\s:][^:]*):(\d+):(?:\d+:)? (?:fatal )?error: ")


def place_of(check_place: str, reason: str) -> tuple[str, int] | None:
    """Return file and line to look at: where a compiler found an error, else where the check is; None without any."""
    found = _COMPILER.match(reason) or re.fullmatch(r"(.+):(\d+)", check_place)
    return (found[1], int(found[2])) if found else None
