"""The settings of a source tree: `vexlab.toml`, or `[tool.vexlab]` of its `pyproject.toml`; read, and not judged."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vexlab.config import place
from vexlab.config.place import Finding
from vexlab.errors import UsageProblem

OWN, PYPROJECT, TABLE = "vexlab.toml", "pyproject.toml", ("tool", "vexlab")
HINT = "docs/commands.md lists the settings; they have the names of the options"


@dataclass(frozen=True)
class SettingsFile:
    """A settings file: its text, and each setting as it was written, by its name."""

    path: Path
    text: str = field(repr=False)
    values: dict[str, Any]

    def finding(self, name: str, words: str) -> Finding:
        """Something that is wrong with a setting, with its place."""
        return Finding(words, *self.place(name))

    def place(self, name: str) -> tuple[int, int]:
        """Line and column of a setting's name; zeros where the file writes it in a way that isn't looked for."""
        inside = self.path.name == OWN
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[([^\]]*)\]", line):
                inside = header[1].replace(" ", "").replace('"', "") == ".".join(TABLE)
            elif inside and (found := re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line)):
                return number, len(found[0]) - len(found[0].lstrip()) + 1
        return 0, 0


def find(directory: Path) -> SettingsFile | None:
    """The settings that hold in a directory: of it, or of the nearest above it; None when there are none.

    It isn't looked above the root of a git tree, above the home directory, or in what belongs to somebody else.
    """
    for here in (directory, *directory.parents):
        for name in (OWN, PYPROJECT):
            found = _read(here / name) if (here / name).is_file() else None
            if found is not None:
                return found
        if (here / ".git").exists() or here == Path.home() or here.stat().st_uid not in (0, os.geteuid()):
            return None
    return None


def _read(path: Path) -> SettingsFile | None:
    """The settings in a file; None for a pyproject.toml that has none. Raises UsageProblem with the place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageProblem(f"{path} can't be read: {said}", HINT) from None
    if path.name == PYPROJECT and ".".join(TABLE) not in text:
        return None  # whatever is wrong with it is somebody else's affair
    if path.stat().st_uid not in (0, os.geteuid()):
        raise UsageProblem(f"{path} belongs to another user, and says what is run here", "make it yours, or remove it")
    try:
        values: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, where = str(error).partition(" (at ")
        numbers = [int(number) for number in re.findall(r"\d+", where)] or [len(text.splitlines()), 1]
        raise place.problem(path, text, [Finding(f"not TOML: {said}", *numbers[:2])], HINT) from None
    for part in TABLE if path.name == PYPROJECT else ():
        values = values.get(part, {}) if isinstance(values, dict) else {}
    return SettingsFile(path, text, values) if isinstance(values, dict) else None
