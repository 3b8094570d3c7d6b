"""Bugs that only the stages stress and errors can see."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import Vexlab, edit


def test_bugs_that_only_stress_and_errors_see(vexlab: Vexlab, source: Path) -> None:
    """What is kept of each mount is leaked, and a version of the format that nobody knows is mounted."""
    path = source / "kernel" / "super.c"
    edit(path, "		kvfree(sbi->journal_bh);\n		kfree(sbi);\n", "		kvfree(sbi->journal_bh);\n")
    edit(path, "	if (version != VEXFS_VERSION)\n", "	if (0)\n")
    words = ("--quick", "--keep-going", "--source", str(source), "--json")
    done = vexlab("test", "--stage", "stress", "--stage", "errors", *words)
    assert done.code == 1, done.stderr
    bad = {
        stage["name"]: stage["verdict"]
        for stage in done.document["stages"]
        if stage["verdict"] not in ("passed", "not_run")
    }
    assert bad == {"stress": "failed", "errors": "failed"}
    assert "slab cache" in done.stage("stress")["reason"]
    failed = {check["name"] for check in done.stage("errors")["checks"] if check["verdict"] == "failed"}
    assert failed == {f"superblock.value_that_can_not_be[version {value}]" for value in ("00000000", "02000000")}
    assert vexlab("status", "--json").document[0]["up"] is False
