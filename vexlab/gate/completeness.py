"""How much a run shows: whether it was a whole one, what was seen of it, whether it demanded less than another.

Every answer that is a reason is a part of a sentence, and empty where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from vexlab.config import debug_kinds, installation, stage_list
from vexlab.gate.evidence import Entry
from vexlab.results import model
from vexlab.results.model import WRONG, Amounts, Contract, Run, Verdict, stages_lacking

_CYCLES = re.compile(r"cycles\.(\w+)\[(\d+ times)\]")
"""A check that does something many times; it has passed when it did so as often as its name says."""
_NOTHING = (Verdict.SKIPPED, Verdict.NOT_RUN)
"""Verdicts of a stage that demanded nothing."""
_REACHED = "it was interrupted, or ended before its stages"


def incomplete(run: Run) -> str:
    """Why a run in the VM is no complete one, whatever its verdict is."""
    missing = cut([spec.name for spec in stage_list.stages()], run)
    if run.finished is None or run.verdict is Verdict.NOT_RUN:
        return _REACHED
    return missing or reduced(run) or _not_reached(run)


def cut(stages: Sequence[str], run: Run) -> str:
    """Which of these stages a run was not asked for, though its target has them."""
    left_out = [name for name in stages if name not in run.selected and name not in stages_lacking(run)]
    return f"stages were left out: {', '.join(left_out)}" if left_out else ""


def _not_reached(run: Run) -> str:
    """Which stages were asked for and never ran, and what kept them from it."""
    verdicts = {stage.name: stage.verdict for stage in run.stages}
    missing = [name for name in run.selected if verdicts.get(name, Verdict.NOT_RUN) is Verdict.NOT_RUN]
    wrong = next((f" ({name} {verdict})" for name, verdict in verdicts.items() if verdict in WRONG), "")
    return f"stages were not reached{wrong}: {', '.join(missing)}" if missing else ""


"""Verdicts of a stage that went wrong."""


def reduced(run: Run) -> str:
    """Why a run shows less than it could."""
    if left_out := model.left_out(run):
        return f"checks were left out: {left_out}"
    if not run.applied:
        return "it only judged what was there, and built nothing"
    if run.contract is not None and run.contract.debug != debug_kinds.NONE:
        return f"its kernel looked harder than a machine's does, and was slower (--debug {run.contract.debug})"
    return did_less(run)


def did_less(run: Run) -> str:
    """Why a run did less than is usual."""
    if run.amounts is None:
        return "it doesn't say how much it did"
    if run.amounts.quick:
        return "it was made with --quick"
    usual = installation.contract_defaults()
    for name, value in _counts(run.amounts).items():
        if value < usual[f"vexlab_{name}"]:
            return f"it did less than usual: {name.replace('_', ' ')} {value}, not {usual[f'vexlab_{name}']}"
    return ""


def seen(run: Run) -> str:
    """What was seen of a run, never what it was only asked for."""
    checks = [check.verdict for stage in run.stages for check in stage.checks]
    passed = [stage.name for stage in run.stages if stage.verdict is Verdict.PASSED]
    told = f"{len(passed)} of {len(run.selected)} stages passed, {checks.count(Verdict.PASSED)} checks"
    if skipped := checks.count(Verdict.SKIPPED):
        told += f", {skipped} were skipped"
    names = [check.name for stage in run.stages for check in stage.checks if check.verdict is Verdict.PASSED]
    cycles = [f"{found[1].replace('_', ' ')} {found[2]}" for name in names if (found := _CYCLES.fullmatch(name))]
    return f"{told}; {', '.join(cycles)}" if cycles else told


def demanded_less(one: Entry, than: Entry) -> str:
    """What a run demanded less of the module than another did."""
    if than.contract is None or than.amounts is None or one.contract is None or one.amounts is None:
        return "what was demanded was not written down, so that nothing tells whether it was less"
    if missing := [claim for claim in than.contract.claims if claim not in one.contract.claims]:
        return f"it didn't claim {', '.join(missing)}"
    if than.contract.debug not in (debug_kinds.NONE, one.contract.debug):
        return f"its kernel looked less hard (--debug {one.contract.debug}, not {than.contract.debug})"
    mine, theirs = one.contract.limits, than.contract.limits
    if other := [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]:
        values = (limits.get(other[0], "none") for limits in (mine, theirs))
        return f"it had another limit {other[0]} (vexlab_limits): {', not '.join(map(str, values))}"
    others = than.stages or {}
    lacking = [name for name, verdict in (one.stages or {}).items() if verdict is Verdict.SKIPPED]
    if missing := [name for name in lacking if others.get(name, Verdict.SKIPPED) not in _NOTHING]:
        return f"its target had no stage {', '.join(missing)}"
    amounts, demanded = _measures(one.contract, one.amounts), _measures(than.contract, than.amounts)
    name = next((name for name, value in amounts.items() if value < demanded[name]), "")
    return f"it had fewer {name}: {amounts[name]}, not {demanded[name]}" if name else ""


def demanded_otherwise(one: Contract, than: Contract) -> str:
    """In what two runs can't be compared, since the module was not used in the same way."""
    names = ("module_parameters", "mount_options_ro", "mount_options_rw")
    name = next((name for name in names if getattr(one, name) != getattr(than, name)), "")
    words = name.replace("_ro", " of a read-only mount").replace("_rw", " of a read-write mount").replace("_", " ")
    return f"it had other {words}: {getattr(one, name)!r}, not {getattr(than, name)!r}" if name else ""


def _measures(contract: Contract, amounts: Amounts) -> dict[str, int]:
    """Of what more is harder. Memory isn't among it: with less of it other things are hard."""
    counts = {name.replace("_", " "): value for name, value in _counts(amounts).items()}
    return counts | {"CPUs": contract.cpus, "MiB of the device": contract.device_size_mb}


def _counts(amounts: Amounts) -> dict[str, int]:
    return {name: value for name, value in msgspec.structs.asdict(amounts).items() if name not in ("quick", "seed")}
