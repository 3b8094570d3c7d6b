"""Every document: what it links to is there, its lines fit a screen, and nothing in it is left to be filled in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 100  # columns of a line
KNOWN = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True,
    check=True,
).stdout.split()  # fmt: skip
DOCUMENTS = sorted(ROOT / name for name in KNOWN if (ROOT / name).is_file())
# What stands for something that was never put in.
PLACEHOLDER = re.compile(r"<(?:this|your|the) [\w ]+>|\b(?:TODO|FIXME|TBD|XXX)\b|lorem ipsum", re.IGNORECASE)


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that a person reads as text, with their numbers; no code, no table."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith("|") and not line.startswith("    "):
            yield number, line


def anchors(text: str) -> set[str]:
    """What a link can name of a document: its headings, as GitHub writes them."""
    titles = [line.lstrip("# ") for _, line in prose(text) if line.startswith("#")]
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            wrong.append(f"{target}: no such file")
        elif anchor and anchor not in anchors(other.read_text(encoding="utf-8")):
            wrong.append(f"{target}: no such heading")
    assert not wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_lines_fit_a_screen(path: Path) -> None:
    """A table and an address may be longer, and so may what a command prints."""

    def can_be_broken(line: str) -> bool:
        """Whether a line has more than one thing in it that stays together: a command is one, and an address."""
        together = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", "_"), line)
        return max(map(len, together.split())) < WIDTH - 10

    lines = prose(path.read_text(encoding="utf-8"))
    too_long = [number for number, line in lines if len(line) > WIDTH and can_be_broken(line)]
    assert not too_long, f"lines of more than {WIDTH} columns in {by_name(path)}: {too_long}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_lines_that_are_typed_fit_a_screen(path: Path) -> None:
    """Code is copied as it stands. What a command prints is in other blocks."""
    blocks = re.findall(r"^```(?:sh|yaml|toml|python)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    assert [line for block in blocks for line in block.splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "galaxy.yml", ROOT / "pyproject.toml"], ids=by_name)
def test_nothing_is_left_to_be_filled_in(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not PLACEHOLDER.findall(text)
    assert path.name != "galaxy.yml" or "example." not in text
