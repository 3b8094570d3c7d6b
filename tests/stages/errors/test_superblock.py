"""Each field of the superblock that the target file names: damaged, and well-formed with a value that can't be."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.target import Target, target_of

pytestmark = pytest.mark.needs("device")

NONE = "target {} names no {} (vexlab_superblock_fields)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One check for each field, and one for each wrong value of it; one that says so where the target names none."""
    fields: list[dict[str, Any]] = target_of(metafunc.config).superblock_fields
    if "field" in metafunc.fixturenames:
        cases = [pytest.param(field, id=field["name"]) for field in fields]
        metafunc.parametrize("field", cases or [pytest.param(None, id="none")])
    if "wrong" in metafunc.fixturenames:
        pairs = [(field, value) for field in fields for value in field.get("wrong", [])]
        cases = [pytest.param(pair, id=f"{pair[0]['name']} {pair[1][:16]}") for pair in pairs]
        metafunc.parametrize("wrong", cases or [pytest.param(None, id="none")])


def test_field_that_is_flipped(target: Target, corruptible: Corruptible, field: dict[str, Any] | None) -> None:
    """All its bits inverted, as by a disk that rots: the superblock isn't believed."""
    if field is None:
        pytest.skip(NONE.format(target.target_name, "field of its superblock"))
    flip = (field["offset"], "flip", "ff" * field["size"])
    corruptible.trial(f"{field['name']} flipped", patches=[flip]).must_be_refused()


def test_value_that_can_not_be(
    target: Target, corruptible: Corruptible, wrong: tuple[dict[str, Any], str] | None
) -> None:
    """The checksum is right, so it is the value that is looked at: a disk can be made by somebody who means harm."""
    if wrong is None:
        pytest.skip(NONE.format(target.target_name, "wrong value of a field"))
    field, value = wrong
    repair = [target.checksum_command] if target.checksum_command else []
    patch = (field["offset"], "set", value)
    corruptible.trial(f"{field['name']} {value}", patches=[patch], commands=repair).must_be_refused()


def test_repaired_checksum_is_right(target: Target, corruptible: Corruptible) -> None:
    """With nothing changed but the checksum made anew it mounts; else the checks above would prove nothing."""
    if not target.checksum_command:
        pytest.skip(f"target {target.target_name} has no command that repairs checksums (vexlab_checksum_command)")
    outcome = corruptible.trial("checksum made anew", commands=[target.checksum_command])
    for tried in outcome.attempts:
        assert tried.mount == "done", f"mount with {tried.options}, with the checksum made anew: {tried.mount}"
    outcome.must_be_safe()
