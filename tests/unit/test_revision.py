"""What git tells of a source: where it is, what differs, and nothing at all where git has nothing to say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vexlab.config import source_tree
from vexlab.config.settings import Settings
from vexlab.run import run_facts
from vexlab.source import revision


def git(tree: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=tree, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main; the source is a part of it."""
    tree = tmp_path / "repository"
    (tree / "fs").mkdir(parents=True)
    git(tree, "init", "--quiet")
    for number in (1, 2):
        (tree / "fs" / "super.c").write_text("int x;\n" * number)
        (tree / "README").write_text(f"{number}\n")
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", str(number))
    return tree


def test_place_of_a_part_of_a_repository(repository: Path) -> None:
    found = revision.of(repository / "fs")
    assert found == revision.Revision(git(repository, "rev-parse", "HEAD"), "main", 0)
    (repository / "fs" / "super.c").write_text("edited")
    (repository / "fs" / "new.c").write_text("new")
    (repository / "README").write_text("is no source")
    git(repository, "checkout", "--quiet", "--detach")
    found = revision.of(repository / "fs")
    assert found is not None
    assert (found.branch, found.edited) == ("", 2)


def test_names_and_difference(repository: Path) -> None:
    new, old = git(repository, "rev-parse", "HEAD", "HEAD~1").split()
    git(repository, "tag", "v1", old)
    assert revision.commit_of(repository, "v1") == revision.commit_of(repository, old[:8]) == old
    assert [revision.commit_of(repository, name) for name in ("nothing", "--help", "", "a\0b")] == [""] * 4
    lines = revision.difference(repository / "fs", old, new)
    assert len(lines) == 2
    assert "super.c | 1 +" in lines[0]
    assert revision.difference(repository, old, "0" * 40) == []


def test_nothing_is_known_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    assert revision.of(tmp_path) is None
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    assert revision.of(empty) is None
    monkeypatch.setenv("PATH", str(empty))
    assert revision.of(repository) is None


def test_repository_is_left_as_it_is_and_starts_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor of the file system that a repository names would be run by `git status`; the index is written by it."""
    ran = repository.parent / "ran"
    monitor = repository.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {ran}\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    os.utime(repository / "fs" / "super.c", (1, 1))  # git would refresh what its index says of it
    before = source_tree.content_hash(repository / ".git" / "index")
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook of another repository
    assert revision.of(repository) is not None
    assert not ran.exists()
    assert source_tree.content_hash(repository / ".git" / "index") == before


def test_run_says_which_source_it_was_of(repository: Path, tmp_path: Path) -> None:
    settings = Settings("default", tmp_path, {"vexlab_source": str(repository / "fs")})
    found = run_facts.source_of(settings)
    assert found is not None
    assert found.tree == source_tree.fingerprint(repository / "fs")
    assert (found.commit, found.branch, found.edited) == (git(repository, "rev-parse", "HEAD"), "main", 0)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.c").write_text("")
    found = run_facts.source_of(Settings("default", tmp_path, {"vexlab_source": str(plain)}))
    assert found is not None
    assert (len(found.tree), found.commit, found.edited) == (64, "", 0)
    os.mkfifo(plain / "fifo")
    assert run_facts.source_of(Settings("default", tmp_path, {"vexlab_source": str(plain)})) is None
    assert run_facts.source_of(Settings("default", tmp_path, {"vexlab_source": ""})) is None
