"""A matrix from its cells to its results, as far as that takes neither a build nor a guest."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.unit import example_runs
from vexlab.cli import cell as in_guest
from vexlab.config import user_directories
from vexlab.config.settings import Options
from vexlab.errors import HostProblem
from vexlab.matrix import archive, builder, cells, worker
from vexlab.matrix.cells import Cell
from vexlab.matrix.conduct import How, Matrix
from vexlab.matrix.worker import Task
from vexlab.results.matrix import RESULTS, CellRecord, Tier
from vexlab.results.model import Verdict

AWAY = HostProblem("Debian's mirror can't be reached", "sudo apt-get update")


class Seen:
    """Shows nothing, and remembers what ended."""

    def __init__(self) -> None:
        self.over: list[CellRecord] = []

    def doing(self, cell: CellRecord, words: str) -> None:
        """Nobody looks."""

    def ended(self, cell: CellRecord) -> None:
        self.over.append(cell)

    def say(self, words: str) -> None:
        """Nobody looks."""

    def tick(self) -> None:
        """Nobody waits."""


def no_guest(cell: Cell, built: str) -> Task:
    raise AssertionError(f"{cell.name} goes to a guest, and was not built ({built})")


@pytest.mark.parametrize("tier", [Tier.BUILD, Tier.LOAD])
def test_kernel_that_cannot_be_had_spoils_its_own_cells_and_is_written_down(
    tier: Tier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = cells.plan([], ["6.1"], [], Options())
    how = How(tier, 2, clean=False, refused={cell.name: AWAY for cell in found}, in_guest=no_guest)
    seen, directory = Seen(), archive.new_directory(tier)
    record = Matrix(found, how, directory, seen).run()
    assert not record.as_expected
    assert record.finished
    assert [cell.found.problem for cell in record.cells] == [AWAY.message] * 2
    assert [cell.name for cell in seen.over] == [cell.name for cell in found]
    assert json.loads((directory / RESULTS).read_text())["tier"] == tier
    assert sorted(path.stem for path in directory.glob("*-full-*.json")) == [found[1].name]


def test_source_that_cannot_be_read_is_no_cell_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when the matrix was planned."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    found = cells.plan([], ["6.1"], ["full"], Options(source=str(source)))
    (source / "file").unlink()
    os.mkfifo(source / "pipe")
    how = How(Tier.BUILD, 1, clean=False, refused={}, in_guest=no_guest)
    [cell] = Matrix(found, how, archive.new_directory(Tier.BUILD), Seen()).run().cells
    assert cell.found.verdict is Verdict.NOT_RUN
    assert "pipe in the source is a FIFO" in cell.found.problem


def test_cell_whose_lab_cannot_be_says_why_and_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that goes on in a guest, with an order that is refused before there is one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    options = dataclasses.asdict(Options(kernel="no kernel"))
    order = in_guest.Order("m-lab", options, Tier.LOAD, "key", str(tmp_path / "cell"))
    task = Task("m-lab", "vexlab.cli.cell", msgspec.json.encode(order))
    answers = [event.answer for event in worker.run([task], 1, 10) if event and event.answer]
    assert [answer["found"]["problem"] for answer in answers] == ["'no kernel' names no kernel"]
    assert answers[0]["found"]["exit_code"] == 2
    assert not user_directories.labs_directory().exists()


def test_what_this_machine_refuses_is_told_in_words(tmp_path: Path) -> None:
    """And with the next step, whatever program of a cell met it."""
    (tmp_path / "file").touch()
    [cell] = cells.plan([], ["trixie"], ["full"], Options())
    order = builder.Order(cell.contract, "", str(tmp_path / "file" / "cell"), 1)
    tasks = [Task("a", "vexlab.matrix.builder", msgspec.json.encode(order))]
    [found] = [event.answer["found"] for event in worker.run(tasks, 1, 10) if event and event.answer]
    assert found["problem"] == f"Not a directory: {tmp_path}/file/cell/work"
    assert found["exit_code"] == 3


def test_cell_that_another_matrix_has_in_its_guest_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their lab is one and the same: the second would take the first one's guest away, or be refused."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    directory = tmp_path / "cell"
    directory.mkdir()
    order = in_guest.Order("m-lab", dataclasses.asdict(Options(kernel="no kernel")), Tier.LOAD, "key", str(directory))
    lock = os.open(directory, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    seen: list[str] = []
    for event in worker.run([Task("m-lab", "vexlab.cli.cell", msgspec.json.encode(order))], 1, 10):
        if event is not None:
            if not seen:
                os.close(lock)
            seen.append(event.doing or "over")
    assert seen == ["waits for another vexlab that has it in a guest", "over"]


def test_what_a_run_says_of_its_cell() -> None:
    verdicts = {"build": Verdict.PASSED, "load": Verdict.FAILED}
    found = in_guest._found(example_runs.a_run(verdicts), Tier.LOAD)
    assert (found.verdict, found.tier, found.error) == (
        Verdict.FAILED, Tier.LOAD, "stage load failed: load.three: it broke",
    )  # fmt: skip
    passed = in_guest._found(example_runs.a_run({"build": Verdict.PASSED}), Tier.TEST)
    assert (passed.verdict, passed.error) == (Verdict.PASSED, "")


def test_run_without_a_verdict_says_why_its_cell_was_not_tried() -> None:
    """Else nobody would count it, and the matrix would end with 0."""
    found = in_guest._found(example_runs.a_run({"build": Verdict.PASSED, "load": Verdict.NOT_RUN}), Tier.LOAD)
    assert found.verdict is Verdict.NOT_RUN
    assert found.problem == "stage load was not run"
    assert found.hint.startswith("vexlab report ")
    assert found.exit_code == 3


def test_steps_of_a_run_are_told_to_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    relay = in_guest._Relay()
    for event in ({"event": "say", "text": "x"}, {"event": "begin", "step": "load"}):
        relay.write(json.dumps(event) + "\n")
    relay.write("no JSON\n")
    assert capsys.readouterr().out == '{"doing": "load"}\n'
