"""What a run is asked to do: the lab's contract, filled from its defaults, the target file and the command line."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.home_path import expanded
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_word
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError

from vexlab.config import installation, literals, source_tree, target, user_directories
from vexlab.errors import UsageProblem

COUNTS = ("vexlab_load_cycles", "vexlab_mount_cycles", "vexlab_churn_operations")  # how much stage stress does
# The least that makes sense; a seed of 0 is a new one each time, 0 jobs are what this machine allows.
LEAST = dict.fromkeys(COUNTS, 1) | {"vexlab_seed": 0, "vexlab_jobs": 0, "vexlab_boot_deadline": 1}
LAB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Options:
    """What was given on the command line; None is not given. Relative paths are of the caller's directory."""

    source: str | None = None
    target: str | None = None
    variant: str | None = None
    known_failures: str | None = None
    kernel: str | None = None
    debug: str | None = None
    accelerator: str | None = None
    memory_mb: int | None = None
    cpus: int | None = None
    ssh_port: int | None = None
    boot_deadline: int | None = None
    warm: bool | None = None
    builder: str | None = None
    vmcore: bool | None = None
    cycles: int | None = None
    seed: int | None = None
    quick: bool | None = None
    jobs: int | None = None

    def absolute(self) -> Options:
        """The same with paths that hold from any directory, so that a lab can remember them."""
        changed = {name: str(expanded(value).absolute()) for name, value in self._paths().items()}
        if self.kernel:
            changed["kernel"] = kernel_word.absolute(self.kernel, Path.cwd())
        return Options(**{**self.__dict__, **changed})

    def over(self, remembered: Options) -> Options:
        """These options, and for what was not given the remembered ones.

        A source belongs to its target, and so do known failures: another target doesn't inherit them.
        """
        base = dict(remembered.__dict__)
        if self.target is not None and self.target != remembered.target:
            base["source"] = base["variant"] = base["known_failures"] = None
        return Options(**{name: base[name] if value is None else value for name, value in self.__dict__.items()})

    def to_remember(self) -> Options:
        """What a lab keeps of them: how much one test is to do is of that test only."""
        return dataclasses.replace(self, cycles=None, seed=None, quick=None, jobs=None)

    def _paths(self) -> dict[str, str]:
        paths = ("source", "target", "known_failures")
        return {name: value for name in paths if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Settings:
    """A lab's name, its directory, and the contract: each `vexlab_*` variable with its value for this lab."""

    lab: str
    directory: Path
    contract: dict[str, Any] = field(repr=False)

    @property
    def target_name(self) -> str:
        """Name of the target."""
        return str(self.contract["vexlab_target_name"])

    @property
    def source(self) -> str:
        """Directory of the host that is shared into the guest; empty when the target's source is in the image."""
        return str(self.contract["vexlab_source"])


def check_lab_name(name: str) -> str:
    """Return the name if a lab can have it; raises UsageProblem otherwise."""
    if not LAB_NAME.fullmatch(name):
        raise UsageProblem(f"{name!r} can't be the name of a lab", "use 1 to 32 lower case letters, digits and hyphens")
    return name


def of_target(file: str | None) -> dict[str, Any]:
    """The contract with the defaults of the lab and what a target file says, by default the bundled one."""
    contract = dict(installation.contract_defaults())
    path = Path(file) if file else installation.root() / contract["vexlab_target_file"]
    _refuse_other_than_utf8("target file", path)
    return contract | target.load_target(path) | {"vexlab_target_file": str(path)}


def make(lab: str, options: Options) -> Settings:
    """Fill the contract; raises UsageProblem for whatever in it can't be."""
    check_lab_name(lab)
    contract = of_target(options.target)
    directory = user_directories.labs_directory() / lab
    for path, variable in ((directory, "XDG_STATE_HOME"), (user_directories.cache_directory(), "XDG_CACHE_HOME")):
        if mark := literals.mark_in(str(path)):
            raise UsageProblem(f"{path} holds {mark}, which Ansible would take for a template", f"change {variable}")
    contract |= {
        "vexlab_lab": lab,
        "vexlab_lab_directory": str(directory),
        "vexlab_cache_directory": str(user_directories.cache_directory()),
    }
    if contract["vexlab_variant"] not in contract["vexlab_variants"]:
        contract["vexlab_variant"] = contract["vexlab_variants"][0]  # unless the command line names another
    given = {name: value for name, value in options.__dict__.items() if value is not None and name != "target"}
    cycles = given.pop("cycles", None)
    if listed := given.pop("known_failures", ""):
        _refuse_other_than_utf8("file of known failures", Path(listed))
        contract["vexlab_known_failures"] = [
            *contract["vexlab_known_failures"], *target.load_known_failures(Path(listed)),
        ]  # fmt: skip
    contract |= {f"vexlab_{name}": value for name, value in given.items()}
    contract |= _amounts(contract, cycles)
    if options.source:
        contract["vexlab_source_in_guest"] = ""
    if contract["vexlab_source"]:
        contract["vexlab_source"] = str(
            readable_source(Path(contract["vexlab_source"]), contract["vexlab_disk_size_mb"], " with --source")
        )
    _check_kernel(contract["vexlab_kernel"])
    _check_choice("kind of debug kernel", contract["vexlab_debug"], tuple(contract["vexlab_debug_kinds"]))
    _check_choice("variant", contract["vexlab_variant"], tuple(contract["vexlab_variants"]))
    for name, least in LEAST.items():
        _check_amount(name, contract[name], least)
    return Settings(lab, directory, contract)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageProblem(f"unknown {what} {value!r}", f"known: {', '.join(choices)}")


def _check_kernel(word: str) -> None:
    """Raise UsageProblem for what names no kernel, or a file that isn't there; which ones Debian has is told later."""
    if said := kernel_word.problem(word):
        raise UsageProblem(said, f"it can be {kernel_word.FORMS}")
    if kernel_word.is_paths(word):
        try:
            kernel_word.paths(word)
        except ImageError as missing:
            raise UsageProblem(missing.message, missing.hint) from None


def _amounts(contract: dict[str, Any], cycles: int | None) -> dict[str, Any]:
    """How often stage stress does things: a quarter with `quick`, except for what was asked for by number."""
    amounts = {name: max(1, contract[name] // 4) for name in COUNTS} if contract["vexlab_quick"] else {}
    return amounts | ({} if cycles is None else {"vexlab_load_cycles": cycles, "vexlab_mount_cycles": cycles})


def _check_amount(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise UsageProblem(f"{name} is {value!r}", f"it must be a whole number, {least} or more")


def _refuse_other_than_utf8(what: str, path: Path) -> None:
    """Raise UsageProblem for a path that neither an inventory nor a terminal can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        said = f"the path of the {what}, {source_tree.shown(path)}, is not UTF-8"
        raise UsageProblem(said, "rename it, or link to it") from None


def readable_source(source: Path, disk: int, how: str = "") -> Path:
    """The source directory, made absolute; raises UsageProblem when it can't be copied to a disk of so many MiB.

    `how` is how a person names another one, for the hint.
    """
    source = expanded(source).absolute()
    _refuse_other_than_utf8("source directory", source)
    if not source.exists():
        raise UsageProblem(f"the source directory {source} does not exist", f"name another one{how}")
    if not source.is_dir():
        raise UsageProblem(f"the source {source} is not a directory", f"name the root of the tree{how}")
    if not os.access(source, os.R_OK | os.X_OK):
        raise UsageProblem(f"the source directory {source} can't be read by you", f"chmod u+rx {source}")
    if not any(source.iterdir()):
        raise UsageProblem(f"the source directory {source} is empty", f"name the root of the tree{how}")
    source_tree.check(source, disk)
    return source
