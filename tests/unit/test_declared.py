"""What a target declares of itself becomes one check each, and a skipped one where it declares nothing."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.testing import target_checks
from vexlab.guest.testing.target import Target

PROOF = {"has_symbols": ["a.c", "b*"], "lacks_symbols": ["c"], "lacks_strings": ["d e"], "sysfs": {"parameters/f": "g"}}
BUILD = {"name": "unit tests", "stage": "build", "command": "make check"}
FIRST = {"name": "toycore", "file": "core/toycore.ko"}
MOUNT = {"name": "kept", "stage": "mount", "command": "a", "command_after_remount": "b"}


def target(variant: str = "full", **other: Any) -> Target:
    """A target with something of everything for variant full."""
    fields = {
        "target_name": "toyfs",
        "variant": variant,
        "variant_proofs": {"full": PROOF},
        "checks": [BUILD, MOUNT],
        "modules": [FIRST],
    }
    return Target({f"vexlab_{name}": value for name, value in (fields | other).items()})


@pytest.mark.parametrize(
    ("fixture", "stage", "ids", "values"),
    [
        ("own_check", "build", ["unit tests"], [BUILD]),
        ("own_check", "mount", ["kept"], [MOUNT]),
        (
            "symbol", "build", ["has_symbols a.c", "has_symbols b*", "lacks_symbols c"],
            [("has_symbols", "a.c"), ("has_symbols", "b*"), ("lacks_symbols", "c")],
        ),
        ("string", "build", ["lacks_strings d e"], [("lacks_strings", "d e")]),
        ("sysfs_file", "load", ["parameters/f"], [("parameters/f", "g")]),
        ("first_module", "load", ["toycore"], [FIRST]),
    ],
)  # fmt: skip
def test_each_declared_thing_is_a_check(fixture: str, stage: str, ids: list[str], values: list[Any]) -> None:
    found = target_checks.parameters(fixture, target(), stage)
    assert [parameter.id for parameter in found] == ids
    assert [parameter.values[0] for parameter in found] == values
    assert not any(parameter.marks for parameter in found)


@pytest.mark.parametrize("fixture", target_checks.FIXTURES)
def test_nothing_declared_is_skipped_with_a_reason(fixture: str) -> None:
    """pytest would take an empty list of parameters for a mistake, and nobody should take it for a pass."""
    (only,) = target_checks.parameters(fixture, target("c-only", checks=[], modules=[]), "build")
    (mark,) = only.marks
    assert mark.name == "skip"
    assert mark.kwargs["reason"] == "target toyfs declares none for stage build and variant c-only"
