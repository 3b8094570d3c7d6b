"""What is said of a broken filesystem, and what is kept: reasons, traces, memory. One lab, in order.

tests/mutants has the bugs that it takes, and many more; there it is about the check that must find each.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.harness import Vexlab
from tests.mutants import catalogue

pytestmark = pytest.mark.thorough

STAGES = ("structure", "build", "load", "mkfs", "mount", "stress", "errors")


def expected(stage: str, verdict: str) -> dict[str, str]:
    """All that came before the stage passed, nothing after it ran."""
    index = STAGES.index(stage)
    return dict.fromkeys(STAGES[:index], "passed") | {stage: verdict} | dict.fromkeys(STAGES[index + 1 :], "not_run")


def test_missing_file_fails_structure(vexlab: Vexlab, source: Path) -> None:
    header = source / "kernel" / "vexfs_ffi.h"
    former = header.read_text()
    header.unlink()
    try:
        done = vexlab("up", "--source", str(source), "--json")
    finally:
        header.write_text(former)
    assert done.code == 1
    assert done.verdicts() == expected("structure", "failed")
    assert "kernel/vexfs_ffi.h is missing" in done.stage("structure")["reason"]


def test_mkfs_in_the_root_fails_structure(vexlab: Vexlab, source: Path) -> None:
    stray = source / "mkfs.vexfs"
    stray.write_text("#!/bin/sh\n")
    try:
        done = vexlab("up", "--json")
    finally:
        stray.unlink()
    assert done.code == 1
    assert done.verdicts() == expected("structure", "failed")
    assert "mkfs.vexfs must not be in the root" in done.stage("structure")["reason"]


def test_compile_error_fails_build(vexlab: Vexlab, source: Path) -> None:
    catalogue.named("compile-error").plant(source)
    done = vexlab("up", "--json")
    assert done.code == 1
    assert done.verdicts() == expected("build", "failed")
    reason = done.stage("build")["reason"]
    assert reason.startswith(f"{source}/kernel/super.c:")
    assert "stats" in reason
    assert done.stderr.count(reason) == 1
    assert "^~~~~" in done.stderr
    assert "/var/lib/vexlab/build" not in done.stderr
    assert "stats" in (vexlab.runs / done.document["run"] / "build.log").read_text()


def test_oops_at_mount_panics_mount(vexlab: Vexlab, source: Path) -> None:
    catalogue.named("oops-at-mount").plant(source)
    done = vexlab("up", "--vmcore", "--json")
    assert done.code == 1
    assert done.verdicts() == expected("mount", "panicked")
    reason = done.stage("mount")["reason"]
    assert "NULL pointer dereference" in reason
    lines = (source / "kernel" / "super.c").read_text().splitlines()
    [line] = [number for number, text in enumerate(lines, start=1) if "sb->s_fs_info = sbi;" in text]
    assert re.search(rf"vexfs_fill_super\+0x[0-9a-f]+/0x[0-9a-f]+ \[vexfs\] \(kernel/super.c:{line + 1}\)", reason)
    run = vexlab.runs / done.document["run"]
    assert "Kernel panic" in (run / "console.log").read_text(errors="replace")
    assert "NULL pointer dereference" in (run / "stages" / "mount" / "kernel.log").read_text()
    assert f"kernel/super.c:{line + 1}" in (run / done.document["evidence"]["trace.txt of mount"]).read_text()
    with (run / done.document["evidence"]["vmcore of mount"]).open("rb") as dump:
        header = dump.read(4096)
    assert header.startswith(b"KDUMP   ")
    assert f"\0{done.document['kernel']}\0".encode() in header


def test_mended_source_passes_on_a_new_guest(vexlab: Vexlab, source: Path) -> None:
    """After the panic, `up` replaces the guest and goes on as if nothing had happened."""
    catalogue.refresh(source)
    assert vexlab("status", "--json").document[0]["guest"]["state"] != "running"
    done = vexlab("up", "--json")
    assert done.code == 0, done.stderr
    assert done.document["verdict"] == "passed"
