"""What the commands say of themselves: the first screen, each option, the manual pages, and what a shell completes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from vexlab.cli.main import BY_USE, cli

ROOT = Path(__file__).parents[2]


def commands(command: click.Command = cli, name: str = "vexlab") -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name."""
    yield name, command
    for each, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {each}")


ALL = dict(commands())
OPTIONS = {
    f"{name} {parameter.opts[0]}": parameter
    for name, command in ALL.items()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.hidden
}


def test_first_screen_has_every_command_once_and_by_its_use() -> None:
    shown = [name for names in BY_USE.values() for name in names]
    assert sorted(shown) == sorted(cli.commands)
    screen = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    for title in (*BY_USE, "Examples"):
        assert f"\n{title}:\n" in screen
    assert max(map(len, screen.splitlines())) <= 80
    assert "\b" not in screen
    assert screen.count("\n") < 60, "it is one screen"


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group)])
def test_no_summary_is_cut(name: str) -> None:
    """Nor longer than a line of a terminal: the rest of the help says more."""
    arguments = [*name.split()[1:], "--help"]
    screen = CliRunner().invoke(cli, arguments, terminal_width=80).output
    assert "..." not in screen.partition("\n")[2]
    for command in ALL[name].commands.values():  # type: ignore[attr-defined]
        assert command.short_help.endswith("."), command.short_help
        assert command.short_help in screen


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_says_what_it_is(name: str) -> None:
    """In a sentence; an amount has its unit, or says that it is a number."""
    option = OPTIONS[name]
    assert option.help and option.help.endswith(".")
    assert option.help[0].isupper()
    if isinstance(option.type, click.IntRange) and not option.count:
        words = ("MiB", "econds", "days", "umber", "times", "port", "Seed")
        assert any(word in option.help for word in words), option.help


def generator(name: str) -> ModuleType:
    """A program of `.ci` that writes a document."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_manual_pages_are_current(tmp_path: Path) -> None:
    generator("man").write(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "docs" / "man").iterdir()}
    assert kept == made, "write them anew: python .ci/man.py"
    assert f"{'-'.join(['vexlab', 'gate', 'sign'])}.1" in made


def test_page_of_options_is_current() -> None:
    """Every option of every command is in a document, in the words of its help."""
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert page == generator("options").document(), "write it anew: python .ci/options.py"
    sections = dict(re.findall(r"^## `(.*?)`\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    assert set(sections) == set(ALL)
    for name, command in ALL.items():
        options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
        assert all(each.opts[-1] in sections[name] for each in options)


def test_page_of_commands_has_each_of_them() -> None:
    """A row of its table, or a part of the row of its group."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| `(vexlab .*?)` \|", page, re.M)).replace("\\|", "|")
    last = [name for name in ALL if not isinstance(ALL[name], click.Group)]
    missing = [name for name in last if not re.search(rf"^{name}\b", rows, re.M)]
    groups = dict(re.findall(r"^(vexlab \w+) ([\w|]+)$", rows, re.M))
    assert [
        name for name in missing if name.split()[-1] not in groups.get(" ".join(name.split()[:2]), "").split("|")
    ] == []


def completed(tmp_path: Path, words: str) -> list[str]:
    """What bash is offered for the last of these words."""
    asked = {
        "_VEXLAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
        "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    program = "import sys; sys.argv = ['vexlab']; from vexlab.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("vexlab ver", ["verify"]),
        ("vexlab status --name ", ["alone", "other"]),
        ("vexlab report 2026", ["20260102-000000-other", "20260101-000000-alone"]),
        ("vexlab logs --run 20260101", ["20260101-000000-alone"]),
        ("vexlab test --stage st", ["structure", "stress"]),
        ("vexlab verify --check mount/rename.t", ["mount/rename.tree_is_right"]),
        ("vexlab gate excuse 20260101", ["20260101-000000-alone"]),
    ],
)
def test_shell_completes_names(tmp_path: Path, words: str, offered: list[str]) -> None:
    for name in ("alone", "other"):
        (tmp_path / "vexlab" / "labs" / name).mkdir(parents=True)
    for number, name in enumerate(("alone", "other"), start=1):
        run = tmp_path / "vexlab" / "runs" / f"2026010{number}-000000-{name}"
        run.mkdir(parents=True)
        (run / "results.json").write_text("")
    assert completed(tmp_path, words) == offered


@pytest.mark.parametrize(
    ("shell", "says"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_each_shell_is_told_how(shell: str, says: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert (done.exit_code, says in done.output) == (0, True), done.output
    assert "_VEXLAB_COMPLETE" in done.output
