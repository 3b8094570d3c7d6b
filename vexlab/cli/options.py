"""The options that say what is tested and how, each of which a variable or a settings file may give as well."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from ansible_collections.vexfs.vexlab.plugins.module_utils.home_path import expanded
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_word

from vexlab.cli import completion
from vexlab.config import installation, place, settings, settings_file
from vexlab.config.settings import Options
from vexlab.config.settings_file import SettingsFile
from vexlab.errors import UsageProblem

Command = Callable[..., Any]
LAB = "name"  # the setting that names the lab
PATIENCE = 120  # seconds
BUILDERS = ("auto", *installation.role_choices("vexfs_build", "vexfs_build_builder"))


def variable_of(option: str) -> str:
    """The environment's variable that gives an option, by its long name without the dashes."""
    return f"VEXLAB_{option.upper().replace('-', '_')}"


def _option(name: str, *names: str, **how: Any) -> Command:
    """An option that a variable may give as well."""
    return click.option(name, *names, envvar=variable_of(name.partition("/")[0].lstrip("-")), **how)


SOURCE = (
    _option("--source", metavar="DIR", help="Directory of the source tree, instead of the one that the target names."),
    _option("--target", metavar="FILE", help="Target file: what is tested. Without one it is the bundled VexFS."),
    _option(
        "--variant", metavar="NAME", help="Which of the target's builds is tested, by its name in the target file."
    ),
    _option(
        "--known-failures",
        metavar="FILE",
        help="File with further vexlab_known_failures, beside those of the target file.",
    ),
)
AMOUNTS = (
    _option(
        "--cycles", type=click.IntRange(min=1), metavar="N",
        help="How many times stage stress loads the module, and mounts the filesystem.",
    ),
    _option(
        "--seed", type=click.IntRange(min=1), metavar="N",
        help="Seed of what is random in stage stress, to repeat a run.",
    ),
)  # fmt: skip
JOBS = _option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Number of guests that work at once; without it, what CPUs and memory allow.",
)  # fmt: skip
KERNEL = _option(
    "--kernel", metavar="KERNEL",
    help="Kernel of the guest: a Debian suite, a release, .deb files with commas between, their directory, or a "
    "build tree.",
)  # fmt: skip
GUEST = (
    _option(
        "--debug", type=click.Choice(tuple(installation.contract_defaults()["vexlab_debug_kinds"])),
        help="How hard the guest's kernel looks for mistakes of the module.",
    ),
    _option(
        "--accelerator", type=click.Choice(installation.role_choices("vexlab_guest", "vexlab_guest_accelerator")),
        help="What runs the guest: kvm, tcg (emulation), or auto for the faster one that works.",
    ),
    _option("--memory", "memory_mb", type=click.IntRange(min=512), metavar="MIB", help="Memory of the guest in MiB."),
    _option("--cpus", type=click.IntRange(min=1), metavar="N", help="Number of CPUs of the guest."),
    _option(
        "--ssh-port", type=click.IntRange(1024, 65535), metavar="PORT",
        help="First port of 127.0.0.1 that is tried for ssh.",
    ),
    _option(
        "--boot-deadline", type=click.IntRange(min=1), metavar="SECONDS",
        help="Seconds after its start in which the guest must answer by ssh.",
    ),
    _option("--warm/--cold", default=None, help="Start from a saved guest, which is the default, or boot."),
    _option(
        "--builder", type=click.Choice(BUILDERS),
        help="Where the module is built: in the guest, in a sandbox here, or auto for the faster one.",
    ),
    _option("--vmcore", is_flag=True, default=None, help="Keep the memory of a guest that crashes or hangs."),
)  # fmt: skip
TARGET = (*SOURCE, KERNEL, *GUEST)
# Of a matrix: what is multiplied, each of which may be given more than once.
MULTIPLIED = (
    SOURCE[0],
    _option(
        "--target", "targets", multiple=True, metavar="FILE", type=click.Path(),
        help="Target file; without one it is that of a settings file, or the bundled VexFS. May be given more than "
        "once.",
    ),
    _option(
        "--kernel", "kernels", multiple=True, metavar="KERNEL",
        help="Kernel, as vexlab test takes it; without one it is every series of Debian's suites that has headers. May "
        "be given more than once.",
    ),
    _option(
        "--variant", "variants", multiple=True, metavar="NAME",
        help="Which of a target's builds; without one it is all of them. May be given more than once.",
    ),
)  # fmt: skip
# Of what a hypervisor does in the place of this machine.
HYPERVISORS = click.option(
    "--hypervisors", "inventory", metavar="INVENTORY", type=click.Path(path_type=Path),
    help="Inventory that has the hypervisor in its group hypervisors.",
)  # fmt: skip
HYPERVISOR = (
    _option(
        "--hypervisor", metavar="[USER@]HOST",
        help="Have the guest on this machine, which ssh knows, or which the inventory has.",
    ),
    HYPERVISORS,
    click.option(
        "--patience", type=click.IntRange(min=10), metavar="SECONDS",
        help=f"Seconds without a sign of life after which the hypervisor is lost; without it, {PATIENCE}.",
    ),
)  # fmt: skip
QUICK = click.option(
    "--quick", is_flag=True, default=None, help="Do less in stage stress, mostly a quarter, with the same checks."
)


def typed(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Options of the present command as they are typed; None is not given."""
    words: list[str] = []
    for option in click.get_current_context().command.params:
        value = given.get(option.name or "")
        for each in value if isinstance(value, tuple) else (value,):
            words += _typed(option, each)
    return tuple(words)


def _typed(option: click.Parameter, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return (option.opts if value else option.secondary_opts)[:1]
    if isinstance(option, click.Option) and option.count:
        return [option.opts[0]] * int(value)
    return [option.opts[0], str(value)]


def with_all(options: Sequence[Command], command: Command) -> Command:
    """The command with these options, in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def source_options(command: Command) -> Command:
    """What is tested: `--source`, `--target`, `--variant`, and what of it is known to fail: `--known-failures`."""
    return with_all(SOURCE, command)


def amount_options(command: Command) -> Command:
    """How much stage stress does, and by which seed: `--cycles`, `--seed`."""
    return with_all(AMOUNTS, command)


def with_options(command: Command) -> Command:
    """Collect the options of a lab, which it remembers until it is destroyed, into one `Options`."""
    names = [each.name for each in dataclasses.fields(Options)]

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        options = Options(**{name: given.pop(name, None) for name in names}).absolute()
        command(options=options, **given)

    return with_all(TARGET, wrapper)


def lab_option(command: Command) -> Command:
    """`--name LAB`."""
    return with_all([lab_named("Name of the lab")], command)


def lab_named(meaning: str) -> Command:
    """`--name LAB`, which has this meaning."""
    default = installation.contract_defaults()["vexlab_lab"]
    return _option(
        "--name", default=default_lab, metavar="LAB", shell_complete=completion.lab_names,
        help=f"{meaning}; unless a settings file names one, it is {default}.",
    )  # fmt: skip


def last_of_lab_option(command: Command) -> Command:
    """`--name LAB`, which chooses among runs: without it, it is the last of all labs."""
    meaning = "Take the last run of this lab, instead of the last of all."
    return click.option("--name", metavar="LAB", help=meaning, shell_complete=completion.lab_names)(command)


def default_lab() -> str:
    """The lab that is meant where none is named: that of the settings file, or THE default."""
    return of_settings_file().lab or str(installation.contract_defaults()["vexlab_lab"])


@dataclass(frozen=True)
class FromFile:
    """What a settings file says: options, and the name of the lab; empty where there is no file."""

    options: Options = field(default_factory=Options)
    lab: str = ""
    file: SettingsFile | None = None


def by_name() -> dict[str, click.Option]:
    """The options that a settings file may give, by their long names."""
    collected: list[click.Option] = with_all((*TARGET, JOBS), lambda: None).__click_params__  # type: ignore[attr-defined]
    return {each.opts[0].lstrip("-"): each for each in reversed(collected)}


def of_settings_file() -> FromFile:
    """What the settings file that holds in the current directory says; raises UsageProblem with all that is wrong."""
    file = settings_file.find(Path.cwd())
    if file is None:
        return FromFile()
    known, given, findings = by_name(), {}, []
    for name, value in file.values.items():
        try:
            if name == LAB:
                _check_lab(value)
            elif name in known:
                given[known[name].name] = _converted(known[name], value)
            else:
                findings.append(file.finding(name, f"{name}: there is no such setting{_meant(name, known)}"))
        except click.BadParameter as problem:
            findings.append(
                file.finding(name, f"{name}: {problem.message} {known[name].help if name in known else ''}")
            )
        except UsageProblem as problem:
            findings.append(file.finding(name, f"{name}: {problem.message}; {problem.hint}"))
    if findings:
        raise place.problem(file.path, file.text, findings, settings_file.HINT)
    return FromFile(_beside(file, Options(**given)), str(file.values.get(LAB, "")), file)


def of_source(given: dict[str, Any]) -> Options:
    """What is tested and how much of it, as options or variables give it, and for the rest a settings file.

    What else such a file says is of guests. Raises UsageProblem with all that is wrong in it.
    """
    file = of_settings_file().options
    settled = Options(source=file.source, target=file.target, variant=file.variant, known_failures=file.known_failures)
    return Options(**given).absolute().over(settled)


def _meant(name: str, known: dict[str, click.Option]) -> str:
    """The setting that somebody may have meant, as the end of a sentence."""
    return place.did_you_mean(name.replace("_", "-"), [LAB, *known])


def _check_lab(value: object) -> None:
    if not isinstance(value, str):
        raise click.BadParameter(f"{value!r} is not text.")
    settings.check_lab_name(value)


def _converted(option: click.Option, value: Any) -> Any:
    """A value of a settings file as the option would have it; raises BadParameter for one that it wouldn't take."""
    kinds: dict[type, str] = {bool: "true or false", int: "a whole number", str: "text"}
    wanted = bool if option.is_flag else int if isinstance(option.type, click.IntRange) else str
    if type(value) is not wanted:
        raise click.BadParameter(f"{value!r} is not {kinds[wanted]}.")
    return option.type.convert(value, option, None)


def _beside(file: SettingsFile, options: Options) -> Options:
    """The options with paths that are relative to the file made absolute."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else os.path.normpath(file.path.parent / expanded(path))

    kernel = options.kernel and kernel_word.absolute(options.kernel, file.path.parent)
    return dataclasses.replace(
        options, source=absolute(options.source), target=absolute(options.target),
        known_failures=absolute(options.known_failures), kernel=kernel,
    )  # fmt: skip


_OF_COMMANDS = {
    "vexlab_clean": "--clean", "vexlab_device": "--device", "vexlab_device_serial": "--serial",
    "vexlab_device_overwrite": "--overwrite", "vexfs_mkfs_overwrite": "--overwrite",
    "vexlab_device_backup": "--backup", "vexlab_readiness": "--readiness", "vexlab_backups": "--to",
}  # fmt: skip
"""Options of single commands, by the variable of the contract that they give."""


def as_typed(text: str) -> str:
    """What a role said, with the options of the command in place of the role's inputs that they give."""
    if not re.search(r"\bvex(?:lab|fs)_", text):
        return text
    options = {f"vexlab_{each.name}": f"--{name}" for name, each in by_name().items()}
    del options["vexlab_known_failures"]  # the field is in a file, whichever
    options |= _OF_COMMANDS
    wiring = installation.read_yaml(installation.root() / "playbooks" / "vars" / "wiring.yml")
    for role_input, template in wiring.items():
        variable = re.fullmatch(r"{{ (\w+) }}", str(template))
        if variable and variable[1] in options:
            options[role_input] = options[variable[1]]
    return re.sub(r"\bvex(?:lab|fs)_\w+", lambda found: options.get(found[0], found[0]), text)
