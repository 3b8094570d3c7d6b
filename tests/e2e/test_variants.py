"""A module that is not of the variant that was asked for must not pass as one. One lab, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Vexlab, edit

pytestmark = pytest.mark.thorough


def failed(vexlab: Vexlab, stage: str, *arguments: str) -> str:
    """Bring the lab up, which must end with this stage failed; its checks that failed, and why."""
    done = vexlab("up", *arguments, "--json")
    assert done.code == 1, done.stderr
    assert done.stage(stage)["verdict"] == "failed", done.verdicts()
    found = [check for check in done.stage(stage)["checks"] if check["verdict"] == "failed"]
    return "\n".join([done.stage(stage)["reason"], *(f"{check['name']}: {check['message']}" for check in found)])


def test_full_build_that_fell_back_fails_build(vexlab: Vexlab, source: Path) -> None:
    former = edit(source / "Kbuild", "vexfs-y += rust/vexfs_ffi.o", "vexfs-y += kernel/vexfs_ffi.o")
    # What must not fail for another reason: the tests that need the object.
    makefile = edit(source / "kernel" / "tests" / "Makefile", "$(if $(filter full,$(VARIANT)),$(RUST_TESTS))", "")
    try:
        said = failed(vexlab, "build", "--source", str(source), "--variant", "full")
    finally:
        (source / "Kbuild").write_text(former)
        (source / "kernel" / "tests" / "Makefile").write_text(makefile)
    assert "was built as full, but has no symbol vexfs_ffi.*-cgu.*" in said
    assert "was built as full, but has the symbol vexfs_ffi.c" in said
    assert "was built as full, but doesn't have the text 'rustc version'" in said


def test_c_only_build_with_rust_in_it_fails_build(vexlab: Vexlab, source: Path) -> None:
    former = edit(source / "Kbuild", "vexfs-y += kernel/vexfs_ffi.o", "vexfs-y += rust/vexfs_ffi.o")
    try:
        said = failed(vexlab, "build", "--variant", "c-only")
    finally:
        (source / "Kbuild").write_text(former)
    assert "was built as c-only, but has no symbol vexfs_ffi.c" in said
    assert "was built as c-only, but has the symbol vexfs_ffi." in said
    assert "was built as c-only, but has the text 'rustc version'" in said


def test_full_build_that_cannot_be_made_fails_build(vexlab: Vexlab, source: Path) -> None:
    former = edit(source / "rust" / "Makefile.rustc", "RUSTC ?= rustc", "RUSTC := no-such-rustc")
    try:
        said = failed(vexlab, "build", "--variant", "full")
    finally:
        (source / "rust" / "Makefile.rustc").write_text(former)
    assert "error: VARIANT=full needs the Rust compiler, and there is no no-such-rustc" in said


def test_rust_that_is_there_and_not_in_use_fails_load(vexlab: Vexlab, source: Path) -> None:
    """The Rust object is linked, and what the module asks is something else."""
    path = source / "kernel" / "vexfs_module_entry.c"
    former = edit(path, 'sysfs_emit(buffer, "%s\\n", vexfs_ffi_name())', 'sysfs_emit(buffer, "c\\n")')
    try:
        said = failed(vexlab, "load", "--variant", "full")
    finally:
        path.write_text(former)
    assert "the module was built as full, but its parameters/ffi reads 'c'" in said


def test_wrong_distance_fails_build(vexlab: Vexlab, source: Path) -> None:
    """The target's own tests are checks of the lab, and their output is in the message."""
    path = source / "rust" / "lib.rs"
    former = edit(path, "sum += i128::from", "sum -= i128::from")
    try:
        said = failed(vexlab, "build", "--variant", "full")
    finally:
        path.write_text(former)
    assert "distance kernel in user space" in said
    assert "checks of 'rust'" in said
    assert "failed" in said
