"""THE list of checks, as the tests in tests/stages have it: names, what each promises, what it asks of a target.

The sources are read and nothing of them is run, so that a list takes neither a guest nor pytest.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vexlab.config import needs, stage_list
from vexlab.config.installation import root

EVERY_STAGE = "every_stage"  # the directory of the checks that each stage ends with
_MARKS = ("requires", "needs")


@dataclass(frozen=True)
class CheckSpec:
    """One test function, which may be several checks: pytest puts the parameter of each after its name, in brackets.

    `name` is as results have it (`rename.parent_follows`), `promise` the first line of the docstring, `description` all
    of it as one line. `requires` are the capabilities without which all of it is skipped, `needs` what the target must
    have (pytest.ini says the words); `varies`: some of its cases want more. `path` and `line` are of the function.
    """

    stage: str
    name: str
    promise: str
    description: str
    requires: tuple[str, ...]
    needs: tuple[str, ...]
    varies: bool
    path: Path
    line: int

    @property
    def full_name(self) -> str:
        """Stage and name, as a person gives them to `--check`."""
        return f"{self.stage}/{self.name}"

    @property
    def module(self) -> str:
        """What the names of the checks in its file begin with."""
        return module_name(self.path)

    @property
    def closes(self) -> bool:
        """Whether it judges what the others of its stage left, in each guest that judges some of these."""
        return self.of_every_stage or self.module in stage_list.spec_of(self.stage).closing

    @property
    def of_every_stage(self) -> bool:
        """Whether each stage has this check."""
        return self.path.parent.name == EVERY_STAGE

    def lacks(self, contract: Mapping[str, Any]) -> str:
        """Why a target of this contract has this check skipped, as part of a sentence; empty when it has not."""
        if reason := stage_list.spec_of(self.stage).why_not(contract):
            return f"target {contract['vexlab_target_name']} has no stage {self.stage}: {reason}"
        for reason in filter(None, (needs.lacks(need, lambda name: contract[f"vexlab_{name}"]) for need in self.needs)):
            return reason
        missing = [name for name in self.requires if name not in contract["vexlab_capabilities"]]
        return f"target {contract['vexlab_target_name']} does not claim: {', '.join(missing)}" if missing else ""


@cache
def checks() -> tuple[CheckSpec, ...]:
    """Every check of every stage, in the order in which they run; those of every stage come with each."""
    directory = root() / "tests" / "stages"
    return tuple(
        check
        for stage in stage_list.stages()
        for place in (stage.name, EVERY_STAGE)
        for path in sorted((directory / place).glob("test_*.py"))
        for check in of_module(path, stage.name)
    )


def of_stage(stage: str) -> tuple[CheckSpec, ...]:
    """The checks of one stage."""
    return tuple(check for check in checks() if check.stage == stage)


def order(stage: str, names: Iterable[str]) -> list[str]:
    """These names of checks in the order of the list; the parameters of one stay in theirs, as do unknown names."""
    places = {check.name: place for place, check in enumerate(of_stage(stage))}
    return sorted(names, key=lambda name: places.get(name.partition("[")[0], len(places)))


def of_module(path: Path, stage: str) -> Iterator[CheckSpec]:
    """The checks of one file of tests, in their order."""
    module = ast.parse(path.read_text(encoding="utf-8"), str(path))
    values = dict(_assigned(module))
    for function in module.body:
        if not isinstance(function, ast.FunctionDef) or not function.name.startswith("test_"):
            continue
        decorators = [
            values.get(each.id, each) if isinstance(each, ast.Name) else each for each in function.decorator_list
        ]
        whole = _marks([*([values["pytestmark"]] if "pytestmark" in values else []), *decorators])
        docstring = ast.get_docstring(function) or ""
        yield CheckSpec(
            stage=stage, name=f"{module_name(path)}.{function.name.removeprefix('test_')}",
            promise=docstring.partition("\n")[0], description=" ".join(docstring.split()),
            requires=whole["requires"], needs=whole["needs"], varies=any(map(_has_marks_of_cases, decorators)),
            path=path, line=function.lineno,
        )  # fmt: skip


def pytest_words(stage: str, directory: Path, host: str, inventory: Path) -> list[str]:
    """What pytest is called with to run the checks of a stage, or to list them; `directory` is that of the run."""
    place = root() / "tests" / "stages"
    return [
        f"--config-file={place}/pytest.ini", f"--rootdir={place}", f"--stage={stage}", f"--run-directory={directory}",
        f"--hosts={host}", f"--ansible-inventory={inventory}", f"{place}/{stage}", f"{place}/{EVERY_STAGE}",
    ]  # fmt: skip


def parts(name: str) -> tuple[str, str]:
    """The stage and the check of a name; any stage where it names none. A slash in brackets belongs to the check."""
    stage, slash, check = name.partition("/")
    return (stage, check) if slash and "[" not in stage else ("*", name)


def module_name(path: Path) -> str:
    """What the names of the checks in a file of tests begin with."""
    return path.stem.removeprefix("test_")


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Each name that a module gives a value, and the value."""
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            yield from ((to.id, statement.value) for to in statement.targets if isinstance(to, ast.Name))


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MARKS


def _has_marks_of_cases(decorator: ast.expr) -> bool:
    """Whether marks are in a decorator that isn't one itself: they are of single parameters."""
    return not _is_mark(decorator) and any(map(_is_mark, ast.walk(decorator)))


def _marks(expressions: list[ast.expr]) -> dict[str, tuple[str, ...]]:
    """The words of the marks among decorators; a mark of a single parameter is not among them."""
    found: dict[str, list[str]] = {name: [] for name in _MARKS}
    calls = [part for each in expressions for part in (each.elts if isinstance(each, ast.List) else [each])]
    for call in calls:
        if _is_mark(call) and isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            found[call.func.attr] += [str(ast.literal_eval(word)) for word in call.args]
    return {name: tuple(dict.fromkeys(words)) for name, words in found.items()}
