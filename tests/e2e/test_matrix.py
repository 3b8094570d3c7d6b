"""A matrix as a person runs it: cells built without a guest, kept as long as nothing changes, judged by expectation."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import ROOT, Done, Vexlab, edit, wait_until

KERNELS = ("--kernel", "6.12", "--kernel", "6.1")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The target file of a small filesystem, beside its tree; both to be edited."""
    place = tmp_path_factory.mktemp("matrix")
    shutil.copytree(ROOT / "examples" / "nodev", place / "nodev")
    text = (ROOT / "examples" / "targets" / "nodev.yml").read_text()
    (place / "vexlab.yml").write_text(text.replace("vexlab_source: ../nodev", "vexlab_source: nodev"))
    return place / "vexlab.yml"


def cells(done: Done) -> dict[str, dict[str, Any]]:
    """What came of each kernel."""
    return {cell["kernel"]: cell for cell in done.document["cells"]}


def test_cells_are_built_kept_and_compared_with_what_is_expected(vexlab: Vexlab, target: Path) -> None:
    """One step after the other, since each begins with what the one before has built."""
    build = ("matrix", "--build", "--target", str(target), "--format", "json", *KERNELS)
    done = vexlab(*build)
    assert done.code == 0, done.stderr
    found = cells(done)
    assert [found[kernel]["found"]["verdict"] for kernel in ("6.12", "6.1")] == ["passed", "failed"]
    assert [found[kernel]["found"]["release"][: len(kernel)] for kernel in found] == list(found)
    assert "doesn't build, as expected" in done.stderr
    assert not list(vexlab.labs.glob("*")), "no guest and no lab is made"

    done = vexlab(*build)
    assert (done.code, [cell["kept"] for cell in cells(done).values()]) == (0, [True, True])
    assert "kept, since nothing changed: all of them" in done.stderr

    # What is expected is no part of what is built. Without it, the first error is told, with its place in the tree.
    former = target.read_text()
    target.write_text(former.replace("vexlab_expected:", "# vexlab_expected:").replace("  - {fails", "#  - {fails"))
    done = vexlab(*build)
    assert (done.code, [cell["kept"] for cell in cells(done).values()]) == (1, [True, True])
    broken = cells(done)["6.1"]
    assert broken["found"]["error"].startswith(f"{target.parent / 'nodev' / 'memfs.c'}:")
    assert broken["found"]["error"] in done.stderr
    assert broken["command"].endswith("--kernel 6.1 --variant c-only")
    assert cells(done)["6.12"]["as_expected"]

    target.write_text(former.replace('kernels: "<6.3"', 'kernels: "<7"'))
    done = vexlab(*build)
    assert done.code == 1
    assert cells(done)["6.12"]["unexpected"].startswith("it should fail at build: inode operations")
    document = max((vexlab.home / "state" / "vexlab" / "matrices").iterdir()) / "matrix.json"
    assert json.loads(document.read_text()) == done.document

    target.write_text(former)
    edit(target.parent / "nodev" / "memfs.c", 'MODULE_DESCRIPTION("A filesystem', 'MODULE_DESCRIPTION("Files')
    done = vexlab(*build)
    assert (done.code, [cell["kept"] for cell in cells(done).values()]) == (0, [False, False])


def test_what_cannot_be_had_is_told_before_anything_is_built(vexlab: Vexlab, target: Path) -> None:
    done = vexlab("matrix", "--build", "--target", str(target), "--kernel", "6.12", "--kernel", "9.9")
    assert (done.code, done.stdout) == (2, "")
    assert "has a kernel 9.9" in done.stderr
    assert "builds for" not in done.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_matrix_that_is_ended_leaves_nothing_at_work(vexlab: Vexlab, number: signal.Signals) -> None:
    began = vexlab.start("matrix", "--build", "--clean", *KERNELS)
    wait_until(lambda: any("KDIR" in line or "bwrap" in line for line in vexlab.processes()), began)
    began.send_signal(number)
    done = vexlab.finish(began, 60)
    assert done.code == (130 if number is signal.SIGINT else -signal.SIGKILL)
    wait_until_none(vexlab)


@pytest.mark.thorough
def test_module_is_loaded_and_unloaded_in_a_guest(vexlab: Vexlab, target: Path) -> None:
    done = vexlab("matrix", "--load", "--target", str(target), "--kernel", "6.12", "--format", "json")
    assert done.code == 0, done.stderr
    found = cells(done)["6.12"]["found"]
    assert (found["tier"], found["verdict"]) == ("load", "passed")
    assert (vexlab.runs / found["run"] / "results.json").is_file()
    assert not list(vexlab.labs.glob("*")), "its lab is there for that alone"
    again = vexlab("matrix", "--load", "--target", str(target), "--kernel", "6.12", "--format", "json")
    assert (again.code, cells(again)["6.12"]["kept"]) == (0, True)


def wait_until_none(vexlab: Vexlab) -> None:
    """Until no process of this environment is left."""
    deadline = time.monotonic() + 30
    while left := vexlab.processes():
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
