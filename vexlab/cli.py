"""The commands, each a few lines: what is asked for goes to the module that does it. Here are those that end a lab."""

from __future__ import annotations

import shutil

import click

from vexlab import (
    __version__,
    cli_device,
    cli_gate,
    cli_image,
    cli_look,
    cli_recover,
    cli_stages,
    content,
    runs,
    scratch,
)
from vexlab import lab as labs
from vexlab.cli_common import end_guest, lab_option, stderr
from vexlab.lab import Lab
from vexlab.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="vexlab")
def cli() -> None:
    r"""Test a Linux filesystem that is a kernel module, in a VM that may crash.

    \b
    vexlab up    ends with the filesystem mounted in a guest and a verdict for each stage on the way.
    vexlab test  runs every stage on a pristine guest, stress and errors too.
    """


@cli.command()
@lab_option
def down(name: str) -> None:
    """Unmount, unload and stop the guest. Logs and runs stay."""
    lab = labs.find(name)
    if not lab.exists():
        stderr.print(f"there is no lab {name}; nothing to take down")
        return
    with lab.held():
        runs_on = lab.is_up()
        if runs_on and lab.guest_entry.is_file() and labs.guest_status(lab.record()) == "running":
            with scratch.directory() as directory:
                outcome = runs.run_plain("teardown", lab, {}, directory / "ansible.log")
            if not outcome.ok:
                words = outcome.failure.message if outcome.failure else "Ansible failed"
                stderr.print(f"the filesystem could not be taken down cleanly: {words}", markup=False, style="yellow")
        end_guest(lab, "stopped")
        stderr.print(f"the guest of lab {name} is stopped" if runs_on else f"lab {name} was not up")


@cli.command()
@lab_option
def destroy(name: str) -> None:
    """Stop the guest and remove the lab's directory. Runs and images stay."""
    lab = labs.find(name)
    if not lab.exists():
        stderr.print(f"there is no lab {name}; nothing to destroy")
        return
    with lab.held():
        runs_inventory = lab.inventory / "hypervisor.yml"
        if not runs_inventory.is_file():  # a run that was killed before it wrote one
            runs.prepare(lab, Settings(name, lab.directory, {**content.contract_defaults(), **_identity(lab)}))
        end_guest(lab, "absent")
        shutil.rmtree(lab.directory, ignore_errors=True)
    stderr.print(f"lab {name} is gone")


def _identity(lab: Lab) -> dict[str, str]:
    return {"vexlab_lab": lab.name, "vexlab_lab_directory": str(lab.directory)}


for command in (
    cli_stages.up, cli_stages.test, cli_stages.verify, cli_look.doctor_command, cli_look.status, cli_look.ssh,
    cli_look.console, cli_look.logs, cli_look.report_command, cli_look.runs_command, cli_image.image_group,
    cli_gate.gate_group, cli_device.device_group, cli_recover.recover,
):  # fmt: skip
    cli.add_command(command)
