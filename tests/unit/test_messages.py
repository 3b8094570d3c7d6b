"""What a check says when it fails is for people: each assertion has words, and none of them is Python's notation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vexlab.guest.testing.words import duration

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "tests" / "stages"
PLACES = (STAGES, ROOT / "vexlab" / "guest" / "inside", ROOT / "vexlab" / "guest" / "testing")
FILES = [path for place in PLACES for path in sorted(place.rglob("*.py"))]


def asserts(path: Path) -> Iterator[ast.Assert]:
    """The assertions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.Assert))


def test_there_are_assertions() -> None:
    assert sum(1 for path in FILES for _ in asserts(path)) > 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_assertion_has_words(path: Path) -> None:
    """pytest is told not to explain one: what it would say is code, and hints for who wrote it."""
    silent = [node.lineno for node in asserts(path) if node.msg is None]
    assert silent == []
    assert "--assert=plain" in (STAGES / "pytest.ini").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_shows_a_value_as_python_writes_it(path: Path) -> None:
    """Not by !r, nor by repr()."""
    shown = [
        node.lineno
        for each in asserts(path)
        for node in ast.walk(each.msg or each)
        if (isinstance(node, ast.FormattedValue) and node.conversion == ord("r"))
        or (isinstance(node, ast.Name) and node.id == "repr")
    ]
    assert shown == []


@pytest.mark.parametrize(
    ("nanoseconds", "said"),
    [(0, "0 ns"), (-999_999_999, "-999999999 ns"), (10**9, "1.000 s"), (-15 * 10**8, "-1.500 s")],
)
def test_time_that_passed_is_told_as_people_say_it(nanoseconds: int, said: str) -> None:
    assert duration(nanoseconds) == said
