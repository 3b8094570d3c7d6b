"""The commands, each a few lines: what is asked for goes to the module that does it. Here are those that end a lab."""

from __future__ import annotations

import click

from vexlab import __version__
from vexlab.cli import (
    bisect,
    bundle,
    checks,
    config,
    crash,
    debug,
    device,
    export,
    gate,
    history,
    hosted,
    image,
    kernel,
    logs,
    look,
    matrix,
    recover,
    report,
    runs,
    stages,
    status,
    target,
    watch,
)  # fmt: skip
from vexlab.cli.common import end_guest, remove_lab, stderr
from vexlab.cli.completion import completion
from vexlab.cli.first_screen import FirstScreen
from vexlab.cli.options import lab_option
from vexlab.guest import lab as labs
from vexlab.report.terminal import Progress
from vexlab.run import brought_about, plain_playbooks, scratch

BY_USE = {
    "Work": ("init", "target", "checks", "up", "test", "watch", "verify", "debug", "bisect", "matrix"),
    "Look": (
        "status",
        "runs",
        "compare",
        "history",
        "report",
        "export",
        "bundle",
        "replay",
        "logs",
        "crash",
        "console",
        "ssh",
    ),
    "Gate and hardware": ("gate", "device", "recover"),
    "Housekeeping": ("doctor", "config", "down", "destroy", "image", "kernel", "completion"),
}
EXAMPLES = {
    "vexlab up": "ends with the filesystem mounted in a guest, and a verdict for each stage on the way.",
    "vexlab test --target vexlab.yml --name mine": "runs every stage of another filesystem on a pristine guest.",
}


@click.group(
    cls=FirstScreen, by_use=BY_USE, examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip
@click.version_option(__version__, prog_name="vexlab")
def cli() -> None:
    """Test a Linux filesystem that is a kernel module, in a VM that may crash."""


@cli.command()
@lab_option
def down(name: str) -> None:
    """Unmount, unload and stop the guest. Logs and runs stay."""
    hosted.take_down(name)
    lab = labs.find(name)
    if not lab.exists():
        stderr.say(f"there is no lab {name}; nothing to take down")
        return
    with lab.held():
        runs_on = lab.is_up()
        if runs_on and lab.guest_entry.is_file() and labs.guest_status(lab.record()) == "running":
            with scratch.directory() as directory, Progress(stderr) as progress:
                progress.wait_for("unmounting and unloading")
                log = directory / "ansible.log"
                outcome = brought_about.take_down(lab, log, plain_playbooks.shown_by(progress))
            if not outcome.ok:
                words = outcome.failure.message if outcome.failure else "Ansible failed"
                stderr.say(f"the filesystem could not be taken down cleanly: {words}", style="yellow")
        end_guest(lab, "stopped")
        stderr.say(f"the guest of lab {name} is stopped" if runs_on else f"lab {name} was not up")


@cli.command()
@lab_option
def destroy(name: str) -> None:
    """Stop the guest and remove the lab's directory. Runs and images stay."""
    lab = labs.find(name)
    if not lab.exists():
        stderr.say(f"there is no lab {name}; nothing to destroy")
        return
    if hosted.destroy(name):
        return
    remove_lab(lab)
    stderr.say(f"lab {name} is gone")


for command in (
    stages.up, stages.test, watch.watch_command, stages.verify, debug.debug_command, bisect.bisect_command,
    matrix.matrix_command, checks.checks_command, config.config,
    look.doctor_command, status.status, look.ssh,
    logs.console, logs.logs_command, crash.crash_command, report.report_command, export.export_command,
    bundle.bundle_command, bundle.replay_command, runs.runs_group, history.compare_command, history.history_command,
    image.image_group, kernel.kernel_group, gate.gate_group, device.device_group, recover.recover, target.init,
    target.target_group, completion,
):  # fmt: skip
    cli.add_command(command)
