"""`vexlab test`: every stage, stress and errors too; and bugs that only these two can see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Done, Vexlab, edit


@pytest.fixture(scope="module")
def whole(vexlab: Vexlab) -> Done:
    return vexlab("test", "--quick", "--seed", "7", "--json")


def test_every_stage_passes(whole: Done) -> None:
    assert whole.code == 0, whole.stderr
    assert list(whole.verdicts()) == ["structure", "build", "load", "mkfs", "mount", "stress", "errors"]
    assert set(whole.verdicts().values()) == {"passed"}


def test_rejection_matrix_is_no_sketch(whole: Done) -> None:
    passed = [check for check in whole.stage("errors")["checks"] if check["verdict"] == "passed"]
    assert len(passed) >= 100


def test_amounts_and_seed_are_told(vexlab: Vexlab, whole: Done) -> None:
    names = [check["name"] for check in whole.stage("stress")["checks"]]
    assert "cycles.module_is_loaded_and_unloaded[5 times]" in names
    assert "churn.random_operations[500]" in names
    assert (vexlab.runs / whole.document["run"] / "stages" / "stress" / "seed").read_text() == "7\n"


def test_report_ticks_what_people_asked_for(vexlab: Vexlab, whole: Done) -> None:
    text = vexlab("report", whole.document["run"]).stdout
    for box in ("Clean module load/unload cycles", "Error handling validates properly", "Stress tests complete"):
        assert f"- [x] {box}" in text
    assert "Current Risk Level: LOW" in text


def test_guest_is_down_afterwards(vexlab: Vexlab, whole: Done) -> None:
    assert whole.code == 0
    assert vexlab("status", "--json").document[0]["up"] is False


def test_bugs_that_only_stress_and_errors_see(vexlab: Vexlab, source: Path) -> None:
    """What is kept of each mount is leaked, and a version of the format that nobody knows is mounted."""
    path = source / "kernel" / "super.c"
    edit(path, "		kvfree(sbi->journal_bh);\n		kfree(sbi);\n", "		kvfree(sbi->journal_bh);\n")
    edit(path, "	if (version != VEXFS_VERSION)\n", "	if (0)\n")
    assert vexlab("up", "--name", "bugs", "--source", str(source)).code == 0
    stress = vexlab("verify", "--name", "bugs", "--stage", "stress", "--json")
    assert (stress.code, stress.stage("stress")["verdict"]) == (1, "failed")
    assert "slab cache" in stress.stage("stress")["reason"]
    errors = vexlab("verify", "--name", "bugs", "--stage", "errors", "--json")
    failed = {check["name"] for check in errors.stage("errors")["checks"] if check["verdict"] == "failed"}
    assert failed == {f"superblock.value_that_can_not_be[version {value}]" for value in ("00000000", "02000000")}
