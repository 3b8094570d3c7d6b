"""What must not leave this machine: directories of the person, keys, tokens, what the environment holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from vexlab.config import user_directories

# What a secret looks like, after a literal that is looked for first: in what has none of them, nothing else is tried.
_PRIVATE_KEY = (
    (b"PRIVATE KEY", re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    (b"PuTTY-User-Key-File-", re.compile(rb"PuTTY-User-Key-File-\d")),
    (b"AGE-SECRET-KEY-1", re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{20}")),
)
_TOKEN = (
    *((b"gh%c_" % letter, re.compile(rb"\bgh%c_[A-Za-z0-9]{36}" % letter)) for letter in b"oprsu"),
    (b"github_pat_", re.compile(rb"\bgithub_pat_[A-Za-z0-9_]{22,}")),
    (b"glpat-", re.compile(rb"\bglpat-[A-Za-z0-9_-]{20,}")),
    (b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b")),
    (b"xox", re.compile(rb"\bxox[abeprs]-[A-Za-z0-9-]{10,}")),
    (b"AIza", re.compile(rb"\bAIza[A-Za-z0-9_-]{35}")),
    (b"npm_", re.compile(rb"\bnpm_[A-Za-z0-9]{36}")),
    (b"pypi-AgEI", re.compile(rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}")),
    (b"hf_", re.compile(rb"\bhf_[A-Za-z0-9]{30,}")),
    (b"sk-", re.compile(rb"\bsk-[A-Za-z0-9_-]{32,}")),
    (b"eyJ", re.compile(rb"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.")),
    (b"uthorization", re.compile(rb"[Aa]uthorization:\s*(?:[Bb]asic|[Bb]earer)\s+[A-Za-z0-9+/=._-]{16,}")),
    (b"://", re.compile(rb"://[^\s/:@]{1,200}:[^\s/:@]{1,200}@")),
)
_SECRET_NAME = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)
_LEAST = 8  # characters of a value of the environment that can be told from any other word


class Guard:
    """Looks for what is private by this machine's directories and this process's environment."""

    def __init__(self, environment: Mapping[str, str], places: Mapping[str, str]) -> None:
        """Know what to look for. `places` are directories beside the usual ones, with the words for them."""
        usual = {
            str(Path.home()): "~",
            str(user_directories.state_directory()): "~/.local/state/vexlab",
            str(user_directories.cache_directory()): "~/.cache/vexlab/images",
        }
        self._places = {os.path.normpath(place): word for place, word in (usual | dict(places)).items() if place}
        self._places = {place: word for place, word in self._places.items() if place != "/"}
        # The longest first: one may be in another.
        ordered = sorted(self._places, key=len, reverse=True)
        ends = r"(?![\w.-])"  # /home/ann is no part of /home/anna
        self._found = re.compile("|".join(rf"(?<![\w.~-]){re.escape(place)}{ends}" for place in ordered).encode())
        self._values = {
            name: value.encode(errors="surrogateescape")
            for name, value in environment.items()
            if _SECRET_NAME.search(name) and len(value) >= _LEAST and not Path(value).is_absolute()
        }

    def without_places(self, content: bytes) -> bytes:
        """The content with words in the place of this machine's directories."""
        return self._found.sub(lambda found: self._places[found[0].decode()].encode(), content)

    def secret_in(self, content: bytes) -> str:
        """What kind of secret the content holds, as `a private key`; empty when none was found."""
        for what, looks in (("a private key", _PRIVATE_KEY), ("a token or a password", _TOKEN)):
            if any(literal in content and pattern.search(content) for literal, pattern in looks):
                return what
        held = next((name for name, value in self._values.items() if value in content), "")
        return f"the value of {held} in the environment" if held else ""


def is_text(content: bytes) -> bool:
    """Whether a person could read it: places are replaced in text alone."""
    return b"\0" not in content[: 1 << 16]
