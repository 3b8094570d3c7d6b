"""The catalogue of mutants: each is whole, can be planted in today's tree, and names a check that there is."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT
from tests.mutants import catalogue
from tests.mutants.catalogue import ROLE, VERDICTS, Judgement, Mutant, judge
from vexlab.config import settings, stage_list
from vexlab.config.settings import Options

MUTANTS = catalogue.load()
STAGES = Path(__file__).parents[1] / "stages"
each = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def test_there_are_enough() -> None:
    """And each patch has an entry, which has a name of its own."""
    assert len(MUTANTS) >= 25
    assert sorted(mutant.patch for mutant in MUTANTS) == sorted((catalogue.HERE / "catalogue").iterdir())


def test_those_in_make_test_are_of_every_kind() -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.in_test]
    assert {mutant.verdict for mutant in chosen} >= {"failed", "panicked", "hung"}
    assert {mutant.stage for mutant in chosen} >= {"build", "load", "mkfs", "mount"}


@each
def test_entry_is_whole(mutant: Mutant) -> None:
    assert mutant.sentence.endswith(".")
    assert mutant.stage in stage_list.stages_for(())
    assert mutant.verdict in VERDICTS


@each
def test_patch_applies_and_changes_something(mutant: Mutant, tmp_path: Path) -> None:
    mutant.plant(tmp_path / "copy")
    original = ROOT / "examples" / mutant.example
    same = subprocess.run(["diff", "-rq", original, tmp_path / "copy"], capture_output=True, check=False)
    assert same.returncode == 1, same.stdout


@pytest.fixture(scope="session")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for inventories, one for each variant."""
    return tmp_path_factory.mktemp("inventory")


@cache
def checks(stage: str, target: Path, variant: str, inventory: Path) -> set[str]:
    """The names of all checks of a stage, as pytest collects them for a target; no guest is asked."""
    hosts = inventory / f"{target.stem}-{variant}" / "hosts.yml"
    hosts.parent.mkdir(exist_ok=True)
    contract = settings.make("mutant", Options(target=str(target), variant=variant)).contract
    hosts.write_text(yaml.safe_dump({"all": {"hosts": {"nobody": contract}}}))
    command = [
        sys.executable, "-m", "pytest", "--collect-only", "-q", f"--config-file={STAGES / 'pytest.ini'}",
        f"--rootdir={STAGES}", "--hosts=ansible://nobody", f"--ansible-inventory={hosts}", f"--stage={stage}",
        f"--run-directory={hosts.parent}", str(STAGES / stage), str(STAGES / "every_stage"),
    ]  # fmt: skip
    # testinfra starts ansible-inventory by name; the environment need not be activated for these tests.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, 5), done.stdout + done.stderr  # 5: no check ran, says the conftest of the checks
    found = [line.partition("::") for line in done.stdout.splitlines() if "::" in line]
    return {f"{Path(file).stem.removeprefix('test_')}.{test.removeprefix('test_')}" for file, _, test in found}


@each
def test_check_exists(mutant: Mutant, inventory: Path) -> None:
    if mutant.check == ROLE:
        [spec] = [spec for spec in stage_list.stages() if spec.name == mutant.stage]
        assert spec.role
    else:
        known = checks(mutant.stage, mutant.target, mutant.variant, inventory)
        assert any(map(mutant.means, known)), f"stage {mutant.stage} has no check {mutant.check}"


def stages(**verdicts: str) -> list[dict[str, Any]]:
    """Stages of a run: `mount="failed a b"` failed with these checks failed, and one that passed."""
    found = []
    for name, words in verdicts.items():
        verdict, *failed = words.split()
        checks = [{"name": check, "verdict": verdict} for check in failed]
        checks += [{"name": "other", "verdict": "passed"}] if failed else []
        found.append({"name": name, "verdict": verdict, "reason": "why", "checks": checks})
    return found


@pytest.mark.parametrize(
    ("run", "check", "outcome"),
    [
        (stages(build="passed", mount="failed a", errors="not_run"), "a", Judgement("caught", "")),
        (stages(build="passed", mount="failed b a c"), "a", Judgement("caught", "and 2 more")),
        (stages(build="passed", mount="failed a[1] a[2] b"), "a", Judgement("caught", "and 1 more")),
        (stages(build="passed", mount="failed a[1]"), "a[1]", Judgement("caught", "")),
        (stages(build="passed", mount="failed"), ROLE, Judgement("caught", "")),
        (
            stages(build="passed", mount="failed a[1]"),
            "a[2]",
            Judgement("caught elsewhere", "mount failed by a[1]: why"),
        ),
        (stages(build="passed", mount="failed b"), "a", Judgement("caught elsewhere", "mount failed by b: why")),
        (stages(build="passed", mount="failed"), "a", Judgement("caught elsewhere", "mount failed by role: why")),
        (stages(build="passed", mount="failed b"), ROLE, Judgement("caught elsewhere", "mount failed by b: why")),
        (stages(build="passed", mount="hung a"), "a", Judgement("caught elsewhere", "mount hung by a: why")),
        (stages(build="failed", mount="not_run"), "a", Judgement("caught elsewhere", "build failed by role: why")),
        (stages(build="passed", mount="passed"), "a", Judgement("survived", "")),
        (stages(build="passed", mount="skipped"), "a", Judgement("survived", "")),
        (stages(build="passed", mount="not_run"), "a", Judgement("survived", "mount was not run")),
    ],
)
def test_run_is_judged(run: list[dict[str, Any]], check: str, outcome: Judgement) -> None:
    """Only the right stage, verdict and check together are what it is about."""
    assert judge(Mutant("m", "It is broken.", "mount", "failed", check), run) == outcome
