"""What people get wrong: a sentence that names it, the right exit code, never a traceback, nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.harness import Done, Vexlab

GOOD_TARGET = """\
vexlab_target_name: x
vexlab_source: .
vexlab_build_command: make
vexlab_module_file: x.ko
vexlab_module_name: x
vexlab_filesystem_type: x
vexlab_mkfs_command: mkfs.x "$DEVICE"
vexlab_superblock_magic: "00"
vexlab_superblock_magic_offset: 0
vexlab_capabilities: []
"""
KNOWN = "vexlab_known_failures: [{{check: {}, reason: x}}]\n"


def refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr + done.stdout


def test_missing_source(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--source", "/nowhere/at/all"), 2, "/nowhere/at/all does not exist")


def test_source_that_is_a_file(vexlab: Vexlab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(vexlab("up", "--source", str(tmp_path / "file")), 2, "is not a directory")


def test_empty_source(vexlab: Vexlab, tmp_path: Path) -> None:
    refused(vexlab("up", "--source", str(tmp_path)), 2, "is empty")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_source(vexlab: Vexlab, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    refused(vexlab("up", "--source", str(tmp_path)), 2, "secret", "can't be read")


def test_missing_target(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--target", "/nowhere.yml"), 2, "/nowhere.yml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("empty",)),
        ("a: [", ("not YAML",)),
        (GOOD_TARGET + "vexlab_modul_name: x\n", ("vexlab_modul_name", "unknown field", "vexlab_module_name")),
        (GOOD_TARGET.replace("module_file: x.ko", "module_file: [x.ko]"), ("vexlab_module_file", "must be text")),
        (GOOD_TARGET.replace("vexlab_module_name: x\n", ""), ("vexlab_module_name", "is missing")),
        (GOOD_TARGET.replace("[]", "[teleport]"), ("teleport", "none of")),
        (GOOD_TARGET.replace("vexlab_mkfs", "#"), ("vexlab_mkfs_command: is missing", "Shell command that formats")),
        (GOOD_TARGET + KNOWN.format("muont/x.y"), ("muont/x.y", "there is no stage muont; did you mean mount?")),
    ],
    ids=[
        "empty",
        "malformed",
        "unknown-field",
        "wrong-type",
        "missing-field",
        "unknown-capability",
        "no-mkfs",
        "known-failure-of-no-stage",
    ],
)
def test_bad_target(vexlab: Vexlab, tmp_path: Path, content: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "target.yml"
    path.write_text(content)
    refused(vexlab("up", "--target", str(path)), 2, str(path), *words)


@pytest.mark.parametrize("command", [["ssh", "true"], ["console"], ["logs"], ["verify"], ["status"]], ids=" ".join)
def test_unknown_lab(vexlab: Vexlab, command: list[str]) -> None:
    refused(vexlab(command[0], "--name", "nobody", *command[1:]), 2, "unknown lab 'nobody'")


def test_impossible_name_of_a_lab(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--name", "../etc"), 2, "can't be the name of a lab")


def test_unknown_variant(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--variant", "rusty"), 2, "unknown variant 'rusty'", "c-only")


def test_unknown_kernel(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--kernel", "?"), 2, "'?' names no kernel", "a Debian suite")


@pytest.mark.parametrize("option", ["--cycles", "--seed", "--rerun", "--boot-deadline"])
@pytest.mark.parametrize("amount", ["0", "-3", "some"])
def test_amount_that_makes_no_sense(vexlab: Vexlab, option: str, amount: str) -> None:
    refused(vexlab("test", option, amount), 2, option, amount)


def test_unknown_option(vexlab: Vexlab) -> None:
    refused(vexlab("up", "--frobnicate"), 2, "--frobnicate")


def test_unknown_run(vexlab: Vexlab) -> None:
    refused(vexlab("report", "never"), 2, "there is no run 'never'")


def test_report_before_any_run(vexlab: Vexlab) -> None:
    refused(vexlab("report"), 2, "there is no run")


def test_down_and_destroy_without_a_lab(vexlab: Vexlab) -> None:
    refused(vexlab("down", "--name", "nobody"), 0, "nothing to take down")
    refused(vexlab("destroy", "--name", "nobody"), 0, "nothing to destroy")


def fake_tools(directory: Path, **scripts: str) -> str:
    """A PATH with programs of these names before the real ones."""
    for name, script in scripts.items():
        path = directory / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_missing_qemu(vexlab: Vexlab, tmp_path: Path) -> None:
    """A PATH that holds everything but QEMU."""
    for directory in os.environ["PATH"].split(":"):
        for tool in Path(directory).iterdir() if Path(directory).is_dir() else []:
            link = tmp_path / tool.name
            if not tool.name.startswith("qemu-") and not link.is_symlink():
                link.symlink_to(tool)
    done = vexlab("up", PATH=str(tmp_path))
    refused(done, 3, "qemu-system-x86_64", "qemu-system-x86")
    refused(vexlab("doctor", PATH=str(tmp_path)), 3, "qemu-system-x86_64", "apt-get install")


def test_qemu_that_is_too_old(vexlab: Vexlab, tmp_path: Path) -> None:
    (tmp_path / "qemu-system-x86_64").write_text("#!/bin/sh\necho 'QEMU emulator version 4.2.1'\n")
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    done = vexlab("doctor", PATH=f"{tmp_path}:{os.environ['PATH']}")
    refused(done, 3, "QEMU 4.2.1 is too old")


def test_no_space_for_labs(vexlab: Vexlab, tmp_path: Path) -> None:
    """A state directory that can't be written."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    done = vexlab("up", XDG_STATE_HOME=str(blocked))
    assert done.code != 0
    assert "Traceback" not in done.stderr
    assert str(blocked) in done.stderr
