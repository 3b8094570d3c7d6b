"""The commands that run again what a run ran, and what went wrong in it."""

from __future__ import annotations

import shlex
from pathlib import Path

from vexlab.config import stage_list
from vexlab.results.causes import causes
from vexlab.results.model import WRONG, Amounts, Machine, Run, Stage

MOST = 5  # checks that one command names


def whole(run: Run, options: str) -> str:
    """Return the command that runs the same again; `options` name its lab, as in ` --name LAB`."""
    if run.machine is Machine.HARDWARE and run.device is not None:
        device = f"--device {shlex.quote(run.device.by_id)} --serial {shlex.quote(run.device.serial)}"
        return f"vexlab device test --inventory FILE {device} --phase {run.device.phase} --backup FILE"
    usual = [spec.name for spec in stage_list.stages() if spec.up]
    if not run.applied:
        return f"vexlab verify{_choice(run, usual)}{options}"
    if (
        not run.chosen
        and list(run.selected) == [name for name in usual if name in run.selected]
        and _all_of(usual, run)
    ):
        return f"vexlab up{options}"
    return f"vexlab test{_choice(run, [spec.name for spec in stage_list.stages()])}{_amounts(run.amounts)}{options}"


def failed(run: Run, stage: Stage, directory: Path, options: str, *, most: int = MOST) -> str:
    """Return the command that runs the first check of each cause of a stage again, or the stage if it was no check.

    Stage stress is run with the seed that it had.
    """
    if run.machine is Machine.HARDWARE:
        return ""
    leads = [cause.lead.name for cause in causes(check for check in stage.checks if check.verdict in WRONG)][:most]
    names = "".join(f" --check {shlex.quote(f'{stage.name}/{name}')}" for name in leads)
    seed = _seed(directory, stage.name) if run.amounts is not None else ""
    return f"vexlab test{names or f' --stage {shlex.quote(stage.name)}'}{seed}{options}"


def _all_of(usual: list[str], run: Run) -> bool:
    """Whether every stage of `vexlab up` that the target has was asked for."""
    lacking = {stage.name for stage in run.stages if stage.name not in run.selected and stage.reason}
    return set(usual) - lacking <= set(run.selected)


def _choice(run: Run, usual: list[str]) -> str:
    if run.chosen:
        return "".join(f" --check {shlex.quote(name)}" for name in run.chosen)
    if _all_of(usual, run):
        return ""
    return "".join(f" --stage {shlex.quote(name)}" for name in run.selected)


def _amounts(amounts: Amounts | None) -> str:
    if amounts is None:
        return ""
    return " --quick" * amounts.quick + (f" --seed {amounts.seed}" if amounts.seed else "")


def _seed(directory: Path, stage: str) -> str:
    """Return the seed that a stage wrote down, as an option."""
    found = sorted(directory.glob(f"**/stages/{stage}/seed")) if stage.isalnum() else []
    seed = found[0].read_text(encoding="utf-8", errors="replace")[:20].strip() if found else ""
    return f" --seed {seed}" if seed.isdecimal() else ""
