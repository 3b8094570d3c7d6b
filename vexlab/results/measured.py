"""What a filesystem can do, as a run shows that claimed all of it: which claims its checks bear out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from vexlab.config import check_list
from vexlab.results.model import WRONG, Check, Run, Verdict

_LIMIT = re.compile(r"vexlab_limits has (\w+): (\d+)")  # of a check's advice
# Checks that demand more of whoever claims one of these, and say so in no mark.
_ALSO = {
    "mount/inodes.handle_finds_the_file_again": "file-handles",
    "mount/inodes.handle_of_a_removed_file_is_stale": "file-handles",
    "mount/names.name_is_kept": "any-names",
    "mount/persistence.tree_is_the_same_after_a_remount": "inode-numbers",
    "build/build.module_provides_the_filesystem_alias": "module-alias",
    "build/build.module_states_a_description": "module-description",
}
_ALWAYS = {"read-write"}  # a check that needs nothing else is demanded of whoever claims that


@dataclass(frozen=True)
class Measured:
    """The capabilities that every check bears out, and why each other one is not among them.

    `demanded` are the checks that went wrong and that no capability explains; `limits` are those that were met.
    """

    claims: tuple[str, ...]
    why_not: Mapping[str, str]
    demanded: tuple[Check, ...]
    limits: Mapping[str, int]


def of_run(run: Run, claimed: Collection[str]) -> Measured:
    """What a run shows that claimed these; a check that went wrong costs the claim that explains it best.

    That is one with which nothing works at all, such as directories; else that which the fewest checks need.
    """
    judged = list(_judged(run))
    tally = {
        name: [check.verdict is Verdict.PASSED for _, requires, check in judged if name in requires] for name in claimed
    }
    why_not = {name: "no check that was run is about it" for name, verdicts in tally.items() if not verdicts}
    absent = {name for name, verdicts in tally.items() if verdicts and not any(verdicts)}
    demanded = list[Check]()
    for full_name, requires, check in judged:
        if check.verdict is Verdict.PASSED:
            continue
        said = f"{full_name}: {' '.join(check.message.split())}"
        needed = [name for name in requires if name in tally]
        if guilty := [name for name in needed if name in absent] or _rarest(needed, tally):
            for name in guilty:
                why_not.setdefault(name, said)
        else:
            demanded.append(check)
    claims = tuple(name for name in claimed if name not in why_not)
    limits = {limit: int(most) for _, _, check in judged for limit, most in _LIMIT.findall(check.advice)}
    return Measured(claims, why_not, tuple(demanded), limits)


def _judged(run: Run) -> Iterator[tuple[str, tuple[str, ...], Check]]:
    """Each check that was executed, by stage/check, with the capabilities that it is about."""
    specs = {spec.full_name: spec for spec in check_list.checks()}
    for stage in run.stages:
        for check in stage.checks:
            spec = specs.get(f"{stage.name}/{check.name.partition('[')[0]}")
            if spec is not None and check.verdict in (Verdict.PASSED, *WRONG):
                also = _ALSO.get(spec.full_name)
                yield f"{stage.name}/{check.name}", (*spec.requires, *([also] if also else [])), check


def _rarest(needed: Collection[str], tally: Mapping[str, Collection[bool]]) -> list[str]:
    """That of these capabilities which the fewest checks need; none where a check is demanded of all."""
    able = sorted(set(needed) - _ALWAYS, key=lambda name: (len(tally[name]), name))
    return able[:1]
