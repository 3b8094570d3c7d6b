"""`vexlab config`: what a lab goes by, and whence each value is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from vexlab.cli import options as the_options
from vexlab.cli.common import json_option, stdout
from vexlab.cli.options import FromFile, lab_option, with_options
from vexlab.config import settings, target
from vexlab.config.settings import Options
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab


@dataclasses.dataclass(frozen=True)
class Value:
    """A setting: its name, its value, and where that was said."""

    setting: str
    value: Any
    source: str


@click.command("config")
@lab_option
@json_option
@with_options
@the_options.JOBS
@click.pass_context
def config(context: click.Context, name: str, as_json: bool, options: Options) -> None:
    """Show each setting of a lab, and where it comes from.

    What is nearer to you counts: an option, then a variable, then what the lab remembers of the options it was given,
    then a settings file, then the target file.
    """
    found = the_options.of_settings_file()
    values = [Value(the_options.LAB, name, _of_lab(context, found)), *_values(context, labs.find(name), options, found)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(value) for value in values], indent=2, ensure_ascii=False))
        return
    for value in values:
        stdout.say(f"{value.setting:<14} {_shown(value.value)}  ({value.source})", hang=15)


def _shown(value: Any) -> str:
    """A value as a settings file has it; - for none."""
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value == "" else str(value)


def _of_lab(context: click.Context, found: FromFile) -> str:
    """Where the name of the lab comes from."""
    if source := _given(context, the_options.LAB, the_options.LAB):
        return source
    return _in_file(found, the_options.LAB) if found.lab else "default"


def _values(context: click.Context, lab: Lab, given: Options, found: FromFile) -> Iterator[Value]:
    """Each option that a lab may have, in the order of their help."""
    of_file = found.options if found.file else lab.of_settings_file()
    remembered = lab.remembered()
    made = given.over(remembered).over(of_file)
    contract = settings.of_target(made.target)
    of_target = target.load_target(Path(contract["vexlab_target_file"]))
    for setting, option in the_options.by_name().items():
        field = str(option.name)
        value = getattr(made, field)
        variable = f"vexlab_{field}" if field != "target" else "vexlab_target_file"
        source = _given(context, field, setting)
        if not source and value is None:
            value = contract[variable]
            source = f"target file {contract['vexlab_target_file']}" if variable in of_target else "default"
        elif not source and value == getattr(remembered, field):
            source = f"lab {lab.name}, which was given it before"
        elif not source:
            source = _in_file(found, setting) if found.file else f"a settings file, as lab {lab.name} remembers it"
        yield Value(setting, value, source)


def _given(context: click.Context, field: str, setting: str) -> str:
    """Where a value was given to this very command; empty when it was not."""
    source = context.get_parameter_source(field)
    if source is ParameterSource.ENVIRONMENT:
        return f"variable {the_options.variable_of(setting)}"
    return "command line" if source is ParameterSource.COMMANDLINE else ""


def _in_file(found: FromFile, setting: str) -> str:
    """The place of a setting in the settings file."""
    if found.file is None:
        return ""
    line, _ = found.file.place(setting)
    return f"{found.file.path}:{line}" if line else str(found.file.path)
