"""What of the stages a person has chosen to be judged: whole stages, checks by name, or what failed last time."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vexlab.config import check_list, check_names, literals, stage_list
from vexlab.config.check_list import CheckSpec
from vexlab.errors import UsageProblem, VexlabError
from vexlab.results.model import WRONG, Run
from vexlab.run import ansible_environment, replan, scratch
from vexlab.run.replan import Choice

Contract = Mapping[str, Any]
LISTED_BY = "vexlab checks lists them"


@dataclass(frozen=True)
class Selection:
    """The stages that are `judged`, of some of them only chosen checks, and those that are only brought about.

    `chosen` are the names by which checks were asked for, as stage/check; empty when whole stages were.
    """

    judged: tuple[str, ...]
    applied: tuple[str, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()


def by_name(names: Sequence[str], within: Sequence[str], contract: Contract) -> Selection:
    """The checks of these names, of the stages `within`; raises UsageProblem for a name that none has.

    A name is STAGE/CHECK, or that of a check in any of the stages; a star stands for any text. A name is refused as
    well when the target has each of its checks skipped, since nothing would be judged.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        hits = _found(name, within, contract)
        reasons = [check.lacks(contract) for check in hits]
        if all(reasons):
            raise UsageProblem(f"{name!r} would be skipped: {reasons[0]}", "vexlab checks tells which are not")
        for stage in dict.fromkeys(check.stage for check in hits):
            found.setdefault(stage, []).append(check_list.parts(name)[1])
    return _selection(found)


def listed(names: Sequence[str], within: Sequence[str], contract: Contract) -> list[CheckSpec]:
    """The entries of the list of checks that these names mean, in its order; raises as `by_name` does."""
    found = {check for name in names for check in _found(name, within, contract)}
    return [check for check in check_list.checks() if check in found]


def failed(run: Run, within: Sequence[str]) -> Selection:
    """What went wrong in a run; a stage that did so without a check is chosen whole. UsageProblem if nothing did."""
    found: dict[str, list[str]] = {}
    for stage in (stage for stage in run.stages if stage.name in within):
        wrong = [check.name for check in stage.checks if check.verdict in WRONG]
        functions = [each.name for each in check_list.of_stage(stage.name)]
        if stage.verdict in WRONG:
            found[stage.name] = [name for name in wrong if name.partition("[")[0] in functions] or ["*"]
    if not found:
        raise UsageProblem(f"nothing failed in {run.run}, the last run of the lab", "leave --failed out to run all")
    return _selection(found)


def _selection(found: Mapping[str, Sequence[str]]) -> Selection:
    specs = stage_list.stages()
    judged = tuple(spec.name for spec in specs if spec.name in found)
    return Selection(
        judged,
        replan.needed(specs, judged),
        {stage: Choice(only=tuple(found[stage])) for stage in judged},
        tuple(f"{stage}/{name}" for stage in judged for name in found[stage]),
    )


def _found(name: str, within: Sequence[str], contract: Contract) -> list[CheckSpec]:
    """The entries of the list that a name means, of these stages; raises UsageProblem when it means none."""
    of_stage, check = check_list.parts(name)
    stages = [stage for stage in check_names.meant(of_stage, within) if not stage_list.spec_of(stage).why_not(contract)]
    functions = {stage: _functions(stage, check, contract) for stage in stages}
    found = [each for stage in stages for each in check_list.of_stage(stage) if each.name in functions[stage]]
    if not found:
        raise _unknown(name, within)
    return found


def _functions(stage: str, check: str, contract: Contract) -> list[str]:
    """The functions of a stage that a name means; of parameters the list knows nothing, so pytest is asked."""
    functions = [each.name for each in check_list.of_stage(stage)]
    if found := check_names.meant(check, functions):
        return found
    function, bracket, _ = check.partition("[")
    if not (check_names.meant(function, functions) if bracket else "*" in check):
        return []
    return [each.partition("[")[0] for each in check_names.meant(check, planned(stage, contract))]


def planned(stage: str, contract: Contract) -> list[str]:
    """Every check of a stage with its parameters, as pytest collects them for a target; takes seconds, and no guest."""
    with scratch.directory() as directory:
        host = dict(contract) | {"ansible_connection": "local"}
        inventory = directory / "inventory.yml"
        inventory.write_text(literals.to_yaml({"all": {"hosts": {"listed": host}}}), encoding="utf-8")
        words = check_list.pytest_words(stage, directory, "ansible://listed", inventory)
        environment = ansible_environment.of_checks(directory)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", *words],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=directory, env=environment,
        )  # fmt: skip
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise VexlabError(f"the checks of stage {stage} can't be listed:\n{last}")
        return (directory / "stages" / stage / "planned").read_text(encoding="utf-8").splitlines()


def _unknown(name: str, within: Sequence[str]) -> UsageProblem:
    """What to say of a name that no check has: the names that are near it."""
    of_stage, check = check_list.parts(name)
    stages = [spec.name for spec in stage_list.stages()]
    if not check_names.meant(of_stage, stages):
        near = difflib.get_close_matches(of_stage, stages, n=1)
        return UsageProblem(f"{name!r} names no check: there is no stage {of_stage!r}", _did_you_mean(near, stages))
    meant = check_names.meant(of_stage, within)
    if not meant:
        return UsageProblem(f"{name!r} is of no stage that --stage names: {', '.join(within)}", "leave --stage out")
    known = {each.full_name: each.name for stage in meant for each in check_list.of_stage(stage)}
    function, bracket, _ = check.partition("[")
    if bracket and function in known.values():
        return UsageProblem(f"{name!r} names no check: {function} has no such parameter", LISTED_BY)
    known |= {f"{full.partition('.')[0]}.*": f"{short.partition('.')[0]}.*" for full, short in known.items()}
    alike = difflib.get_close_matches(function.replace("*", ""), set(known.values()), n=3, cutoff=0.5)
    near = sorted((full for full, short in known.items() if short in alike), key=lambda full: alike.index(known[full]))
    return UsageProblem(f"{name!r} names no check", _did_you_mean(near[:3], ()))


def _did_you_mean(near: Sequence[str], known: Sequence[str]) -> str:
    if near:
        return f"did you mean {' or '.join(near)}? {LISTED_BY}"
    return f"known: {', '.join(known)}" if known else LISTED_BY
