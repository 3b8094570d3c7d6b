"""`vexlab debug`: a guest at the point where a check begins or fails, for a person to look at, with a shell or gdb."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from pathlib import Path

import click

from vexlab.cli import completion
from vexlab.cli.common import end_guest, end_left, existing, stderr, verbose_option
from vexlab.cli.options import lab_option, with_options
from vexlab.cli.order import Order, say_what, take_order
from vexlab.cli.stages import ending
from vexlab.config import stage_list
from vexlab.config.settings import Options
from vexlab.errors import GuestProblem, StageFailed, UsageProblem
from vexlab.guest import debugger, forensics, recovery
from vexlab.guest import lab as labs
from vexlab.guest.debugger import Scene
from vexlab.guest.lab import Lab, name_option
from vexlab.report.terminal import Progress
from vexlab.results.model import WRONG, Stage
from vexlab.results.stage_record import Held
from vexlab.run import brought_about, debugging, interrupt, plain_playbooks, scratch, selection, up_to_date
from vexlab.run.debugging import BEFORE, BEGIN, FAILED, PASSED, DebuggedCheck
from vexlab.run.selection import Selection

GREETING = "the guest stands still before {check}. Set breakpoints; `continue` begins the check, Ctrl-C stops the guest"


@click.command("debug")
@click.argument("check", required=False, metavar="[STAGE/CHECK]", shell_complete=completion.check_names)
@lab_option
@click.option("--before", is_flag=True, help="Stop before the check, instead of where it fails.")
@click.option("--gdb", "with_gdb", is_flag=True, help="Use gdb on the guest's kernel, instead of a shell in the guest.")
@click.option("--keep", is_flag=True, help="Leave the guest up afterwards.")
@verbose_option
@with_options
def debug_command(
    *, check: str | None, name: str, before: bool, with_gdb: bool, keep: bool, options: Options, verbose: int
) -> None:
    """Look at a check where it fails.

    A pristine guest goes on from the checkpoint of the last run, or is brought to where the check begins. There the
    check runs. Where it fails you get a shell in the guest, in the directory that the check works in. When you leave,
    the guest is taken down. Of a check that passes you are told so, and get no shell.

    Without a check it is the guest that is up, as it is, even if its kernel is dead. That guest stays.
    """
    if with_gdb:
        debugger.require()
    if check is None:
        _look(existing(name), with_gdb=with_gdb, before=before)
        return
    if with_gdb and before:
        raise UsageProblem("--gdb stops before the check anyway", "leave --before out")
    order = take_order(name, options, as_json=False, verbose=verbose)
    selected = _of_one_stage(order, check)
    with order.lab.held():
        if order.lab.is_up():
            stderr.say(f"the guest of lab {order.lab.name} is replaced by a pristine one")
            end_guest(order.lab, "stopped")
        with contextlib.nullcontext() if keep else ending(order.lab), scratch.directory() as directory:
            root = directory / "session"  # whoever runs the checks locks the directory, as whoever made that has
            root.mkdir(mode=0o700)
            Session(order, selected, root).run(with_gdb=with_gdb, before=before)


def _of_one_stage(order: Order, check: str) -> Selection:
    """What the name means; raises UsageProblem when that is of several stages."""
    selected = selection.by_name([check], stage_list.stages_for(()), order.settings.contract)
    if len(selected.judged) > 1:
        raise UsageProblem(
            f"{check!r} names checks of the stages {', '.join(selected.judged)}", f"name one: {selected.judged[0]}/…"
        )
    return selected


class Session:
    """One check that is debugged in the guest of a lab; `root` is the directory for what comes of it."""

    def __init__(self, order: Order, selected: Selection, root: Path) -> None:
        """Prepare; nothing is started."""
        self._order = order
        self._lab = order.lab
        self._stage = selected.judged[0]
        self._root = root
        self._names = selected.choices[self._stage].only

    def run(self, *, with_gdb: bool, before: bool) -> None:
        """Bring the guest there, and have the person look at it; raises StageFailed when the check failed."""
        with Progress(stderr) as progress:
            failed = self._bring_about(progress, notes=with_gdb)
        if failed is not None:
            self._show_way(failed, with_gdb=with_gdb)
        check = DebuggedCheck(self._lab, self._order.settings, self._stage, self._names, self._root)
        try:
            if with_gdb:
                self._in_gdb(check)
            else:
                self._in_shell(check, BEFORE if before else FAILED)
        finally:
            check.end()

    def _bring_about(self, progress: Progress, *, notes: bool) -> Stage | None:
        """Have all there that the check stands on; returns the stage that went wrong on the way, if one did.

        `notes`: what gdb has to know of the kernel is noted as soon as there is one.
        """
        lab, settings = self._lab, self._order.settings
        checkpoint = self._order.inputs.anywhere
        up_to_date.forget(lab)
        end_left(lab)
        plain_playbooks.prepare(lab, settings)
        recovery.remember(lab, settings.contract)
        brought_about.remember(lab)
        lab.remember(self._order.options.to_remember(), self._order.of_file)
        say_what(self._order)
        if (
            settings.contract["vexlab_warm"]
            and debugging.begins_at_checkpoint(self._stage)
            and debugging.go_on(lab, checkpoint, self._root, progress)
        ):
            return None
        plan = debugging.way_to(self._stage, checkpoint)
        on_stage = (lambda: debugger.note(lab)) if notes else (lambda: None)
        return debugging.bring_about(lab, settings, plan, self._root, progress=progress, on_stage=on_stage)

    def _show_way(self, failed: Stage, *, with_gdb: bool) -> None:
        """Show the guest where something went wrong before the check could begin, and raise StageFailed."""
        stderr.say(f"on the way to the check, stage {failed.name} {failed.verdict}: {failed.reason}", style="red")
        look = f"vexlab debug {self._stage}/{self._names[0]} --gdb{name_option(self._lab.name)}"
        if with_gdb and self._lab.is_up():
            self._gdb(Scene(self._lab, *self._places()))
        elif labs.guest_status(self._lab.record()) == "running":
            self._shell([])
        raise StageFailed(f"the check was not reached: stage {failed.name} {failed.verdict}", look)

    def _in_shell(self, check: DebuggedCheck, at: str) -> None:
        held = self._waited_for(check, at, is_patient=False)
        if held is None:
            return
        self._say(held)
        self._shell([held.directory])
        if held.when == FAILED:
            raise StageFailed(f"{self._stage}/{held.check} failed")

    def _in_gdb(self, check: DebuggedCheck) -> None:
        held = self._waited_for(check, BEGIN, FAILED, PASSED, is_patient=True)
        if held is None:
            return
        greeting = GREETING.format(check=f"{self._stage}/{held.check}")
        self._gdb(Scene(self._lab, *self._places(), held=check.record.held_file, greeting=greeting))
        held = check.record.held()
        if held is not None and held.when == FAILED:
            self._say(held)
            raise StageFailed(f"{self._stage}/{held.check} failed")
        if held is None and check.is_dead():
            raise self._death("")
        stderr.say(
            f"{held.check} passed" if held and held.when == PASSED else "gdb was left before the check had ended"
        )

    def _waited_for(self, check: DebuggedCheck, *at: str, is_patient: bool) -> Held | None:
        """Start the check, and wait until it waits somewhere; None, with what came of it told, when it never does."""
        check.start(*at, is_patient=is_patient)
        with Progress(stderr) as progress:
            progress.wait_for("the check")
            held = check.wait(progress.tick)
        if held is None:
            self._tell(check)
        return held

    def _tell(self, check: DebuggedCheck) -> None:
        """Say what came of a check that didn't wait anywhere; raises StageFailed unless that is well."""
        if check.is_dead():
            command = f"vexlab debug {self._stage}/{self._names[0]} --gdb{name_option(self._lab.name)}"
            raise self._death(f"{command} looks at it as it dies")
        for each in check.finished():
            words = f": {each.message}" if each.message else ""
            stderr.say(f"{self._stage}/{each.name} {each.verdict}{words}")
            if each.verdict in WRONG:
                raise StageFailed(f"{self._stage}/{each.name} {each.verdict}")

    def _death(self, hint: str) -> StageFailed:
        module, build, _ = self._places()
        death = forensics.cause_of_death(self._lab, module, build)
        return StageFailed(f"the guest's kernel died: {death.reason}", hint)

    def _say(self, held: Held) -> None:
        if held.when == FAILED:
            stderr.say(f"{self._stage}/{held.check} failed: {held.message}", style="red")
        else:
            stderr.say(f"stopped before {self._stage}/{held.check}")

    def _places(self) -> tuple[str, str, str]:
        return places(self._order.settings.contract)

    def _shell(self, directories: list[str]) -> None:
        contract = self._order.settings.contract
        usual = [contract["vexlab_mount_point"], contract["vexlab_work_directory"]]
        shell(self._lab, [*filter(None, directories), *usual])

    def _gdb(self, scene: Scene) -> None:
        with interrupt.left_to_program():
            debugger.run(scene, self._root)


def places(contract: dict[str, str]) -> tuple[str, str, str]:
    """Name of the module, where it is built in the guest, and where its source is on this machine."""
    return (
        contract["vexlab_module_name"], f"{contract['vexlab_work_directory']}/build", contract["vexlab_source"]
    )  # fmt: skip


def _look(lab: Lab, *, with_gdb: bool, before: bool) -> None:
    """Show the guest that is up as it is."""
    if before:
        raise UsageProblem("--before is of a check, and none is named", "vexlab checks lists them")
    with lab.held():
        if not lab.is_up():
            raise GuestProblem(f"no guest is up in lab {lab.name}", f"vexlab up{name_option(lab.name)}")
        contract, status = lab.contract(), labs.guest_status(lab.record())
        if with_gdb:
            with interrupt.left_to_program(), scratch.directory() as root:
                debugger.run(Scene(lab, *places(contract)), root)
        elif status != "running":
            hint = f"vexlab debug --gdb{name_option(lab.name)}"
            raise GuestProblem(f"the guest of lab {lab.name} is {status or 'silent'}, so it gives no shell", hint)
        else:
            shell(lab, [contract["vexlab_mount_point"]])


def shell(lab: Lab, directories: list[str]) -> None:
    """Have the person use a shell in the guest, in the first of these directories that is there."""
    stderr.say(f"a shell in the guest, in {directories[0]}; `exit` leaves it", style="bold")
    words = " || ".join(f"cd {shlex.quote(directory)} 2>/dev/null" for directory in directories)
    ssh, *rest = lab.ssh_command((f'{words}; exec "${{SHELL:-/bin/sh}}" -l',))
    with interrupt.left_to_program():
        subprocess.run([ssh, "-t", *rest], check=False)
