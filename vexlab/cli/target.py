"""`vexlab init` and `vexlab target check`: a target file from a source tree, and compared with one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import yaml
from ansible_collections.vexfs.vexlab.plugins.module_utils.home_path import expanded

from vexlab.cli.common import json_option, require_host, stderr, stdout
from vexlab.cli.first_screen import WholeSentences
from vexlab.config import installation, settings, source_tree, target
from vexlab.config.atomic_file import replace_file
from vexlab.errors import Interrupted, UsageProblem, VexlabError
from vexlab.report.screen import Screen
from vexlab.report.terminal import MOST, Progress
from vexlab.results import measured
from vexlab.results.causes import causes
from vexlab.results.model import WRONG, Check
from vexlab.run import measure as run_measure
from vexlab.run import scratch

if TYPE_CHECKING:
    from vexlab.source.proposal import Proposal
    from vexlab.source.target_check import Finding

STDOUT = "-"
SIGNS = {True: ("✘", "red"), False: ("!", "yellow")}


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
@click.option(
    "--output", metavar="FILE", default="vexlab.yml", show_default=True, help="File that is written; - is stdout."
)
@click.option("--module", metavar="NAME", help="Name or path of the module, where several register a filesystem.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--no-guest", is_flag=True, help="Read the source alone: nothing is built, and no guest is started.")
def init(directory: str, output: str, module: str | None, force: bool, no_guest: bool) -> None:
    """Write a target file for a filesystem, from its source in DIR.

    The source is read. Then a guest builds and mounts it, and shows what it can do, which takes minutes. What can't be
    told is marked in the file.
    """
    # What reads sources takes a seventh of the start of every command, and two of them need it.
    from vexlab.report import target_file  # noqa: PLC0415
    from vexlab.source import facts, proposal, trouble  # noqa: PLC0415

    where = None if output == STDOUT else expanded(output).absolute()
    if where and (where.exists() or where.is_symlink()) and not force:
        raise UsageProblem(
            f"{source_tree.shown(where)} is there already", "--force replaces it, --output FILE names another"
        )
    root = _readable(Path(directory))
    found = facts.read(root, module)
    proposed = proposal.propose(found, _as_named(root, where.parent if where else Path.cwd()))
    if not no_guest:
        proposed = _measured(proposed, str(root))
    text = target_file.render(proposed, source_tree.shown(Path(directory)))
    if problems := target.problems_of(yaml.safe_load(text)):
        raise UsageProblem("\n".join(f"what was read makes no target: {problem}" for problem in problems), target.HINT)
    if where:
        replace_file(where, text)
    else:
        click.echo(text, nl=False)
    for note in trouble.notes(found):
        _tell(stderr, f"{note.place}: {note.words}")
    unsure = [field.name for field in proposed.fields if field.unsure]
    stderr.say(f"{found.module.file} registers the filesystem {found.filesystem.type or '(name not found)'}")
    if unsure:
        stderr.say(f"look at what is not found or guessed: {', '.join(unsure)}")
    if not proposed.measured:
        stderr.say("claim what it can do: a check of what vexlab_capabilities doesn't name is skipped")
    if where:
        stderr.say(f"written: {output}; next: vexlab up --target {output}")


def _measured(proposed: Proposal, root: str) -> Proposal:
    """The proposal with what a guest shows that it can do; as it was, and a word why, where that can't be seen."""
    from vexlab.report import target_file  # noqa: PLC0415

    name, asked = str(proposed.values()["vexlab_target_name"]), proposed.possible(target.not_claimed([]))
    everything = proposed.with_measured(asked, {}, {}, "")
    fields = tuple(
        dataclasses.replace(field, value=root) if field.name == "vexlab_source" else field
        for field in everything.fields
    )
    with scratch.directory() as directory, Progress(stderr) as progress:
        file = directory / "vexlab.yml"
        file.write_text(target_file.render(dataclasses.replace(everything, fields=fields), root), encoding="utf-8")
        progress.say("measuring: all that it could do is claimed, so what fails here is what it can't")
        try:
            require_host()
            run = run_measure.judged(name, file, progress)
        except Interrupted:
            raise
        except VexlabError as problem:
            _tell(stderr, f"nothing was measured: {problem.message}{f'; {problem.hint}' if problem.hint else ''}")
            return proposed
    found = measured.of_run(run, asked)
    _tell_demanded(found.demanded, run.run)
    broken = next((stage for stage in run.stages if stage.verdict in WRONG and stage.achieved is False), None)
    if broken or not found.claims:
        _tell(stderr, f"nothing was measured: {f'stage {broken.name}: {broken.reason}' if broken else 'nothing works'}")
        return proposed
    stderr.say(f"measured in run {run.run}: {len(found.claims)} of {len(asked)} capabilities")
    above = f"Measured on kernel {run.kernel}: each check of these passed. Look whether the others are meant to work."
    return proposed.with_measured(found.claims, found.limits, found.why_not, above)


def _tell_demanded(checks: Sequence[Check], run: str) -> None:
    """What fails though it is demanded of every target: as many causes as a screen has room for."""
    found = causes(checks)
    if not found:
        return
    number = "1 check fails that is" if len(checks) == 1 else f"{len(checks)} checks fail that are"
    _tell(stderr, f"{number} demanded of every target:")
    for cause in found[:MOST]:
        stderr.say(cause.line, indent=2)
    if len(found) > MOST:
        stderr.say(f"and {len(found) - MOST} further causes: vexlab report {run}", indent=2)


@click.group("target", cls=WholeSentences)
def target_group() -> None:
    """Look at target files, which say what is under test."""


@target_group.command("check")
@click.argument("file", metavar="FILE")
@click.option("--source", metavar="DIR", help="Directory of the source tree, instead of the one that the file names.")
@json_option
def check(file: str, source: str | None, as_json: bool) -> None:
    """Say what is wrong with a target file, without a guest.

    The file is compared with its schema and with its source.
    """
    from vexlab.source import target_check  # noqa: PLC0415

    fields = target.load_target(Path(file))
    tree = (source or fields.get("vexlab_source")) if "vexlab_module_file" in fields else None
    findings: list[Finding] = []
    if tree:
        findings = target_check.against(_readable(Path(str(tree)), " with --source"), fields)
    gaps = target_check.not_looked_at(fields, bool(tree))
    if as_json:
        document = {"findings": [dataclasses.asdict(finding) for finding in findings], "not_looked_at": list(gaps)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show(findings, gaps)
    if wrong := [finding.field for finding in findings if finding.wrong]:
        raise UsageProblem(
            f"{file} contradicts the source: {', '.join(dict.fromkeys(wrong))}",
            "the lines with an arrow say what to do",
        )


def _show(findings: list[Finding], gaps: Iterable[str]) -> None:
    """What was found, what wasn't looked at, and that nothing is wrong if nothing is."""
    for finding in findings:
        _tell(stdout, f"{finding.field}: {finding.words} → {finding.remedy}", finding.wrong)
    for gap in gaps:
        stdout.say(f"not looked at: {gap}")
    if not any(finding.wrong for finding in findings):
        stdout.say(f"nothing contradicts the source{'; see the notes' if findings else ''}")


def _readable(directory: Path, how: str = "") -> Path:
    """The source, after the look at it that `vexlab up` takes."""
    return settings.readable_source(directory, installation.contract_defaults()["vexlab_disk_size_mb"], how)


def _as_named(root: Path, beside: Path) -> str:
    """The source as a file in that directory names it: relative where the two are near each other."""
    relative = os.path.relpath(root, beside)
    return str(root) if relative.startswith("../../..") else relative


def _tell(screen: Screen, words: str, wrong: bool = False) -> None:
    """One line for a person."""
    sign, style = SIGNS[wrong]
    screen.say(f"{sign} {words}", style=style)
