"""What a shell completes: names of labs, runs, stages and checks. No guest is asked, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from vexlab.config import check_list, stage_list
from vexlab.errors import VexlabError
from vexlab.guest import lab as labs
from vexlab.results import archive
from vexlab.run import control

SHELLS = ("bash", "zsh", "fish")
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[], Iterable[tuple[str, str]]]) -> Completer:
    """What click asks for the words that begin like one, from names and what each is."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(name, help=what) for name, what in names() if name.startswith(incomplete)]
        except (VexlabError, OSError):  # a shell that waits for words is no place for messages
            return []

    return complete


lab_names = _completer(lambda: ((lab.name, "") for lab in labs.all_labs()))
run_names = _completer(lambda: ((path.name, "") for path in reversed(archive.directories())))
stage_names = _completer(lambda: ((spec.name, spec.title) for spec in stage_list.stages()))
check_names = _completer(lambda: ((check.full_name, check.promise) for check in check_list.checks()))
controls = _completer(lambda: ((name, "") for name in control.known()))


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and names.

    For bash, put `eval "$(vexlab completion bash)"` into ~/.bashrc. It completes the names of labs, runs, stages and
    checks as well.
    """
    root = context.find_root()
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(root.command, {}, "vexlab", "_VEXLAB_COMPLETE").source())
