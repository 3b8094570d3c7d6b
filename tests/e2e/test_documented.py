"""Commands as the documents have them, typed by a person: at a terminal or not, the environment activated or not.

What colours a terminal brings, and what PATH lacks, must not matter. Every scenario of molecule is run by one of them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from _pytest.mark import ParameterSet

from tests.e2e.harness import ROOT, RUN_DEADLINE, Vexlab

ACTIVATE = f". {Path(sys.executable).parent}/activate && "
PULL_REQUESTS = "docs/pull-requests.md"


@dataclass(frozen=True)
class Typed:
    """A command, the document that has it, and how it is typed."""

    command: str
    document: str
    terminal: bool
    activated: bool

    def __str__(self) -> str:
        """Return the name that pytest shows."""
        where = "at a terminal" if self.terminal else "without a terminal"
        return f"{self.command}, {where}, {'activated' if self.activated else 'not activated'}"

    def run(self, environment: dict[str, str], cwd: Path = ROOT) -> tuple[int, str]:
        """Type it; its exit code and all that it printed."""
        line = ACTIVATE + self.command if self.activated else self.command
        if not self.terminal:
            done = subprocess.run(
                ["sh", "-c", line], cwd=cwd, env=environment, text=True, timeout=RUN_DEADLINE, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            return done.returncode, done.stdout
        said, code = pexpect.run(
            shlex.join(["sh", "-c", line]), cwd=str(cwd), env=environment, encoding="utf-8", timeout=RUN_DEADLINE,
            withexitstatus=True,
        )  # fmt: skip
        return int(code), str(said)


SCENARIOS = {
    "default": Typed("molecule test", PULL_REQUESTS, terminal=True, activated=True),
    "refusal": Typed("molecule test -s refusal", PULL_REQUESTS, terminal=False, activated=True),
    "reload": Typed("make molecule SCENARIO=reload", PULL_REQUESTS, terminal=True, activated=False),
    "full": Typed("make molecule SCENARIO=full", "", terminal=False, activated=False),
    "device": Typed("make molecule SCENARIO=device", "", terminal=True, activated=True),
}
LOOKS = ("status", "ssh true", "console -n 5", "logs console", "report", "verify --stage load")


@pytest.fixture
def environment(vexlab: Vexlab) -> dict[str, str]:
    """What a person's shell has at a terminal: no word about colours, nothing of the environment in PATH."""
    unwanted = ("NO_COLOR", "FORCE_COLOR", "VIRTUAL_ENV")
    known = {
        name: value for name, value in vexlab.environment.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))
    }
    outside = [part for part in os.environ["PATH"].split(os.pathsep) if part != str(Path(sys.executable).parent)]
    others = {"TERM": "xterm-256color", "PATH": os.pathsep.join(outside)}
    # Scenarios of two checkouts would share the directory that molecule chooses.
    others["MOLECULE_EPHEMERAL_DIRECTORY"] = str(vexlab.home / "molecule")
    return {name: value for name, value in known.items() if name not in unwanted} | others


def scenarios() -> list[ParameterSet]:
    """Each scenario; the first is what `make test` runs."""
    marks = {True: (), False: (pytest.mark.thorough,)}
    return [
        pytest.param(name, typed, id=str(typed), marks=marks[name == "default"]) for name, typed in SCENARIOS.items()
    ]


@pytest.mark.parametrize(("scenario", "typed"), scenarios())
def test_scenario(scenario: str, typed: Typed, environment: dict[str, str]) -> None:
    assert not typed.document or typed.command in (ROOT / typed.document).read_text(encoding="utf-8")
    code, said = typed.run(environment)
    assert code == 0, said[-20000:]
    judged = list((ROOT / ".molecule" / scenario).rglob("checks.jsonl"))
    assert any('"verdict": "passed"' in path.read_text(encoding="utf-8") for path in judged)


def test_every_scenario_is_run() -> None:
    assert set(SCENARIOS) == {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}


@pytest.mark.thorough
def test_life_of_a_lab(vexlab: Vexlab, environment: dict[str, str]) -> None:
    """`make up` by a newcomer, and each look at the lab: by its path without an activated environment, or with one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    program = str(Path(sys.executable).with_name("vexlab"))
    assert "make up" in readme
    code, said = Typed("make up", "README.md", terminal=True, activated=False).run(environment)
    assert code == 0, said
    assert shutil.which("vexlab", path=environment["PATH"]) or "to have it in PATH: . " in said
    for number, words in enumerate(LOOKS):
        assert f"vexlab {words.split()[0]}" in readme + (ROOT / "docs/commands.md").read_text(encoding="utf-8")
        for terminal in (True, False):
            activated = (number % 2 == 0) == terminal
            command = f"vexlab {words}" if activated else f"{program} {words}"
            code, said = Typed(command, "README.md", terminal=terminal, activated=activated).run(environment)
            assert code == 0, f"{command}: {said}"
            assert "Traceback" not in said
    playbook = "ansible-playbook -i ~/.local/state/vexlab/labs/default/inventory playbooks/stages.yml"
    assert playbook in (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    here = playbook.replace("~/.local/state/vexlab", str(vexlab.home / "state/vexlab"))
    code, said = Typed(here, "docs/commands.md", terminal=True, activated=True).run(environment)
    assert code == 0, said
    code, said = Typed("make down", "README.md", terminal=False, activated=False).run(environment)
    assert code == 0, said
