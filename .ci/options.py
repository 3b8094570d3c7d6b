"""Writes docs/options.md from the help of the commands; tests/unit/test_help.py demands that it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

from vexlab.cli.main import cli

DOCUMENT = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """# Every command and its options

The words are those of `vexlab COMMAND --help`. [commands.md](commands.md) explains what the
commands do, and which variables and settings files give an option.

This file is written by `python .ci/options.py`.
"""


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def row(context: click.Context, option: click.Option) -> str:
    """The line of a table about one option: how it is typed, what it is for, what it may be given by else."""
    names, meaning = option.get_help_record(context) or ("", "")
    return f"| `{cell(names)}` | {cell(meaning)} |"


def section(name: str, command: click.Command, parent: click.Context | None) -> Iterator[str]:
    """Yield the lines about a command, and those about the ones below it."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## `{context.command_path}`\n\n{cell(command.get_short_help_str(limit=1000))}\n"
    yield f"```text\n{context.command_path} {usage}\n```\n"
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        yield "| option | meaning |\n| -- | -- |"
        yield from (row(context, each) for each in options)
        yield ""
    for below, each in getattr(command, "commands", {}).items():
        yield from section(below, each, context)


def document() -> str:
    """The whole document, as it should be."""
    return "\n".join([HEAD, *section("vexlab", cli, None)]).rstrip() + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
