"""Bugs put into a copy of the bundled filesystem: each must show in its stage, with its verdict. One lab, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness import Vexlab, edit

STAGES = ("structure", "build", "load", "mkfs", "mount", "stress", "errors")


@contextmanager
def bug(path: Path, old: str, new: str) -> Iterator[None]:
    """A bug in the source for as long as the block lasts."""
    former = edit(path, old, new)
    try:
        yield
    finally:
        path.write_text(former)


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
    with bug(
        source / "kernel" / "super.c",
        "sbi->state = state;\n	sbi->free_blocks",
        "sbi->state = stats;\n	sbi->free_blocks",
    ):
        done = vexlab("up", "--json")
    assert done.code == 1
    assert done.verdicts() == expected("build", "failed")
    reason = done.stage("build")["reason"]
    assert "super.c:" in reason
    assert "stats" in reason
    assert "super.c:" in done.stderr
    assert "stats" in (vexlab.runs / done.document["run"] / "build.log").read_text()


def test_wrong_magic_fails_mkfs(vexlab: Vexlab, source: Path) -> None:
    with bug(source / "kernel" / "vexfs_format.h", "0x56454653", "0x56454654"):
        done = vexlab("up", "--json")
    assert done.code == 1
    assert done.verdicts() == expected("mkfs", "failed")
    assert "magic" in done.stage("mkfs")["reason"]


def test_data_lost_on_unmount_fails_mount(vexlab: Vexlab, source: Path) -> None:
    """The last transaction is dropped instead of committed, and sync says that all is well."""
    path = source / "kernel" / "super.c"
    sync = "		return 0;\n	return vexfs_commit(sb);\n"
    with (
        bug(path, "	if (vexfs_stop_writing(sb))\n", "	if (0)\n"),
        bug(path, sync, sync.replace("vexfs_commit(sb)", "0")),
    ):
        done = vexlab("up", "--json")
    assert done.code == 1
    assert done.verdicts() == expected("mount", "failed")


def test_oops_at_mount_panics_mount(vexlab: Vexlab, source: Path) -> None:
    with bug(
        source / "kernel" / "super.c",
        "	sb->s_fs_info = sbi;\n",
        "	sb->s_fs_info = sbi;\n	*(volatile int *)NULL = 1;\n",
    ):
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
    assert (run / done.document["evidence"]["vmcore of mount"]).read_bytes()[:12] == b"makedumpfile"


def test_mended_source_passes_on_a_new_guest(vexlab: Vexlab) -> None:
    """After the panic, `up` replaces the guest and goes on as if nothing had happened."""
    assert vexlab("status", "--json").document[0]["guest"]["state"] != "running"
    done = vexlab("up", "--json")
    assert done.code == 0, done.stderr
    assert done.document["verdict"] == "passed"
