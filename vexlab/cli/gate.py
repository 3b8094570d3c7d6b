"""The commands of the gate: may this module leave the VM, who signed for what, is a readiness file good."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
from click.core import ParameterSource
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from rich.table import Table

from vexlab.cli import completion
from vexlab.cli.common import chosen_run, json_option, stderr, stdout
from vexlab.cli.first_screen import WholeSentences
from vexlab.cli.options import Command, lab_named, with_all
from vexlab.errors import UsageProblem, VexlabError
from vexlab.gate import evidence, readiness_file, run_criteria, setbacks, sign_offs
from vexlab.gate.decision import LEVELS, MAX_AGE_DAYS, OLDEST_DAYS, Criterion, Decision, Subject
from vexlab.gate.promotion import Gate, subject_of
from vexlab.guest.lab import name_option
from vexlab.results import archive


def subject_options(command: Command) -> Command:
    """Which module is asked about: a file, that of a run, or that of a lab's last run."""
    options = [
        click.option(
            "--module", type=click.Path(path_type=Path), metavar="FILE", help="Ask about the module in this file."
        ),
        click.option(
            "--run",
            metavar="RUN",
            help="Ask about the module of this run; no other run in the VM counts then.",
            shell_complete=completion.run_names,
        ),
        lab_named("Ask about the module of the last run of this lab"),
    ]
    return with_all(options, command)


level_option = click.option(
    "--for", "level", type=click.Choice(LEVELS[1:]), default="vm", show_default=True,
    help="The level that the module has to reach.",
)  # fmt: skip


@click.group("gate", cls=WholeSentences, invoke_without_command=True)
@click.pass_context
@subject_options
@level_option
@click.option(
    "--max-age", type=click.IntRange(1, OLDEST_DAYS), default=MAX_AGE_DAYS, show_default=True, metavar="DAYS",
    help="For how many days evidence and statements count.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the readiness file on stdout.")
def gate_group(
    context: click.Context, *, module: Path | None, run: str | None, name: str, level: str, max_age: int, as_json: bool
) -> None:
    """Compute from evidence whether a module may leave the VM.

    The exit code is 0 when the module reached the level, else 1. The readiness file is written each time, with the
    level that was reached.
    """
    if context.invoked_subcommand is not None:
        given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise UsageProblem(
                f"the options stand before {context.invoked_subcommand}, where they mean nothing",
                f"put them after it: vexlab gate {context.invoked_subcommand} --help",
            )
        return
    subject = find_subject(module, run, name)
    decision = Gate(subject, datetime.now(UTC), max_age, run or "").decide()
    path = readiness_file.write(subject, decision)
    if as_json:
        click.echo(path.read_text(encoding="utf-8"), nl=False)
    else:
        _show(subject, decision, level, path)
    if unmet := decision.unmet(level):
        raise VexlabError(
            f"this module is not ready for level {level}: {unmet[0].key}: {unmet[0].why}",
            f"not met: {', '.join(criterion.key for criterion in unmet)}{_how_to_sign(unmet, module, run, name)}",
        )


def _how_to_sign(unmet: list[Criterion], module: Path | None, run: str | None, name: str) -> str:
    """The command by which people sign, when nothing else is left to be done."""
    if any(criterion.key not in run_criteria.PROTOCOL for criterion in unmet):
        return ""
    which = f" --module {module}" if module else f" --run {run}" if run else name_option(name)
    return f"; vexlab gate sign {unmet[0].key} --operator NAME --note TEXT{which}"


@gate_group.command("sign")
@click.argument("criterion", metavar=f"[{'|'.join(run_criteria.PROTOCOL)}]")
@click.option("--operator", required=True, metavar="NAME", help="The person who vouches for it.")
@click.option("--note", required=True, metavar="TEXT", help="What was done, and where it is written down.")
@subject_options
def sign(*, criterion: str, operator: str, note: str, module: Path | None, run: str | None, name: str) -> None:
    """Vouch by name for what no run can show of a module.

    It is said as of now. It holds for this very module, and for as long as evidence does.
    """
    subject = find_subject(module, run, name)
    sign_offs.sign(subject.sha256, criterion, operator, note, datetime.now(UTC))
    stderr.say(f"{operator} signed for {criterion}, for module {subject.name} with sha256 {subject.sha256}")


@gate_group.command("excuse")
@click.argument("run", shell_complete=completion.run_names)
@click.option("--operator", required=True, metavar="NAME", help="The person who says so.")
@click.option("--note", required=True, metavar="TEXT", help="What was to blame, and how that is known.")
def excuse(*, run: str, operator: str, note: str) -> None:
    """Vouch by name that a module is not to blame for a run.

    It is said as of now. It holds for as long as evidence does. A complete run must have passed since; nothing takes
    its place.
    """
    entries = {entry.run: entry for entry in evidence.entries()}
    if not any(name.startswith(run) for name in entries):
        raise UsageProblem(f"no run {run!r} was sealed", "vexlab runs lists them; one that was killed was never sealed")
    run = archive.meant(run, list(entries))
    entry = entries[run]
    wrong = setbacks.went_wrong(entry)
    if not entry.module or not wrong:
        why = "nothing went wrong in it" if entry.module else "it is about no module"
        raise UsageProblem(f"run {run} needs no excuse: {why}", "vexlab gate names the runs that do")
    sign_offs.excuse(entry.module, run, operator, note, datetime.now(UTC))
    told = ", ".join(f"{stage} {verdict}" for stage, verdict in wrong.items())
    stderr.say(f"{operator} signed that the module with sha256 {entry.module} is not to blame for {run}: {told}")


@gate_group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--module",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Module file that the readiness file must be about.",
)
@level_option
@json_option
def check(file: Path, module: Path | None, level: str, as_json: bool) -> None:
    """Check a readiness file as role vexfs_load does.

    It is compared with the evidence as well, as far as that is here.
    """
    wanted = {"level": level}
    if module is not None:
        about = module_subject(module)
        wanted |= {"sha256": about.sha256, "srcversion": about.srcversion, "kernel": about.kernel}
    refusals = readiness_file.refusals(file, wanted, datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"file": str(file), "level": level, "refusals": refusals}, indent=2, ensure_ascii=False))
    if refusals:
        raise VexlabError(f"{file} is refused: {'; '.join(refusals)}", "vexlab gate writes another one")
    if not as_json:
        stdout.say(f"{file} is good for level {level}")


def _show(subject: Subject, decision: Decision, level: str, path: Path) -> None:
    """What the gate decided, and by what."""
    stdout.say(f"module {subject.name}, sha256 {subject.sha256}, kernel {subject.kernel}")
    if decision.contract:
        stdout.say(f"not claimed, so not tested: {', '.join(decision.not_claimed) or 'nothing'}")
    stdout.table(table(decision, level))
    stdout.say(f"level {decision.level}; readiness file: {path}")


def find_subject(module: Path | None, run: str | None, name: str) -> Subject:
    """The module that is meant; raises UsageProblem when it can't be told."""
    if module is not None and run is not None:
        raise UsageProblem("--module and --run name two modules", "give one of them")
    if module is not None:
        return module_subject(module)
    found = chosen_run(run, None if run else name)
    subject = subject_of(found)
    if subject is None and (end := run_criteria.no_further(found)):
        raise UsageProblem(f"run {found.run} is about no module that could be promoted: {end}", "name a file: --module")
    if subject is None:
        why = "was interrupted" if found.verdict == "not_run" else f"is {found.verdict}"
        again = f"vexlab test{name_option(name)}"
        raise UsageProblem(f"run {found.run} {why} before its module was known", f"{again}, or name a file: --module")
    return subject


def module_subject(path: Path) -> Subject:
    """Identity of a module file, by its bytes and its own words; raises UsageProblem when it is no module."""
    try:
        with path.open("rb") as stream:
            section = ELFFile(stream).get_section_by_name(".modinfo")
            words = section.data().decode(errors="replace").split("\0") if section is not None else []
    except (OSError, ELFError) as problem:
        raise UsageProblem(f"{path} is no kernel module: {problem}", "name the .ko file that is to be loaded") from None
    told = {key: value for key, _, value in (word.partition("=") for word in words)}
    if "vermagic" not in told:
        raise UsageProblem(f"{path} is no kernel module: it has no vermagic", "name the .ko file that is to be loaded")
    kernel = told["vermagic"].partition(" ")[0]
    return Subject(told.get("name", path.stem), evidence.digest(path), told.get("srcversion", ""), kernel)


def table(decision: Decision, level: str) -> Table:
    """Every criterion up to a level: met or not, and by what or why not."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("level", no_wrap=True)
    for heading in ("criterion", "", "by what, or why not"):
        shown.add_column(heading)
    for criterion in decision.criteria:
        if LEVELS.index(criterion.level) <= LEVELS.index(level):
            sign_shown = "[green]✔[/]" if criterion.met else "[red]✘[/]"
            words = (text.replace("[", r"\[") for text in (criterion.text, criterion.why))
            text, why = words
            shown.add_row(criterion.level, f"{criterion.key}: {text}", sign_shown, why)
    return shown
