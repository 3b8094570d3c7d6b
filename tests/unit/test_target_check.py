"""`vexlab target check`: what a first run would find in a target file, said beforehand and with the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.source_trees import MAKEFILE, TOYFS, write
from vexlab.config.target import load_target
from vexlab.source import target_check
from vexlab.source.target_check import Finding

ROOT = Path(__file__).parents[2]
GOOD: dict[str, Any] = {
    "vexlab_target_name": "toyfs",
    "vexlab_source": "tree",
    "vexlab_required_paths": ["Makefile", "toyfs.c"],
    "vexlab_build_command": 'make KDIR="$KDIR"',
    "vexlab_module_file": "toyfs.ko",
    "vexlab_module_name": "toyfs",
    "vexlab_filesystem_type": "toyfs",
    "vexlab_mkfs_command": './mkfs.toyfs "$DEVICE"',
    "vexlab_superblock_magic": "66796f74",
    "vexlab_superblock_magic_offset": 32,
    "vexlab_capabilities": [],
}


def findings(directory: Path, fields: dict[str, Any], files: dict[str, str]) -> list[Finding]:
    root = write(directory / "tree", TOYFS | files)
    path = directory / "toy.yml"
    path.write_text(yaml.safe_dump(GOOD | fields))
    return target_check.against(root, load_target(path))


def vexlab(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vexlab", "target", "check", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, env=environment, timeout=50, check=False
    )


def test_nothing_is_found_where_all_is_right(tmp_path: Path) -> None:
    assert not findings(tmp_path, {}, {})


def test_examples_are_right() -> None:
    for name in ("vexfs",):
        fields = load_target(ROOT / f"examples/targets/{name}.yml")
        assert not target_check.against(Path(str(fields["vexlab_source"])), fields)


# Changes to the good target, changes to its tree, and what is told: field, fact, way out.
Case = tuple[dict[str, Any], dict[str, str], str, str, str]
WRONG: dict[str, Case] = {
    "module elsewhere": (
        {"vexlab_module_file": "src/toyfs.ko"},
        {},
        "vexlab_module_file",
        "Makefile:1 has it built as toyfs.ko",
        "vexlab_module_file: toyfs.ko",
    ),
    "another module": (
        {"vexlab_module_file": "foofs.ko", "vexlab_module_name": "foofs"},
        {},
        "vexlab_module_file",
        "no Makefile builds foofs.ko (obj-m); built are toyfs.ko",
        "vexlab_module_file: toyfs.ko",
    ),
    "name of the loaded module": (
        {"vexlab_module_name": "toy"},
        {},
        "vexlab_module_name",
        "is loaded as toyfs",
        "vexlab_module_name: toyfs",
    ),
    "another type": (
        {"vexlab_filesystem_type": "toy"},
        {},
        "vexlab_filesystem_type",
        "toyfs.ko registers toyfs (toyfs.c:13)",
        "vexlab_filesystem_type: toyfs",
    ),
    "bytes turned round": (
        {"vexlab_superblock_magic": "746f7966"},
        {},
        "vexlab_superblock_magic",
        "are the reverse of TOYFS_MAGIC",
        'vexlab_superblock_magic: "66796f74"',
    ),
    "path": (
        {"vexlab_required_paths": ["src/"]},
        {},
        "vexlab_required_paths",
        "src/ is not in the source",
        "name what is there",
    ),
    "forbidden": (
        {"vexlab_forbidden_in_root": ["mkfs.*"]},
        {},
        "vexlab_forbidden_in_root",
        "mkfs.toyfs.c is in the root",
        "move it away",
    ),
    "build directory": (
        {"vexlab_build_directory": "src"},
        {},
        "vexlab_build_directory",
        "there is no directory src",
        "name the one",
    ),
}
DOUBTS: dict[str, Case] = {
    "other bytes": (
        {"vexlab_superblock_magic": "00112233"},
        {},
        "vexlab_superblock_magic",
        "are not TOYFS_MAGIC",
        'vexlab_superblock_magic: "66796f74"',
    ),
    "bytes turned round, order not declared": (
        {"vexlab_superblock_magic": "746f7966"},
        {"toyfs.h": TOYFS["toyfs.h"].replace("__le32", "u32")},
        "vexlab_superblock_magic",
        "are the reverse",
        '"66796f74"',
    ),
    "another place": (
        {"vexlab_superblock_magic_offset": 0},
        {},
        "vexlab_superblock_magic_offset",
        "is at 32 (toyfs_super.magic",
        "vexlab_superblock_magic_offset: 32",
    ),
    "mkfs": (
        {"vexlab_mkfs_command": 'tools/mkfs "$DEVICE"'},
        {},
        "vexlab_mkfs_command",
        "tools/mkfs is not in the tree",
        "the tree has mkfs.toyfs",
    ),
    "variable": (
        {},
        {"Makefile": "ifndef FOO\n$(error say foo)\nendif\n" + MAKEFILE},
        "vexlab_build_command",
        "Makefile:2 stops unless FOO is given (say foo)",
        "add FOO=",
    ),
    "option": (
        {},
        {"Makefile": MAKEFILE.replace("obj-m :=", "obj-$(CONFIG_TOY) +=")},
        "vexlab_build_command",
        "is built if CONFIG_TOY is m",
        "add CONFIG_TOY=m",
    ),
    "module that only make can name": (
        {"vexlab_module_file": "foo.ko", "vexlab_module_name": "foo"},
        {"Makefile": "obj-m += $(shell ls).o\n" + MAKEFILE},
        "vexlab_module_file",
        "no Makefile builds foo.ko",
        "toyfs.ko",
    ),
    "description": (
        {"vexlab_capabilities": ["module-description"]},
        {},
        "vexlab_capabilities",
        "there is no MODULE_DESCRIPTION",
        "leave it out",
    ),
    "alias": (
        {"vexlab_capabilities": ["module-alias"]},
        {},
        "vexlab_capabilities",
        "there is no MODULE_ALIAS_FS",
        "leave it out",
    ),
    "capability": (
        {"vexlab_capabilities": ["rename"]},
        {},
        "vexlab_capabilities",
        "nothing in the source speaks for it",
        "look whether",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_contradiction(tmp_path: Path, case: Case) -> None:
    fields, files, field, words, remedy = case
    _told(findings(tmp_path, fields, files), Finding(field, words, remedy, wrong=True))


@pytest.mark.parametrize("case", DOUBTS.values(), ids=DOUBTS)
def test_doubt(tmp_path: Path, case: Case) -> None:
    fields, files, field, words, remedy = case
    _told(findings(tmp_path, fields, files), Finding(field, words, remedy, wrong=False))


def _told(found: list[Finding], expected: Finding) -> None:
    """That one finding, and no other of another kind."""
    assert [finding for finding in found if finding.field == expected.field and expected.words in finding.words
            and expected.remedy in finding.remedy and finding.wrong == expected.wrong], found  # fmt: skip
    assert {finding.field for finding in found} == {expected.field}


def test_device_is_what_the_type_asks_for(tmp_path: Path) -> None:
    without = {"toyfs.c": TOYFS["toyfs.c"].replace("FS_REQUIRES_DEV", "0")}
    _told(findings(tmp_path, {}, without), Finding("vexlab_device_kind", "nothing in the source", "none", wrong=False))
    fields = GOOD | {"vexlab_device_kind": "none"}
    root = write(tmp_path / "tree", TOYFS)
    _told(target_check.against(root, fields), Finding("vexlab_device_kind", "needs a block device", "leave it out"))


def test_module_of_the_target_is_the_one_that_is_compared(tmp_path: Path) -> None:
    """A tree of several filesystems is none of a target's problems."""
    files = {"Makefile": MAKEFILE.replace("toyfs.o\n", "toyfs.o foofs.o\n", 1),
             "foofs.c": TOYFS["toyfs.c"].replace('"toyfs"', '"foofs"')}  # fmt: skip
    foofs = {"vexlab_module_file": "foofs.ko", "vexlab_module_name": "foofs", "vexlab_filesystem_type": "foofs"}
    assert not findings(tmp_path, foofs, files)
    assert not findings(tmp_path, {}, files)


def test_what_the_kernel_does_itself_is_no_doubt() -> None:
    """tinyfs has no word of remounts, as the VFS does them; every pull request of it began with a doubt."""
    done = vexlab(ROOT / "examples/tinyfs", "vexlab.yml")
    assert (done.returncode, "!" in done.stdout) == (0, False), done.stdout


def test_command_ends_with_0_and_says_what_it_could_not_look_at(tmp_path: Path) -> None:
    findings(tmp_path, {"vexlab_mkfs_command": 'mkfs.toyfs "$DEVICE"'}, {})
    done = vexlab(tmp_path, "toy.yml")
    assert done.returncode == 0, done.stderr
    assert "nothing contradicts the source\n" in done.stdout
    assert "not looked at: whether the guest has mkfs.toyfs" in done.stdout


def test_command_ends_with_2_for_a_contradiction_and_0_for_a_doubt(tmp_path: Path) -> None:
    findings(tmp_path, {"vexlab_filesystem_type": "toy"}, {})
    refused = vexlab(tmp_path, "toy.yml")
    assert refused.returncode == 2
    assert "✘ vexlab_filesystem_type" in refused.stdout
    findings(tmp_path, {"vexlab_superblock_magic_offset": 0}, {})
    doubtful = vexlab(tmp_path, "toy.yml")
    assert doubtful.returncode == 0
    assert "! vexlab_superblock_magic_offset" in doubtful.stdout
    assert "nothing contradicts the source; see the notes\n" in doubtful.stdout


def test_command_compares_with_the_source_that_is_named(tmp_path: Path) -> None:
    """For a source that is in the guest's image, of which there may be a copy here."""
    root = write(tmp_path / "copy", TOYFS)
    fields = {name: value for name, value in GOOD.items() if name != "vexlab_source"} | {
        "vexlab_filesystem_type": "toy"
    }
    path = tmp_path / "toy.yml"
    path.write_text(yaml.safe_dump(fields | {"vexlab_source_in_guest": "/usr/src/toy-*"}))
    alone = vexlab(tmp_path, "toy.yml")
    assert alone.returncode == 0
    assert "not looked at: the source, /usr/src/toy-* in the guest" in alone.stdout
    assert vexlab(tmp_path, "toy.yml", "--source", str(root)).returncode == 2


def test_command_refuses_what_the_schema_refuses(tmp_path: Path) -> None:
    findings(tmp_path, {}, {})
    (tmp_path / "toy.yml").write_text("vexlab_target_name: toyfs\n")
    done = vexlab(tmp_path, "toy.yml")
    assert done.returncode == 2
    assert "vexlab_module_file: is missing" in done.stderr
