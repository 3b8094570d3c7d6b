"""The rooms of the package: each imports from itself and from the rooms below it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vexlab"
# From the top down. `errors` is what all of them raise.
ROOMS = (
    "cli", "bisect", "saves", "matrix", "hosts", "bundle", "run", "report", "gate", "history", "guest", "results",
    "source", "config", "errors",
)  # fmt: skip
# Two packages of the room `guest` go out of the house: one runs in guests, tests/stages stands on the other, in an
# installed collection as well, where nothing is that vexlab has installed. Of the other rooms it may use what is below.
INSIDE, TESTING = "vexlab.guest.inside", "vexlab.guest.testing"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def room_of(module: str) -> str:
    """The room of a module by its dotted name, `vexlab.run.tracker`; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """Dotted names of vexlab's modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("vexlab."))
        elif isinstance(node, ast.ImportFrom) and within(node.module or "", "vexlab"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if not alias.name.startswith("__"))


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of these packages, or of something in one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_every_module_is_in_a_room() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS) - {"errors"}


def test_each_room_is_explained_in_its_place() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `vexlab/(\w+)/` \|", page, re.M)) == ROOMS[:-1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    """A room that knows of one above it can be understood, tested and changed only together with it."""
    floor = ROOMS.index(path.relative_to(PACKAGE).parts[0])
    upwards = [name for name in imported(path) if ROOMS.index(room_of(name)) < floor]
    assert not upwards


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_goes_out_of_the_house_stands_on_nothing_that_stays(path: Path) -> None:
    """And what stays needs nothing of it: the checks judge, and vexlab takes their word."""
    importer = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    names = set(imported(path))
    if within(importer, INSIDE):
        wrong = {name for name in names if not within(name, INSIDE)}
    elif within(importer, TESTING):
        wrong = {name for name in names if within(name, "vexlab.guest") and not within(name, INSIDE, TESTING)}
    else:
        wrong = {name for name in names if within(name, INSIDE, TESTING)}
    assert not wrong


def test_an_import_upwards_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "from vexlab import gate\nimport vexlab.run.tracker\ndef late():\n    from vexlab.cli import main\n"
    )
    assert [room_of(name) for name in imported(path)] == ["gate", "run", "cli"]
