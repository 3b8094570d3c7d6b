"""Module source_tree, run as Ansible runs it, on real files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit import modules
from tests.unit.odd_files import NAMES, OTHERS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("Kbuild", "kernel/a.c", "kernel/a.o"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def apply(tree: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    inputs = {
        "source": str(tree / "source"), "destination": str(tree / "made" / "copy"),
        "required_paths": ["Kbuild", "kernel/"], "forbidden_in_root": ["mkfs.*"], "exclude": ["*.o"],
    }  # fmt: skip
    return modules.run("source_tree", inputs | other, check=check)


def test_copies_what_is_not_excluded(tree: Path) -> None:
    answer = apply(tree)
    assert (answer["changed"], answer["source"]) == (True, str(tree / "source"))
    copied = sorted(
        str(path.relative_to(tree / "made" / "copy")) for path in (tree / "made" / "copy").rglob("*") if path.is_file()
    )
    assert copied == ["Kbuild", "kernel/a.c"]


def test_second_time_changes_nothing(tree: Path) -> None:
    apply(tree)
    assert apply(tree)["changed"] is False


def test_edit_of_the_same_size_and_time_is_seen(tree: Path) -> None:
    apply(tree)
    path = tree / "source" / "kernel" / "a.c"
    times = path.stat()
    path.write_text("kernel/b.c")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert apply(tree)["changed"] is True
    assert (tree / "made" / "copy" / "kernel" / "a.c").read_text() == "kernel/b.c"


def test_what_is_gone_from_the_source_goes(tree: Path) -> None:
    apply(tree)
    (tree / "source" / "kernel" / "a.c").unlink()
    assert apply(tree)["changed"] is True
    assert not (tree / "made" / "copy" / "kernel" / "a.c").exists()


def test_check_changes_nothing(tree: Path) -> None:
    assert apply(tree, check=True)["changed"] is True
    assert not (tree / "made").exists()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"required_paths": ["gone"]}, "gone is missing"),
        ({"required_paths": ["Kbuild/"]}, "Kbuild/ is not a directory"),
        ({"forbidden_in_root": ["Kb*"]}, "Kbuild must not be in the root"),
        ({"source": "/nowhere"}, "is not a directory"),
    ],
)
def test_says_what_is_wrong(tree: Path, other: dict[str, Any], words: str) -> None:
    answer = apply(tree, **other)
    assert answer["failed"]
    assert words in answer["msg"]
    assert not (tree / "made" / "copy").exists()


def test_pattern_must_match_one_directory(tree: Path) -> None:
    (tree / "source2").mkdir()
    assert "matches 2 directories" in apply(tree, source=f"{tree}/source*")["msg"]


@pytest.mark.parametrize("kind", OTHERS)
def test_what_cannot_be_copied_is_named(tree: Path, kind: str) -> None:
    OTHERS[kind](tree / "source" / "kernel" / "odd\none")
    answer = apply(tree)
    assert answer["failed"]
    assert 'neither a file, a link nor a directory: "kernel/odd\\#012one"' in answer["msg"]
    assert not list((tree / "made" / "copy" / "kernel").glob("odd*"))
    assert not apply(tree, exclude=["odd*"])["failed"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_any_name_is_copied(tree: Path, name: bytes) -> None:
    path = tree / "source" / "kernel" / os.fsdecode(name)
    path.write_text("content")
    assert not apply(tree)["failed"]
    assert (tree / "made" / "copy" / "kernel" / path.name).read_text() == "content"
    assert apply(tree)["changed"] is False
    path.unlink()
    assert apply(tree)["changed"] is True
    assert not (tree / "made" / "copy" / "kernel" / path.name).exists()


def test_forbidden_name_that_is_not_utf8_is_told(tree: Path) -> None:
    (tree / "source" / os.fsdecode(b"mkfs.\xff")).touch()
    assert r"mkfs.\xff must not be in the root" in apply(tree)["msg"]


def test_links_are_copied_as_links(tree: Path) -> None:
    (tree / "source" / "loop").symlink_to("loop")
    (tree / "source" / "endless").symlink_to("/dev/zero")
    assert not apply(tree)["failed"]
    assert (tree / "made" / "copy" / "loop").readlink() == Path("loop")
    assert (tree / "made" / "copy" / "endless").readlink() == Path("/dev/zero")
