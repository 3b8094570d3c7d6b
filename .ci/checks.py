"""Writes docs/checks.md: each check, its stage, what it promises, what a target must claim or have for it.

It reads the docstrings and marks in tests/guest without running anything. tests/unit/test_checks_document.py demands
that the document is current.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from vexlab.config import stage_list

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "tests" / "guest"
DOCUMENT = ROOT / "docs" / "checks.md"
EVERY = "every_stage"
HAS = {"device": "a device", "module": "a module of its own", "loadable": "a module"}  # words of `needs` in pytest.ini
HEAD = """# Checks

What is demanded of a filesystem, stage by stage. A check is named in results as `module.check`, with the case that it
was tried on in brackets where it has several. It is skipped, with that reason, on a target that doesn't claim the
capabilities that it needs, or that lacks what else it needs: [targets.md](targets.md) says what each of them means.

This file is written by `python .ci/checks.py`, from the checks in `tests/guest/`.
"""


@dataclass(frozen=True)
class Check:
    """A test: its name in results without a case, its docstring, what it needs; `varies`: some of that by its case."""

    name: str
    promise: str
    capabilities: tuple[str, ...]
    has: tuple[str, ...]
    varies: bool


@dataclass(frozen=True)
class Module:
    """A file of tests: what its docstring says, and its tests in their order."""

    name: str
    about: str
    checks: tuple[Check, ...]


def one_line(text: str | None) -> str:
    """A docstring as one line; a list or a paragraph in it becomes a part of the sentence."""
    return " ".join((text or "").split())


def marks(node: ast.AST, name: str) -> Iterator[str | None]:
    """Each argument of the marks of that name in an expression; None for one that isn't a literal."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == name:
            for argument in call.args:
                yield str(argument.value) if isinstance(argument, ast.Constant) else None


def is_parametrized(decorator: ast.expr) -> bool:
    """Whether a decorator gives cases: the marks in it are of some of them."""
    return not (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("requires", "needs")
    )


def check_of(test: ast.FunctionDef, common: list[ast.expr], named: dict[str, ast.expr]) -> Check:
    """A test as a check: `common` are marks of its whole file, `named` what a name that decorates it stands for."""
    decorators = [named.get(d.id, d) if isinstance(d, ast.Name) else d for d in test.decorator_list]
    whole = [*common, *(d for d in decorators if not is_parametrized(d))]
    cases = [d for d in decorators if is_parametrized(d)]
    found = {name: [word for node in whole for word in marks(node, name)] for name in ("requires", "needs")}
    return Check(
        test.name.removeprefix("test_"),
        one_line(ast.get_docstring(test)),
        tuple(dict.fromkeys(word for word in found["requires"] if word)),
        tuple(dict.fromkeys(word for word in found["needs"] if word)),
        any(True for node in cases for name in found for _ in marks(node, name)),
    )


def module_of(path: Path) -> Module:
    """A file of tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    common = [values["pytestmark"]] if "pytestmark" in values else []
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    checks = tuple(check_of(test, common, values) for test in tests)
    return Module(path.stem.removeprefix("test_"), one_line(ast.get_docstring(tree)), checks)


def cell(text: str) -> str:
    """Text for a cell of a table: nothing that Markdown or HTML would act on, but what is between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [re.sub(r"([\\*<>\[\]])", r"\\\1", part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    return "".join(plain).replace("|", "\\|")


def needs_of(check: Check) -> str:
    """What a target must claim, and have, for a check."""
    words = [f"`{name}`" for name in check.capabilities]
    words += [HAS.get(what, what.replace("-", " ")) for what in check.has]
    return ", ".join([*words, *(["more in some cases"] if check.varies else [])]) or "-"


def section(title: str, directory: Path) -> Iterator[str]:
    """Yield the lines about the checks of a stage."""
    yield f"\n## {title}\n"
    for path in sorted(directory.glob("test_*.py")):
        module = module_of(path)
        yield f"### `{module.name}`\n\n{cell(module.about)}\n"
        yield "| check | what it promises, or why it matters | needs |\n|---|---|---|"
        for check in module.checks:
            yield f"| `{module.name}.{check.name}` | {cell(check.promise)} | {needs_of(check)} |"
        yield ""


def document() -> str:
    """The whole document, as it should be."""
    lines = [HEAD]
    for stage in stage_list.stages():
        lines += section(f"{stage.title} (`{stage.name}`)", CHECKS / stage.name)
    lines += section("At the end of every stage", CHECKS / EVERY)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
