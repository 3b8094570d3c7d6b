"""What counts as a change of what `up` is made from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vexlab import settings, unchanged
from vexlab.settings import Options


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "kernel").mkdir(parents=True)
    (tree / "kernel" / "a.c").write_text("int a;\n")
    (tree / "link").symlink_to("kernel/a.c")
    (tree / ".git").mkdir()
    return tree


def inputs(source: Path, **options: int) -> str:
    return unchanged.inputs_of(settings.make("x", Options(source=str(source), **options)))  # type: ignore[arg-type]


def test_nothing_changed(source: Path) -> None:
    assert inputs(source) == inputs(source)


def test_edit_of_the_same_size_and_time_counts(source: Path) -> None:
    path, before = source / "kernel" / "a.c", inputs(source)
    times = path.stat()
    path.write_text("int b;\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert inputs(source) != before


@pytest.mark.parametrize("what", ["new file", "removed file", "mode", "link", "option"])
def test_change_counts(source: Path, what: str) -> None:
    before = inputs(source)
    if what == "new file":
        (source / "kernel" / "b.c").touch()
    elif what == "removed file":
        (source / "kernel" / "a.c").unlink()
    elif what == "mode":
        (source / "kernel" / "a.c").chmod(0o755)
    elif what == "link":
        (source / "link").unlink()
        (source / "link").symlink_to("kernel")
    assert inputs(source, **({"memory_mb": 1024} if what == "option" else {})) != before


def test_what_git_keeps_does_not_count(source: Path) -> None:
    before = inputs(source)
    (source / ".git" / "index").write_text("x")
    assert inputs(source) == before
