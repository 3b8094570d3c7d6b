"""Writes the manual pages in docs/man from the help of the commands; tests/unit/test_help.py demands that they fit."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from click_man.core import write_man_pages

sys.path.insert(0, str(Path(__file__).parents[1]))

from vexlab.cli.main import cli

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "man"


def write(directory: Path) -> None:
    """Write a page for each command into a directory; its date is no part of it, so that only words change it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    how = {"version": version, "target_dir": str(directory), "date": f"vexlab {version}"}
    write_man_pages("vexlab", cli, **how)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for page in PAGES.glob("*.1"):
        page.unlink()
    write(PAGES)
