"""What molecule would pass without a word: scenarios that name tests, stages or playbooks that aren't there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vexlab.config import installation

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
WORKFLOW = ROOT / ".github" / "workflows" / "pull-request.yml"
CALLED = sorted(path for path in (ROOT / ".github").rglob("*.yml") if path.parent.name in ("workflows", "filesystem"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


BASE = load(ROOT / ".config" / "molecule" / "config.yml")


def test_there_are_scenarios() -> None:
    assert {path.name for path in SCENARIOS} >= {"default", "reload", "full", "refusal", "device"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_scenario_is_a_few_lines(scenario: Path) -> None:
    assert len((scenario / "molecule.yml").read_text(encoding="utf-8").splitlines()) <= 15


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_verifier_has_tests_of_the_stage_that_it_judges(scenario: Path) -> None:
    """Without tests in its directory, molecule's verifier says "no tests found" and passes."""
    verifier = BASE["verifier"] | load(scenario / "molecule.yml").get("verifier", {})
    options = BASE["verifier"]["options"] | verifier["options"]
    directory = (scenario / verifier["directory"]).resolve()
    assert directory == ROOT / "tests" / "stages" / options["stage"]
    for tests in (directory, *((directory / path).resolve() for path in verifier["additional_files_or_dirs"])):
        assert list(tests.glob("test_*.py"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_playbooks_are_there(scenario: Path) -> None:
    """A playbook that is missing is skipped."""
    own = load(scenario / "molecule.yml")
    playbooks = list((BASE["ansible"]["playbooks"] | own.get("ansible", {}).get("playbooks", {})).values())
    sequence = own["scenario"].get("test_sequence", BASE["scenario"]["test_sequence"])
    playbooks += [step.split()[1] for step in sequence if " " in step]
    for path in list(playbooks):
        if (scenario / path).parent == scenario:
            plays = load(scenario / path)
            playbooks += [play["import_playbook"] for play in plays if "import_playbook" in play]
    assert [path for path in playbooks if not (scenario / path).is_file()] == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_sequence_judges_counts_and_destroys(scenario: Path) -> None:
    """Whatever else a scenario does, it has these; side_effect alone counts what was judged."""
    own = load(scenario / "molecule.yml")["scenario"]
    assert own["name"] == scenario.name
    sequence = own.get("test_sequence", BASE["scenario"]["test_sequence"])
    assert "verify" in sequence[:-3]
    assert sequence[-3:] == ["side_effect", "cleanup", "destroy"]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_variables_of_a_scenario_exist(scenario: Path) -> None:
    known = set(installation.contract_defaults()) | {"vexlab_stages", "vexlab_only_applied", "judged_records"}
    assert set(load(scenario / "host_vars" / "guest.yml")) <= known


def test_workflow_runs_each_scenario() -> None:
    matrix = load(WORKFLOW)["jobs"]["molecule"]["strategy"]["matrix"]
    assert sorted(matrix["scenario"]) == [path.name for path in SCENARIOS]


@pytest.mark.parametrize("path", CALLED, ids=lambda path: str(path.relative_to(ROOT)))
def test_workflow_pins_actions_and_may_only_read(path: Path) -> None:
    """A tag can be moved to other code; a commit can't. `$/` is this repository at the commit that runs."""
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    others = [each for each in used if not each[0].startswith("$/.github/")]
    assert all(re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", action) for action, _ in others)
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", version) for _, version in others)
    if path.name != "action.yml":  # one has the permissions of the workflow that uses it
        assert load(path)["permissions"] == {"contents": "read"}
    assert "permissions" not in str(load(path).get("jobs"))
