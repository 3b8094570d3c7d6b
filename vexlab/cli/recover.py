"""`vexlab recover`: takes down what a filesystem that went wrong left. Needs nothing of what may be broken then."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from vexlab.cli.common import refuse_hosted, stderr, verbose_option
from vexlab.cli.device import disk_path, log_printer, path_on_host, serial_number
from vexlab.config import installation
from vexlab.errors import GuestProblem, UsageProblem, VexlabError
from vexlab.guest import hardware, recovery
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab
from vexlab.run.hardware_run import AGAIN, IN_MEMORY, Disk, claimed, play, run_and_tell


@dataclass(frozen=True)
class Asked:
    """What is to be taken down, and how; `module` and `kind` are what a person named, or empty."""

    module: str
    kind: str
    lazy: bool
    sysrq: bool
    verbose: bool

    def targets(self, lab: Lab) -> list[dict[str, Any]]:
        """What the lab may have brought about, or what was named; raises VexlabError when that isn't known."""
        if not self.module:
            return recovery.known(lab)
        defaults = installation.contract_defaults()
        named = {name: str(defaults.get(name, "")) for name in recovery.SHAPES}
        named |= {"vexlab_module_name": self.module, "vexlab_filesystem_type": self.kind}
        try:
            return [recovery.checked(named)]
        except ValueError as problem:
            raise UsageProblem(str(problem), "as /proc/modules and /proc/filesystems have them") from None


@click.command()
@click.option(
    "--name", metavar="LAB", help="Recover the guest of this lab; without an inventory it is the default lab."
)
@click.option(
    "--inventory", metavar="FILE", help="Ansible inventory of test hardware, to recover that instead of a lab."
)
@click.option("--host", metavar="NAME", help="The host of the inventory's group `hardware`.")
@click.option("--module", metavar="NAME", help="Name of the module, where it isn't known what the lab brought about.")
@click.option("--type", "kind", metavar="TYPE", help="Type of the module's filesystem; it belongs to --module.")
@click.option("--lazy", is_flag=True, help="Unmount what is busy out of sight; it stays in use until its users end.")
@click.option("--sysrq", is_flag=True, help="Have the kernel log its blocked tasks and CPUs first.")
@click.option(
    "--restore", "file", callback=path_on_host, metavar="FILE", help="Restore the device from this backup afterwards."
)
@click.option(
    "--device", "by_id", callback=disk_path, metavar="/dev/disk/by-id/NAME", help="The device that --restore writes."
)
@click.option(
    "--serial", callback=serial_number, metavar="SERIAL", help="Serial number of the device that --restore writes."
)
@click.option("--take-over", is_flag=True, help="Free a machine whose controller is gone for good.")
@verbose_option
def recover(
    *, name: str | None, inventory: str | None, host: str | None, module: str | None, kind: str | None, lazy: bool,
    sysrq: bool, file: str | None, by_id: str | None, serial: str | None, take_over: bool,
    verbose: bool,
) -> None:  # fmt: skip
    """Take down a filesystem that went wrong, and tell what is left.

    It unmounts, detaches and unloads, and keeps what the kernel has said.
    """
    if name and inventory:
        raise UsageProblem("both --name and --inventory are given", "recover one machine at a time")
    if bool(module) != bool(kind):
        raise UsageProblem("--module and --type belong together", "give both, or neither")
    if file and not (inventory and by_id and serial):
        raise UsageProblem("--restore needs --inventory, --device and --serial", "vexlab device restore takes the same")
    asked = Asked(module or "", kind or "", lazy, sysrq, verbose)
    if inventory is None:
        lab = labs.find(name or installation.contract_defaults()["vexlab_lab"])
        refuse_hosted(lab)
        lab.ssh_command()  # raises when no guest is up
        with lab.held():
            _recover(asked, lab, None, {})
        return
    found = hardware.find(Path(inventory), host)
    declared = {"vexlab_hardware": found.variables.get("vexlab_hardware", True), "vexlab_recover_hosts": found.name}
    theirs = Path(inventory).absolute()
    with found.lab.held(), claimed(found, found.lab, theirs, take_over=take_over):
        _recover(asked, found.lab, theirs, declared)
    if file and by_id and serial:
        disk = Disk(found, inventory, by_id, serial, log_printer(verbose))
        record = play("device_restore", disk, None, vexlab_device_backup=file)["vexlab_backup_result"]
        stderr.say(f"{by_id} is restored: sha256 {record['sha256']}")


def _recover(asked: Asked, lab: Lab, inventory: Path | None, more: dict[str, Any]) -> None:
    """Take down each thing that the lab may have brought about; a VexlabError tells what is left of all of them."""
    directory = lab.directory / "recovery"
    with contextlib.suppress(OSError):  # evidence is worth having, and not worth a failure
        directory.mkdir(mode=0o700, exist_ok=True)
        for earlier in directory.glob("recover*.txt"):
            earlier.unlink()
    how = {
        "vexlab_recover_lazy": asked.lazy,
        "vexlab_recover_sysrq": asked.sysrq,
        "vexlab_run_directory": str(directory),
    }
    problems: list[str] = []
    kept: list[Path] = []
    for target in asked.targets(lab):
        evidence = directory / f"recover{f'-{len(kept) + 1}' if kept else ''}.txt"
        kept.append(evidence)
        try:
            variables = more | target | how | {"vexlab_recover_fetch": str(evidence)}
            on_log = log_printer(asked.verbose)
            facts = run_and_tell("recover", lab, variables, on_log, remote_tmp=IN_MEMORY, inventory=inventory)
        except GuestProblem:
            raise
        except VexlabError as problem:
            problems.append(problem.message)
        else:
            for line in facts["vexlab_recover_result"]["did"]:
                stderr.say(line)
    where = _told(kept)
    if problems:
        raise VexlabError("\n".join(problems), f"{AGAIN}; {where}")
    stderr.say(f"nothing is left; {where}")


def _told(evidence: Sequence[Path]) -> str:
    """Where the evidence is, as a part of a sentence."""
    there = [str(path) for path in evidence if path.is_file()]
    return f"evidence: {', '.join(there)}" if there else "no evidence could be kept"
