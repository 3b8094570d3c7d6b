"""What a run means for whoever decides on the next step: categories covered, risk, criteria, what to do now.

Only concludes from verdicts, and towards caution: what this run did not show counts as not so. The gate (gate.py) takes
the criteria from here, and decides whether a module may leave the VM by which runs count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vexlab.results.model import DIED, Run, Stage, Verdict, known_failures, stages_lacking


@dataclass(frozen=True)
class Category:
    """A test category of the report: the title of a stage's section, and what the stage is about."""

    title: str
    about: str


CATEGORIES = {
    "structure": Category("Repository Structure", "the tree has what the build needs, nothing dangerous in its root"),
    "build": Category("Build System", "module and mkfs build against the guest's kernel"),
    "load": Category("Module Loading", "the module built is the module loaded, and it unloads"),
    "mkfs": Category("Filesystem Creation", "mkfs writes what it should and refuses what it must"),
    "mount": Category("Mount Operations", "read-only and read-write mounts, data intact after a remount"),
    "stress": Category("Stress Testing", "load, unload and mount cycles, file churn"),
    "errors": Category("Error Handling", "invalid input of every kind is refused"),
}
"""What a complete suite covers; which stages there are, and their order, is for playbooks/vars/stages.yml to say."""

PROTOCOL = {
    "checklist": "Safety checklist prepared",
    "emergency": "Emergency procedures documented",
    "device": "Non-critical test device identified",
    "backup": "Backup procedures ready",
    "monitoring": "Monitoring tools prepared",
}
"""What people have to prepare: no run can show it, a named operator signs for it (`vexlab gate sign`)."""

CLAIMS = {
    # of a filesystem that was never written to, little was tested
    "vm": ("read-write",),
    # what is on a device has to be there tomorrow, and once a program was told that it is; and a mkfs typed by hand on
    # a machine with other disks must not take one that is in use
    "device": ("persistent", "sync", "mkfs-refuses-mounted"),
    # nor one that holds something
    "production": ("mkfs-refuses-signature",),
}
"""The least that the target has to claim, by level; each level needs those of the levels below it as well."""

MUST_PASS = {
    "tests": "All VM tests pass without errors",
    "crashes": "No kernel panics or system crashes",
    "cycles": "Clean module load/unload cycles",
    "operations": "Filesystem operations work correctly",
    "errors": "Error handling validates properly",
    "stress": "Stress tests complete successfully",
}
"""What runs have to show; `criteria` computes it from one."""


@dataclass(frozen=True)
class Risk:
    """A level (LOW, MEDIUM, HIGH, UNKNOWN) and what it means."""

    level: str
    meaning: str


@dataclass(frozen=True)
class Criterion:
    """A box of the readiness list: ticked when `met`, `why` says by what or why not; `key` is its short name."""

    key: str
    text: str
    met: bool
    why: str


def claims_key(level: str) -> str:
    """The short name of the criterion about a level's claims."""
    return f"claims-{level}"


def not_covered(run: Run) -> list[str]:
    """Return the titles of the categories that this run did not show as passed, of those that its target has."""
    passed = {stage.name for stage in run.stages if stage.verdict is Verdict.PASSED and not stage.left_out}
    done = passed | set(stages_lacking(run))
    return [category.title for name, category in CATEGORIES.items() if name not in done]


def no_further(run: Run) -> str:
    """Why what a run tested can never go beyond the VM, by the kind of its target; empty when it can."""
    lacking = stages_lacking(run)
    if "build" in lacking:
        return f"{lacking['build']}; the gate is about modules that were built"
    return f"{lacking['mkfs']}; there is no device for it to be tested on" if "mkfs" in lacking else ""


def risk(run: Run) -> Risk:
    """Compute the risk level: LOW only when the run passed, left no category out, and nothing is known to fail."""
    missing, known = not_covered(run), known_failures(run)
    if run.verdict is Verdict.PASSED and not missing and known:
        names = ", ".join(f"{stage.name}/{check.name}" for stage, check in known)
        return Risk("MEDIUM", f"Every category passed, but for what is known to fail: {names}.")
    if run.verdict is Verdict.PASSED and not missing:
        return Risk("LOW", "Every category passed. Nothing that these stages look for was found; more they can't say.")
    if run.verdict is Verdict.PASSED:
        return Risk(
            "MEDIUM", f"Every selected stage passed, but nothing is known of what was left out: {', '.join(missing)}."
        )
    dead = next((stage for stage in run.stages if stage.verdict in DIED), None)
    if dead is not None:
        return Risk("HIGH", f"The guest did not survive stage {dead.name}. A real machine would not have either.")
    if run.verdict is Verdict.FAILED and run.module is not None:
        return Risk("HIGH", "A stage failed: the module, or what belongs to it, does not do what it should.")
    return Risk("UNKNOWN", "The run did not get far enough to tell. Treat the module as untested.")


def next_steps(run: Run, command_options: str = "") -> list[str]:
    """Return what to do now, as sentences; the options are put after each command in them."""
    missing, known = not_covered(run), known_failures(run)
    if run.verdict is not Verdict.PASSED:
        return [
            "**Read the first cause** above, and the evidence that it names.",
            f"**Fix it in the VM environment**: `vexlab up{command_options}` shows an edit in a guest, stage by stage.",
            f"**Run all stages again** until each of them passes: `vexlab test{command_options}`.",
            "**Do NOT proceed to production testing**, nor to any device.",
        ]
    keep = "**Keep this run's directory**: the evidence is bound to the sha256 of the module, and to this kernel."
    if missing:
        return [
            f"**Cover what was left out** before anything else: {', '.join(missing)}.",
            keep,
            "**Do NOT proceed to production testing** on a partial run.",
        ]
    if known:
        return [
            f"**Mend what is known to fail** ({len(known)} checks, see above), and take it out of the target's list.",
            keep,
            "**Do NOT proceed to production testing** with known failures.",
        ]
    if reason := no_further(run):
        return [keep, f"**This is as far as the gate goes** for this target: {reason}."]
    return [
        keep,
        f"**Mark VM testing as complete**, for this module and no other build of it: `vexlab gate{command_options}`.",
        "**Proceed to the production testing checklist**, docs/safety/production-checklist.md; people sign for it.",
        f"**Begin phase 1, a non-critical device**, only when `vexlab gate --for device{command_options}` ends with 0.",
    ]


def criteria(run: Run) -> list[Criterion]:
    """Return the boxes of the readiness list, each ticked by evidence of this run or not at all."""
    return [
        _all_passed(run),
        _no_crash(run),
        _stages_passed(run, "cycles", ("load", "stress")),
        _stages_passed(run, "operations", ("mkfs", "mount")),
        _stages_passed(run, "errors", ("errors",)),
        _stages_passed(run, "stress", ("stress",)),
    ]


def _all_passed(run: Run) -> Criterion:
    missing = not_covered(run)
    if run.verdict is not Verdict.PASSED:
        return _criterion("tests", False, f"the verdict of the run is {_word(run.verdict)}")
    if missing:
        return _criterion("tests", False, f"not covered: {', '.join(missing)}")
    return _unless_known_to_fail(_criterion("tests", True, _counted(run.stages)), run.stages)


def _no_crash(run: Run) -> Criterion:
    """Tick when the module was loaded and mounted, nothing that ran went wrong, and the kernel's log was kept.

    What is known to fail may be just that, a warning in the kernel's log.
    """
    ran = [stage for stage in run.stages if stage.verdict not in (Verdict.NOT_RUN, Verdict.SKIPPED)]
    wrong = next((stage for stage in ran if stage.verdict is not Verdict.PASSED), None)
    if wrong is not None:
        return _criterion("crashes", False, f"the verdict of stage {wrong.name} is {_word(wrong.verdict)}")
    silent = [stage.name for stage in ran if not stage.kernel_log]
    if silent:
        return _criterion("crashes", False, f"no kernel log was kept of: {', '.join(silent)}")
    seen = _stages_passed(run, "crashes", ("load", "mount"))
    logs = f"the kernel's log of {len(ran)} stages holds no oops, BUG, warning or trace"
    return _unless_known_to_fail(_criterion("crashes", True, logs), ran) if seen.met else seen


def _stages_passed(run: Run, key: str, names: Sequence[str]) -> Criterion:
    """Tick when each of these stages that the target has is part of the run and passed."""
    stages = {stage.name: stage for stage in run.stages}
    names = [name for name in names if name not in stages_lacking(run)]
    for name in names:
        if name not in stages:
            return _criterion(key, False, f"this run has no stage {name}")
        if stages[name].verdict is not Verdict.PASSED:
            return _criterion(key, False, f"the verdict of stage {name} is {_word(stages[name].verdict)}")
        if left_out := stages[name].left_out:
            return _criterion(key, False, f"{left_out} checks of stage {name} were left out")
    chosen = [stages[name] for name in names]
    return _unless_known_to_fail(_criterion(key, True, f"{' and '.join(names)}: {_counted(chosen)}"), chosen)


def _unless_known_to_fail(criterion: Criterion, stages: Sequence[Stage]) -> Criterion:
    """The criterion, unticked when a check of these stages failed, expected or not."""
    known = [f"{s.name}/{check.name}" for s in stages for check in s.checks if check.verdict is Verdict.XFAILED]
    return _criterion(criterion.key, False, f"known to fail: {', '.join(known)}") if known else criterion


def _criterion(key: str, met: bool, why: str) -> Criterion:
    return Criterion(key, MUST_PASS[key], met, why)


def _counted(stages: Sequence[Stage]) -> str:
    verdicts = [check.verdict for stage in stages for check in stage.checks]
    skipped = verdicts.count(Verdict.SKIPPED)
    return f"{verdicts.count(Verdict.PASSED)} checks passed" + (f", {skipped} were skipped" if skipped else "")


def _word(verdict: Verdict) -> str:
    return verdict.replace("_", " ")
