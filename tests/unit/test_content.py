"""Which stages belong to those that were chosen."""

from __future__ import annotations

import pytest

from vexlab import content
from vexlab.errors import UsageProblem

ALL = ["structure", "build", "load", "mkfs", "mount", "stress", "errors"]


@pytest.mark.parametrize(
    ("chosen", "stages"),
    [
        ((), ALL),
        (("structure",), ["structure"]),
        (("mkfs",), ["structure", "build", "mkfs"]),
        (("mount",), ["structure", "build", "load", "mkfs", "mount"]),
        (("errors",), ["structure", "build", "load", "mkfs", "errors"]),
        (("errors", "mount"), ["structure", "build", "load", "mkfs", "mount", "errors"]),
    ],
)
def test_chosen_stages_bring_along_what_they_need_and_no_more(chosen: tuple[str, ...], stages: list[str]) -> None:
    assert content.stages_for(chosen) == stages


def test_stage_that_nobody_knows() -> None:
    with pytest.raises(UsageProblem, match="unknown stage 'mont'"):
        content.stages_for(("mont",))
