"""Writes docs/checks.md: each check, its stage, what it promises, what a target must claim or have for it.

It reads the docstrings and marks in tests/stages without running anything. tests/unit/test_checks_document.py demands
that the document is current.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from vexlab.config import check_list, stage_list
from vexlab.config.check_list import CheckSpec

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "tests" / "stages"
DOCUMENT = ROOT / "docs" / "checks.md"
HAS = {"device": "a device", "module": "a module of its own", "loadable": "a module"}  # words of `needs` in pytest.ini
HEAD = """# Checks

What is demanded of a filesystem, stage by stage. Results name a check as `module.check`. Where a
check was tried on several cases, the case follows in brackets.

A check is skipped, with that reason, on a target that doesn't claim the capabilities that it needs,
or that lacks what else it needs. [targets.md](targets.md) says what each of them means.

This file is written by `python .ci/checks.py`, from the checks in `tests/stages/`.
"""


def cell(text: str) -> str:
    """Text for a cell of a table: nothing that Markdown or HTML would act on, but what is between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [re.sub(r"([\\*<>\[\]])", r"\\\1", part) if index % 2 == 0 else part for index, part in enumerate(parts)]
    return "".join(plain).replace("|", "\\|")


def needs_of(check: CheckSpec) -> str:
    """What a target must claim, and have, for a check."""
    words = [f"`{name}`" for name in check.requires]
    words += [HAS.get(what, what.replace("-", " ")) for what in check.needs]
    return ", ".join([*words, *(["more in some cases"] if check.varies else [])]) or "-"


def section(title: str, directory: Path) -> Iterator[str]:
    """Yield the lines about the checks of a stage."""
    yield f"\n## {title}\n"
    for path in sorted(directory.glob("test_*.py")):
        about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        yield f"### `{check_list.module_name(path)}`\n\n{cell(' '.join(about.split()))}\n"
        yield "| check | what it promises, or why it matters | needs |\n|---|---|---|"
        for check in check_list.of_module(path, directory.name):
            yield f"| `{check.name}` | {cell(check.description)} | {needs_of(check)} |"
        yield ""


def demanded() -> Iterator[str]:
    """Yield the lines about the checks that no target can leave out, and those that none can that is written to."""
    of_all = [each for each in check_list.checks() if not each.of_every_stage]
    yield "\n## Demanded of every target\n"
    yield (
        "These checks need no capability. What else a target must have for one is in brackets. Some tell advice and "
        "no verdict, as [targets.md](targets.md#capabilities) says.\n"
    )
    yield from (f"- {line}" for line in by_module([each for each in of_all if not each.requires]))
    yield "\nThese need `read-write` alone, so whoever claims that has them all:\n"
    yield from (f"- {line}" for line in by_module([each for each in of_all if each.requires == ("read-write",)]))
    yield ""


def by_module(checks: list[CheckSpec]) -> Iterator[str]:
    """Yield the checks of each module in a line, with what else each needs."""
    modules: dict[str, list[str]] = {}
    for each in checks:
        needs = ", ".join(HAS.get(what, what.replace("-", " ")) for what in each.needs)
        module, _, name = each.full_name.partition(".")
        modules.setdefault(module, []).append(f"`{name}`{f' ({needs})' if needs else ''}")
    for module, names in modules.items():
        yield f"`{module}`: {', '.join(names)}"


def fit(text: str) -> str:
    """Text in lines of at most 100 columns, as every document has them."""
    lines = text.split("\n")
    indent = "  " if text.startswith("- ") else ""
    wrapper = textwrap.TextWrapper(width=100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in lines)


def document() -> str:
    """The whole document, as it should be."""
    lines = [HEAD, *demanded()]
    for stage in stage_list.stages():
        lines += section(f"{stage.title} (`{stage.name}`)", CHECKS / stage.name)
    lines += section("At the end of every stage", CHECKS / check_list.EVERY_STAGE)
    wrapped = [part if "|" in part else fit(part) for part in lines]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(wrapped)).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
