"""`vexlab crash`: the memory of a guest that died, as a run has kept it, in drgn."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_symbols, kernels

from vexlab.cli import completion
from vexlab.cli.common import stderr
from vexlab.cli.options import last_of_lab_option
from vexlab.config import user_directories
from vexlab.errors import HostProblem, UsageProblem
from vexlab.guest import lab as labs
from vexlab.results import archive, results_file
from vexlab.results.model import Run

PROGRAM = "drgn"


@click.command("crash")
@click.argument("run", required=False, metavar="[RUN]", shell_complete=completion.run_names)
@last_of_lab_option
def crash_command(run: str | None, name: str | None) -> None:
    """Open the memory of a guest that died in drgn.

    It is that of a run with --vmcore: the last run, or the one that is named. It takes drgn, and the symbols of the
    kernel that `vexlab kernel symbols` fetches. The module's come along as long as its lab has built no other one.
    """
    directory = archive.find(run, name)
    dump = dump_of(directory)
    if shutil.which(PROGRAM) is None:
        raise HostProblem(f"{PROGRAM} is not installed", f"pipx install {PROGRAM}")
    told = results_file.read(directory / archive.RESULTS)
    words = [PROGRAM, "-c", str(dump), *symbols(told)]
    stderr.say(f"the guest's memory, as stage {dump.parent.name} of run {directory.name} has left it", style="bold")
    os.execvp(words[0], words)  # noqa: S606  it becomes the program


def dump_of(directory: Path) -> Path:
    """The first dump of a run; raises UsageProblem when it has none."""
    found = sorted(directory.glob("**/stages/*/vmcore"))
    if not found:
        said = f"run {directory.name} has no dump of a guest's memory"
        raise UsageProblem(said, "with --vmcore, vexlab up and vexlab test keep one of a guest that dies")
    return found[0]


def symbols(run: Run) -> list[str]:
    """The options that name the kernel and the module with their symbols; raises UsageProblem without the kernel's."""
    vmlinux = kernel_symbols.find(user_directories.cache_directory() / kernels.DIRECTORY, run.kernel)
    if vmlinux is None:
        raise UsageProblem(
            f"the symbols of kernel {run.kernel} are not at hand, and a dump tells nothing without them",
            f"vexlab kernel symbols {run.kernel}",
        )
    lab = labs.find(archive.lab_of(archive.find(run.run)))
    words = ["-s", str(vmlinux)]
    if run.module and lab.module_file.is_file() and lab.module().get("build_id") == run.module.build_id:
        return [*words, "-s", str(lab.module_file)]
    stderr.say("the module of that run is not at hand any more: its lab is gone, or has built another one")
    return words
