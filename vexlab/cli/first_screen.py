"""How the commands are shown: by what they are for, each with its first sentence, whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click


def first_sentence(command: click.Command) -> str:
    """What a command is for: the first sentence of its help."""
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + "." if stop else paragraph


class WholeSentences(click.Group):
    """A group of commands that cuts no summary by dots, as click does."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Register a command; its first sentence is its summary, here and in the manual."""
        cmd.short_help = first_sentence(cmd)
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their summaries, section by section, all in the same columns."""
        width = max(map(len, self.commands))
        for title, names in self.sections().items():
            shown = [name for name in names if not self.commands[name].hidden]
            rows = [(f"{name:<{width}}", self.commands[name].short_help or "") for name in shown]
            with formatter.section(title):
                formatter.write_dl(rows, col_spacing=3)

    def sections(self) -> Mapping[str, Sequence[str]]:
        """Names of commands by the title that they stand under."""
        return {"Commands": list(self.commands)}


class FirstScreen(WholeSentences):
    """The first screen: commands by what they are for, and examples."""

    group_class = WholeSentences

    def __init__(self, *, by_use: Mapping[str, Sequence[str]], examples: Mapping[str, str], **how: object) -> None:
        """Show commands `by_use`, and `examples` with what each does."""
        super().__init__(**how)  # type: ignore[arg-type]  # what click's decorator hands on
        self.short_help = first_sentence(self)
        self.by_use = by_use
        self.examples = examples

    def sections(self) -> Mapping[str, Sequence[str]]:
        """Names of commands by their use."""
        return self.by_use

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the commands."""
        with formatter.section("Examples"):
            for command, meaning in self.examples.items():
                formatter.write(f"{'':{formatter.current_indent}}{command}\n")
                with formatter.indentation():
                    formatter.write_text(meaning)
        formatter.write_paragraph()
        formatter.write_text("vexlab COMMAND --help tells of each command. Exit codes are in docs/commands.md.")
