"""The words of a command on a host, which tells its last ones again and again: each line is passed on once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Lines:
    """Passes on the lines that were not passed on yet; `own_words` puts paths of here in the place of those there."""

    def __init__(self, tell: Callable[[str], None], own_words: Mapping[str, str]) -> None:
        """Nothing is told yet."""
        self._tell = tell
        self._own_words = own_words
        self._told = 0

    def take(self, result: Mapping[str, Any]) -> None:
        """Take what module `leased` tells of a command. A line without an end is told when the command has ended."""
        *lines, rest = str(result["said"]).split("\n")
        left_out = int(result["left_out"])
        if left_out > self._told:
            self._tell(f"… {left_out - self._told} lines are left out here …")
            self._told = left_out
        for line in lines[self._told - left_out :]:
            self._tell(self.with_own_words(line))
        self._told = max(self._told, left_out + len(lines))
        if rest and not result["running"]:
            self._tell(self.with_own_words(rest))

    def with_own_words(self, text: str) -> str:
        """The text with the paths of here; of two that begin alike, the longer one is meant."""
        for there in sorted(self._own_words, key=len, reverse=True):
            text = text.replace(there, self._own_words[there])
        return text
