"""`vexlab checks`: which checks there are, what each promises, and which of them a target has skipped."""

from __future__ import annotations

import itertools
import json

import click

from vexlab.cli import completion
from vexlab.cli.common import json_option, stage_option, stdout
from vexlab.cli.options import lab_option, of_settings_file
from vexlab.config import settings, stage_list
from vexlab.config.check_list import CheckSpec
from vexlab.config.settings import Options
from vexlab.guest import lab as labs
from vexlab.run import selection


@click.command("checks")
@click.argument("names", metavar="[STAGE/CHECK]...", nargs=-1, shell_complete=completion.check_names)
@lab_option
@stage_option("Only the checks of this stage; may be given more than once.")
@click.option("--target", metavar="FILE", help="Target file that says what is skipped, instead of that of the lab.")
@json_option
def checks_command(
    names: tuple[str, ...], name: str, chosen: tuple[str, ...], target: str | None, as_json: bool
) -> None:
    """List the checks with what each promises, and which are skipped.

    STAGE/CHECK chooses among them, as --check of `vexlab test` does; * stands for any text. No guest is needed.
    """
    stage_list.stages_for(chosen)  # raises when one is unknown
    lab, settings_of = labs.find(name), of_settings_file()
    of_file = settings_of.options if settings_of.file else lab.of_settings_file()
    options = Options(target=target).absolute().over(lab.remembered()).over(of_file)
    contract = settings.of_target(options.target)
    stages = chosen or [spec.name for spec in stage_list.stages()]
    found = selection.listed(names or ["*"], stages, contract)
    reasons = [check.lacks(contract) for check in found]
    if as_json:
        documents = [_document(check, reason) for check, reason in zip(found, reasons, strict=True)]
        click.echo(json.dumps(documents, indent=2, ensure_ascii=False))
        return
    rows = zip(found, reasons, strict=True)
    for stage, group in itertools.groupby(rows, key=lambda row: row[0].stage):
        _show(stage, list(group))
    skipped = sum(map(bool, reasons))
    number = "1 check" if len(found) == 1 else f"{len(found)} checks"
    stdout.say(f"{number}; target {contract['vexlab_target_name']} has {skipped or 'none'} of them skipped")


def _show(stage: str, rows: list[tuple[CheckSpec, str]]) -> None:
    """The checks of a stage, each name with its promise below, so that neither is cut."""
    stdout.say(f"{stage}: {stage_list.spec_of(stage).title}", style="bold")
    for check, reason in rows:
        stdout.say(check.full_name, indent=2)
        stdout.say(check.promise, indent=6)
        if reason:
            stdout.say(f"skipped: {reason}", style="yellow", indent=6)
    stdout.print()


def _document(check: CheckSpec, reason: str) -> dict[str, object]:
    """A check for programs; `skipped` is empty for one that the target doesn't have skipped."""
    return {
        "stage": check.stage, "name": check.name, "promise": check.promise, "requires": list(check.requires),
        "needs": list(check.needs), "skipped": reason,
    }  # fmt: skip
