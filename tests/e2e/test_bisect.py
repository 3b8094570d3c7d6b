"""`vexlab bisect` in real guests: a history of the filesystem in memory, with a mutant of the catalogue in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Done, Vexlab, edit, wait_until
from tests.mutants.catalogue import Mutant
from tests.unit.made_histories import git

pytestmark = pytest.mark.thorough

MUTANT = Mutant(
    "nodev-whole-seconds", "Times are kept to the second.", "mount", "failed", "edges.edge[times]", example="nodev"
)
NEWEST = 8
WORDS = ("--target", str(MUTANT.target), "--check", f"{MUTANT.stage}/{MUTANT.check}", "--builder", "sandbox")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight commits: one that doesn't build in the way of the search, and the mutant in the next but one."""
    tree = tmp_path_factory.mktemp("history") / "nodev"
    shutil.copytree(ROOT / "examples" / "nodev", tree)
    source = tree / "memfs.c"
    git(tree, "init", "--quiet", "--initial-branch=main")
    for number in range(1, NEWEST + 1):
        if number == 4:
            edit(source, "MODULE_LICENSE", "NO_MODULE_LICENSE")
        if number == 5:
            edit(source, "NO_MODULE_LICENSE", "MODULE_LICENSE")
        if number == 7:
            git(tree, "apply", str(MUTANT.patch))
        with source.open("a") as end:
            end.write(f"/* {number} */\n")
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", f"commit {number}")
    return tree


@pytest.fixture(scope="module")
def found(vexlab: Vexlab, tree: Path) -> Done:
    words = ("--json", "-o", "found.tar.zst", "--source", str(tree), *WORDS)
    return vexlab("bisect", "--good", f"main~{NEWEST - 1}", *words)


def test_commit_of_the_mutant_is_found(found: Done, tree: Path) -> None:
    assert found.code == 0, found.stderr
    [commit] = found.document["commits"]
    assert commit["subject"] == "commit 7"
    assert commit["commit"] == git(tree, "rev-parse", "main~1")
    assert any("memfs.c" in line for line in found.document["changes"])


def test_commit_that_does_not_build_was_passed_over(found: Done) -> None:
    answers = {each["subject"]: (each["answer"], each["why"]) for each in found.document["judged"]}
    answer, why = answers["commit 4"]
    assert (answer, why.partition(":")[0]) == ("skip", "stage build failed")
    assert answers["commit 1"][0] == "good"


def test_bundle_is_of_that_commit(found: Done, vexlab: Vexlab) -> None:
    archive = subprocess.run(
        ["tar", "--zstd", "-xOf", str(vexlab.home / "found.tar.zst"), "manifest.json"], capture_output=True, check=True
    )  # fmt: skip
    manifest = json.loads(archive.stdout)
    assert manifest["source"]["commit"] == found.document["commits"][0]["commit"]
    assert manifest["failure"]["check"] == MUTANT.check


def test_nothing_is_left(found: Done, vexlab: Vexlab, tree: Path) -> None:
    assert found.code == 0
    assert vexlab.processes() == []
    assert list(vexlab.labs.iterdir()) == []
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert not (tree / ".git" / "worktrees").exists()


def test_ctrl_c_in_a_search_leaves_nothing(found: Done, vexlab: Vexlab, tree: Path) -> None:
    """Neither a guest, nor a lab, nor a word in the person's repository; and the next search is not held up."""
    before = set(vexlab.runs.iterdir())
    process = vexlab.start("bisect", "--good", f"main~{NEWEST - 1}", *WORDS, "--source", str(tree))
    wait_until(lambda: any((run / "stages").is_dir() for run in set(vexlab.runs.iterdir()) - before), process)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the whole group gets it
    done = vexlab.finish(process, patience=120)
    assert done.code == 130, done.stderr
    assert "Traceback" not in done.stderr
    test_nothing_is_left(found, vexlab, tree)
    again = vexlab("bisect", "--good", "main", *WORDS, "--source", str(tree))  # refused before anything is built
    assert again.code == 2, again.stderr
