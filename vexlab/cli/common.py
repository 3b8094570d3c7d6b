"""What several commands share: options, the terminal, the table of verdicts, what must be there beforehand."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from rich.table import Table

from vexlab.cli import completion
from vexlab.cli.options import Command, with_all
from vexlab.config import atomic_file, installation
from vexlab.config.settings import Settings
from vexlab.errors import HostProblem, UsageProblem, VexlabError, write_problem
from vexlab.gate import evidence
from vexlab.guest import doctor
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab, name_option
from vexlab.hosts import hosted_lab
from vexlab.report import screen
from vexlab.report.screen import cut
from vexlab.report.terminal import STYLES, Progress, clock, counts, reason
from vexlab.report.text import _clean
from vexlab.results import archive, model, results_file
from vexlab.results.archive import Unreadable
from vexlab.results.model import Run, Verdict
from vexlab.run import forks, plain_playbooks, scratch, up_to_date

stderr, stdout = screen.stderr, screen.stdout
WHILE_IT_RUNS = 2  # how often -v is given to see Ansible's output at once


def _be_quiet(_: click.Context, __: click.Parameter, value: bool) -> None:
    stderr.quiet = value


def _tell_programs(_: click.Context, __: click.Parameter, value: str) -> None:
    stderr.for_programs = value == "json"


quiet_option = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_be_quiet, help="Say only what went wrong."
)


def verbose_option(command: Command) -> Command:
    """How much is said while a command is at work: `-q`, `-v`, `-vv`."""
    options = [
        quiet_option,
        click.option(
            "-v", "--verbose", count=True, help="Show Ansible's output afterwards; -vv shows it while it runs."
        ),
    ]
    return with_all(options, command)


@contextlib.contextmanager
def hushed(verbose: int) -> Iterator[None]:
    """Keep what a run says of itself from the screen, unless a person wants to see more."""
    before = stderr.quiet
    stderr.quiet = before or not verbose
    try:
        yield
    finally:
        stderr.quiet = before


progress_option = click.option(
    "--progress", type=click.Choice(["text", "json"]), default="text", show_default=True, expose_value=False,
    callback=_tell_programs, help="Form of the progress on stderr: text for people, or one JSON object per line.",
)  # fmt: skip


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def html_option(command: Command) -> Command:
    """`--html FILE`."""
    return click.option(
        "--html", "page", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True),
        help="Write the answer as a page for a browser, and print its path; - is stdout.",
    )(command)  # fmt: skip


def one_form(*, as_json: bool, page: Path | None) -> None:
    """Raise UsageProblem when two forms of an answer are asked for at once."""
    if as_json and page is not None:
        raise UsageProblem("--json and --html exclude each other", "give one of them")


def write_page(text: str, path: Path) -> None:
    """Write a page into a file and print where it is, or print the page itself; raises what keeps it from that."""
    if str(path) == "-":
        click.echo(text, nl=False)
        return
    if path.exists() and not path.is_file():  # a pipe, say, which can't be replaced
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as problem:
            raise write_problem(path, problem) from problem
    else:
        atomic_file.replace_file(path, text)
    click.echo(path)


def clean_option(command: Command) -> Command:
    """`--clean`."""
    return click.option("--clean", is_flag=True, help="Build everything anew.")(command)


def stage_option(meaning: str) -> Callable[[Command], Command]:
    """`--stage STAGE`, which may be given more than once."""
    return click.option(
        "--stage", "chosen", multiple=True, metavar="STAGE", help=meaning, shell_complete=completion.stage_names
    )


def choice_options(stages: str) -> Callable[[Command], Command]:
    """What of the checks is run: `--stage`, which has this meaning, `--check` and `--failed`."""
    options = [
        stage_option(stages),
        click.option(
            "--check", "checks", multiple=True, metavar="STAGE/CHECK",
            help="Only the checks of this name; * stands for any text. May be given more than once.",
            shell_complete=completion.check_names,
        ),
        click.option("--failed", is_flag=True, help="Only what failed in the last run of the lab."),
    ]  # fmt: skip
    return functools.partial(with_all, options)


keep_on_failure_option = click.option(
    "--keep-on-failure", is_flag=True,
    help="End at the first check that fails, and leave the guest as that has it, or as it died, for vexlab debug.",
)  # fmt: skip
fail_fast_option = click.option("-x", "--fail-fast", is_flag=True, help="Stop at the first stage that isn't passed.")


def verdict_table(run: Run, *, of_the_past: bool = False) -> Table:
    """The verdict of each stage that was asked for, or that came to something all the same.

    `of_the_past`: nothing follows that shows the errors of a build.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "verdict", "checks", "time"):
        table.add_column(heading, no_wrap=heading != "checks")  # a long count goes on below: no word is cut for it
    table.add_column("")
    for stage in model.asked_for(run):
        sign, style = STYLES[stage.verdict]
        seconds = clock(stage.seconds) if stage.verdict is not Verdict.NOT_RUN else ""
        verdict = f"[{style}]{sign} {stage.verdict}[/]"
        table.add_row(stage.name, verdict, counts(stage), seconds, cut(stage.reason if of_the_past else reason(stage)))
    return table


def show_log(log: Path, verbose: int) -> None:
    """Print Ansible's output at the end, if that was asked for; what was shown at once is not shown again."""
    if 0 < verbose < WHILE_IT_RUNS and log.is_file():
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            stderr.say(line)


def plain(text: str) -> str:
    """The first line of a text from elsewhere, fit to be shown."""
    return _clean(next(iter(text.splitlines()), ""))


def require_host(*, builds_only: bool = False) -> None:
    """Raise HostProblem with the one thing to do when this machine lacks something; `builds_only`: for builds alone."""
    findings = [finding for finding in doctor.examine(builds_only=builds_only) if finding.ok is False]
    if findings:
        packages = doctor.missing_packages(findings)
        others = [f"{finding.what}: {finding.detail} → {finding.remedy}" for finding in findings if not finding.package]
        what = [f"missing: {', '.join(finding.what for finding in findings if finding.package)}"] if packages else []
        hint = f"vexlab doctor --install, or: sudo apt-get install {' '.join(packages)}" if packages else ""
        raise HostProblem("; ".join(what + others), hint)


def end_guest(lab: Lab, how: str) -> list[str]:
    """End the guest, and what is left of others of the lab; returns the tasks that changed something."""
    end_left(lab)
    with scratch.directory() as directory, Progress(stderr) as progress:
        progress.wait_for("ending the guest")
        return plain_playbooks.end_guest(lab, how, directory / "ansible.log", plain_playbooks.shown_by(progress))


def end_left(lab: Lab) -> None:
    """End the guests of stages that were judged beside others when their run was killed."""
    if (lab.directory / forks.DIRECTORY).is_dir():
        with scratch.directory() as directory:
            forks.end_left(lab, directory / "ansible.log")


def remove_lab(lab: Lab) -> None:
    """End the guest and remove the lab's directory; runs and images stay."""
    with lab.held():
        if not (lab.inventory / "hypervisor.yml").is_file():  # a run that was killed before it wrote one
            identity = {"vexlab_lab": lab.name, "vexlab_lab_directory": str(lab.directory)}
            contract = {**installation.contract_defaults(), **identity}
            plain_playbooks.prepare(lab, Settings(lab.name, lab.directory, contract))
        end_guest(lab, "absent")
        shutil.rmtree(lab.directory, ignore_errors=True)


def existing(name: str) -> Lab:
    """The lab of that name, on this machine; raises UsageProblem when there is none."""
    lab = existing_anywhere(name)
    refuse_hosted(lab)
    return lab


def refuse_hosted(lab: Lab) -> None:
    """Raise UsageProblem when a hypervisor has the lab, for what works with a guest of this machine."""
    if (hosted := hosted_lab.find(lab)) is not None:
        raise UsageProblem(
            f"lab {lab.name} is on {hosted.record.host}, and this works with a guest of this machine",
            "docs/many-machines.md tells what a lab on a hypervisor can do; another --name is another lab",
        )


def existing_anywhere(name: str) -> Lab:
    """The lab of that name, even if a hypervisor has it; raises UsageProblem when there is none."""
    lab = labs.find(name)
    if not lab.exists():
        known = ", ".join(found.name for found in labs.all_labs()) or "none"
        raise UsageProblem(
            f"unknown lab {name!r}", f"known labs: {known}; `vexlab up{name_option(name)}` makes this one"
        )
    return lab


def chosen_run(name: str | None, lab: str | None) -> Run:
    """The run of that name, or the last one of a lab or of all; newer ones that can't be read are named.

    Raises UsageProblem when there is none, and a VexlabError when the one that was asked for can't be read.
    """
    if name is not None:
        return results_file.read(archive.find(name) / archive.RESULTS)
    run = last_run(lab)
    if run is None:
        raise archive.no_run(lab)
    return run


def last_run(lab: str | None) -> Run | None:
    """The last run of a lab, or of all; of a lab that went on from a checkpoint, the run whose verdicts it has.

    Newer ones that can't be read are named.
    """
    if lab is not None and (name := up_to_date.run_of(labs.find(lab))):
        with contextlib.suppress(VexlabError):  # it was removed meanwhile
            return results_file.read(archive.find(name) / archive.RESULTS)
    run, unreadable = archive.last(lab)
    name_unreadable(unreadable)
    return run


def warn_of_edits(run: Run) -> None:
    """Tell the person when the evidence of a run isn't what it was when the run ended."""
    try:
        entry = next((entry for entry in evidence.entries() if entry.run == run.run), None)
    except VexlabError as broken:
        stderr.say(f"whether the evidence was edited can't be told: {broken.message}", style="yellow")
        return
    if entry is not None and (problem := evidence.problem(entry)):
        stderr.say(f"the evidence of run {run.run} is not as it was sealed: {problem}", style="yellow")


def name_unreadable(found: Iterable[Unreadable]) -> None:
    """Tell the person of runs that are passed over because their results can't be read."""
    for one in found:
        stderr.say(f"run {one.name} is passed over: {one.why}", style="yellow")
