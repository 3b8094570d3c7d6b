"""The checks of a stage that a run has chosen: after a crash, or to have some of them run again."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import pytest

from vexlab.config import check_names
from vexlab.config.check_names import short_name
from vexlab.guest.testing.recorder import Recorder, recorder_of


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the checks that the run has chosen, if it did: after a crash, or to run one again.

    `choice.json` in the stage's directory says `only` which, by names as check_names.py reads them, or which to
    `leave_out`; there, a name that ends in a dot is a whole module, and one without its parameters each check of that
    function. How many `only` leaves out is written down.
    """
    recorder = recorder_of(config)
    path = recorder.path.with_name("choice.json")
    if not path.exists():
        return
    choice = json.loads(path.read_text())
    names = {item: short_name(item.nodeid) for item in items}
    out = {name for name in names.values() if set(check_names.levels(name)) & set(choice["leave_out"])}
    if choice["only"]:
        others = set(names.values()) - only(choice["only"], names.values(), config.getoption("--stage"), recorder)
        recorder.keep(path.with_name("left_out"), f"{len(others)}\n", "w")
        out |= others
    config.hook.pytest_deselected(items=[item for item in items if names[item] in out])
    items[:] = [item for item in items if names[item] not in out]


def only(chosen: Sequence[str], checks: Collection[str], stage: str, recorder: Recorder) -> set[str]:
    """The checks that were chosen by these names; a name that means none is an error, since less would be run."""
    found = {name: check_names.meant(name, checks) for name in chosen}
    if wrong := [f"{stage}/{name}" for name in chosen if not found[name]]:
        said = f"no check of stage {stage} is meant by {', '.join(wrong)}"
        recorder.write("choice", "failed", said)
        raise pytest.UsageError(said)
    return {check for checks in found.values() for check in checks}
