"""The safety documents: every step names a command, and every command in them exists as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from vexlab.cli.main import cli
from vexlab.config import stage_list
from vexlab.gate import run_criteria

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted((ROOT / "docs" / "safety").glob("*.md")), ROOT / "docs" / "gate.md"]
TOOLS = ("vexlab", "ansible-playbook", "make")
STEP = re.compile(r"^(?:\d+\.|- \[[ x]\]) (.*?)(?=^\S|\n\n|\Z)", re.M | re.S)
# What a person does with their hands or eyes; every other step has a command.
BY_HAND = ("Stop what uses", "Keep the kernel's log", "After an oops", "What was learned")

DISK = re.findall(r'`disk="(.*)"`', (ROOT / "docs/safety/testing-plan.md").read_text())


def commands(text: str) -> list[str]:
    """The commands in a document: what is in code spans and code blocks and begins with the name of a tool."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)).replace("\\\n", "")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    found = [line.partition("  #")[0].strip() for line in blocks.splitlines()] + spans
    return [command.replace("$disk", DISK[0]) for command in found if command.split(" ")[0] in TOOLS]


def problem(command: str) -> str:
    """Why a command doesn't exist, or not with these arguments; empty if it does."""
    tool, *words = shlex.split(command)
    if tool == "vexlab":
        return problem_of_vexlab(cli, words)
    if tool == "make":
        targets = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.M)
        return "" if targets and all(word in targets[1].split() for word in words) else "no such target"
    playbooks = [word for word in words if word.startswith("playbooks/")]
    missing = [word for word in playbooks if not (ROOT / word).is_file()]
    return f"{missing[0]} is not there" if missing else "" if playbooks else "it names no playbook"


def problem_of_vexlab(command: click.Command, words: list[str]) -> str:
    """Parse the words as click would, without running anything."""
    context = click.Context(command, info_name="vexlab")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"there is no {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if isinstance(command, click.Group) and not command.invoke_without_command:
        return f"{command.name} does nothing alone"
    try:
        command.parse_args(context, list(words))
    except click.ClickException as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_exists(path: Path) -> None:
    found = commands(path.read_text(encoding="utf-8"))
    assert found, f"{path} names no command"
    assert {command: why for command in found if (why := problem(command))} == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("vexlab gaet", "there is no gaet"),
        ("vexlab gate singe", "there is no singe"),
        ("vexlab gate --for moon", "moon"),
        ("vexlab test --quik", "--quik"),
        ("vexlab gate sign backup --operator NAME", "--note"),
        ("vexlab image", "does nothing alone"),
        ("make tset", "no such target"),
        ("ansible-playbook -i inventory.yml playbooks/stage.yml", "playbooks/stage.yml is not there"),
        ("ansible-playbook -i inventory.yml", "it names no playbook"),
    ],
)
def test_command_that_does_not_exist_is_found(command: str, why: str) -> None:
    assert why in problem(command)


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if p.parent.name == "safety"], ids=lambda path: path.stem)
def test_every_step_has_its_command(path: Path) -> None:
    steps = STEP.findall(path.read_text(encoding="utf-8"))
    assert len(steps) > 3
    bare = [step for step in steps if not commands(step) and not step.startswith(BY_HAND)]
    assert bare == []


def test_checklist_has_every_box_of_the_gate() -> None:
    text = (ROOT / "docs/safety/production-checklist.md").read_text(encoding="utf-8")
    assert re.findall(r"vexlab gate sign (\w+)", text.partition("## Computed")[2]) == list(run_criteria.PROTOCOL)
    claims = 1  # those of all levels
    assert text.count("- [ ]") == claims + len(run_criteria.MUST_PASS) + len(run_criteria.PROTOCOL)


def test_testing_plan_names_every_stage() -> None:
    text = (ROOT / "docs/safety/testing-plan.md").read_text(encoding="utf-8")
    assert re.findall(r"^   \| `(\w+)` \|", text, re.M) == [stage.name for stage in stage_list.stages()]
