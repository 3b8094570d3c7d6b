"""A file with further known failures, which an option, a variable or a settings file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vexlab.config import settings, target
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem

ONE = 'vexlab_known_failures:\n  - {check: mount/rename.parent_follows, reason: "this branch"}\n'


def listed(options: Options) -> list[Any]:
    found: list[Any] = settings.make("lab", options).contract["vexlab_known_failures"]
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "known.yml"
    path.write_text(ONE)
    return path


def test_what_it_lists_comes_beside_what_the_target_lists(file: Path) -> None:
    btrfs = str(Path(__file__).parents[2] / "examples" / "targets" / "controls" / "btrfs.yml")
    of_target = listed(Options(target=btrfs))
    assert of_target, "the target has some of its own"
    mine = {"check": "mount/rename.parent_follows", "reason": "this branch"}
    assert listed(Options(target=btrfs, known_failures=str(file))) == [*of_target, mine]


def test_lab_remembers_its_path_until_it_gets_another_target(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    remembered = Options(target="/a.yml", known_failures=file.name).absolute().to_remember()
    assert remembered.known_failures == str(file)
    assert Options().over(remembered).known_failures == str(file)
    assert Options(target="/b.yml").over(remembered).known_failures is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ONE + "vexlab_target_name: x\n", "known.yml:3:1: vexlab_target_name: unknown field"),
        (ONE.replace("reason", "reasn"), "known.yml:2:42: vexlab_known_failures[0].reasn: unknown field"),
        (ONE.replace("mount/", "mont/"), "there is no stage mont; did you mean mount?"),
        ("- a\n", "the file of known failures holds a list instead of fields"),
        ("{}\n", "vexlab_known_failures: is missing"),
        ("", "the file of known failures is empty"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_its_place(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageProblem) as problem:
        target.load_known_failures(file)
    assert told in problem.value.message


def test_file_that_is_not_there_is_named_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="the file of known failures can't be read: No such file"):
        settings.make("lab", Options(known_failures=str(tmp_path / "none.yml")))
