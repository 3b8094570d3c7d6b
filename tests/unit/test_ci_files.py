"""What a filesystem's own repository calls: the reusable workflow, the action, the example of such a repository.

The action's steps are run in a shell here, as a runner of GitHub runs them, but for those that start a guest or change
the machine: tests/e2e/test_repository.py runs these.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "filesystem"
EXAMPLE = ROOT / "examples" / "tinyfs"
# What is run elsewhere: it changes the machine, installs for a minute, or starts a guest.
ELSEWHERE = {"Let this machine run guests", "Install vexlab", "Build on all kernels", "Test the filesystem"}
HERE = {"Compare the target file with the source", "Find out which image is needed"}
AFTERWARDS = {"Collect report, JUnit and evidence"}


def load(path: Path) -> Any:
    """A file of YAML; its key `on` is True, as YAML 1.1 has it."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of_action() -> dict[str, Any]:
    """The steps that are run in a shell, by their names."""
    return {step["name"]: step for step in load(ACTION / "action.yml")["runs"]["steps"] if "run" in step}


def run_step(
    name: str, workspace: Path, temp: Path, inputs: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run a step of the action as a runner does; how it ended, and its outputs."""
    step, output = steps_of_action()[name], temp / "output"
    output.write_text("")
    known = {
        f"inputs.{key}": inputs.get(key, each["default"]) for key, each in load(ACTION / "action.yml")["inputs"].items()
    }
    known["runner.temp"] = str(temp)
    given = {
        key: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], value)
        for key, value in step.get("env", {}).items()
    }
    assert step["shell"] == "sh"
    assert "${{" not in step["run"], "what an input says would be a part of the script"
    runner = {"RUNNER_TEMP": str(temp), "GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(output)}
    done = subprocess.run(
        ["sh", "-e", "-c", step["run"]], cwd=workspace, env=os.environ | runner | given, text=True, capture_output=True,
        check=False, timeout=120,
    )  # fmt: skip
    return done, dict(line.split("=", 1) for line in output.read_text().splitlines())


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout of the example."""
    shutil.copytree(EXAMPLE, tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """The runner's directory for temporary files, with vexlab where the action installs it."""
    (tmp_path / "temp" / "vexlab").mkdir(parents=True)
    (tmp_path / "temp" / "vexlab" / "bin").symlink_to(Path(sys.executable).parent)
    return tmp_path / "temp"


def test_each_step_is_run_somewhere() -> None:
    assert set(steps_of_action()) == ELSEWHERE | HERE | AFTERWARDS


def test_target_is_compared_with_the_source(workspace: Path, temp: Path) -> None:
    done, _ = run_step("Compare the target file with the source", workspace, temp, {})
    assert done.returncode == 0, done.stderr
    (workspace / "vexlab.yml").write_text((EXAMPLE / "vexlab.yml").read_text().replace("tinyfs.ko", "other.ko"))
    done, _ = run_step("Compare the target file with the source", workspace, temp, {})
    assert done.returncode == 2
    assert "vexlab_module_file" in done.stdout + done.stderr


def test_target_with_a_blank_in_its_name_is_one_argument(workspace: Path, temp: Path) -> None:
    (workspace / "vexlab.yml").rename(workspace / "my target.yml")
    for step in HERE:
        done, _ = run_step(step, workspace, temp, {"target": "my target.yml"})
        assert done.returncode == 0, done.stderr


def test_image_is_cached_under_what_it_is_made_from(workspace: Path, temp: Path) -> None:
    """The same target has the same image; another one, which may name other packages, hasn't."""
    step = "Find out which image is needed"
    [first, again] = [run_step(step, workspace, temp, {})[1]["key"] for _ in range(2)]
    with (workspace / "vexlab.yml").open("a") as file:
        file.write("vexlab_packages: [uuid-dev]\n")
    other = run_step(step, workspace, temp, {})[1]["key"]
    assert re.fullmatch(r"vexlab-image-[0-9a-f]{64}", first)
    assert first == again
    assert other != first


@pytest.mark.parametrize(
    ("kernels", "asked"),
    [("6.1 7.3", ["--kernel", "6.1", "--kernel", "7.3"]), ("all", []), ("6.1 $(touch x) *", None)],
)
def test_kernels_are_words_of_the_command_and_no_part_of_a_script(
    kernels: str, asked: list[str] | None, workspace: Path, tmp_path: Path
) -> None:
    """The step is run with a command that prints what it was told."""
    binaries = tmp_path / "runner" / "vexlab" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "vexlab").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (binaries / "vexlab").chmod(0o755)
    done, _ = run_step("Build on all kernels", workspace, tmp_path / "runner", {"kernels": kernels})
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[:4] == ["matrix", "--build", "--target", "vexlab.yml"]
    if asked is None:
        assert words[4:] == ["--kernel", "6.1", "--kernel", "$(touch", "--kernel", "x)", "--kernel", "*"]
        assert not (workspace / "x").exists()
    else:
        assert words[4:] == asked


def test_build_comes_before_what_needs_a_guest() -> None:
    """And takes its cells from the command, so that a new kernel is built on as soon as Debian has it."""
    jobs = load(ROOT / ".github" / "workflows" / "pull-request.yml")["jobs"]
    assert jobs["build"]["strategy"]["matrix"] == "${{ fromJSON(needs.plan.outputs.matrix) }}"
    listing = next(step["run"] for step in jobs["plan"]["steps"] if step.get("id") == "matrix")
    assert "vexlab matrix --build --format github" in listing
    assert [jobs[name]["needs"] for name in ("build", "image", "example", "molecule")] == [
        "plan", "build", "build", "image",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "is_docs"),
    [
        (["docs/a.md", "README.md", "docs/x.png"], True),
        (["docs/a.md", "vexlab/x.py"], False),
        (["roles/r/README.md"], True),
    ],
)
def test_only_documents_changed(changed: list[str], is_docs: bool, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    first = subprocess.run(["sh", str(ROOT / ".ci" / "docs_only")], cwd=tmp_path, check=False)
    assert first.returncode != 0, "without a parent nobody knows"
    for name in changed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    git("add", ".")
    git("commit", "-m", "second")
    done = subprocess.run(["sh", str(ROOT / ".ci" / "docs_only")], cwd=tmp_path, check=False)
    assert (done.returncode == 0) is is_docs


def test_newest_run_is_what_is_kept(workspace: Path, temp: Path) -> None:
    runs = temp / "vexlab-state" / "vexlab" / "runs"
    for name in ("20261127-172905-ci", "20261127-183000-ci", "20261127-190000-other"):
        (runs / name).mkdir(parents=True)
        (runs / name / "report.md").write_text(f"report of {name}\n")
    done, outputs = run_step("Collect report, JUnit and evidence", workspace, temp, {})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "report of 20261127-183000-ci\n"
    kept = runs / "20261127-183000-ci"
    assert outputs == {"run": str(kept), "junit": f"{kept}/junit.xml"}


def test_the_run_that_is_collected_is_the_one_that_is_made() -> None:
    """In the same state directory, and of the same lab."""
    steps = steps_of_action()
    assert steps["Test the filesystem"]["env"]["XDG_STATE_HOME"] == "${{ runner.temp }}/vexlab-state"
    assert "test --name ci " in steps["Test the filesystem"]["run"]


def test_workflow_hands_its_inputs_on() -> None:
    """Each by its name, with the default that the action has."""
    workflow, action = load(ROOT / ".github" / "workflows" / "filesystem.yml"), load(ACTION / "action.yml")
    inputs = workflow[True]["workflow_call"]["inputs"]
    [job] = workflow["jobs"].values()
    call = job["steps"][-1]
    assert call["uses"] == "$/.github/actions/filesystem"
    assert call["with"] == {name: f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}
    assert set(inputs) == {*action["inputs"], "timeout-minutes"}
    assert {name: inputs[name]["default"] for name in action["inputs"]} == {
        name: each["default"] for name, each in action["inputs"].items()
    }


def test_example_calls_the_workflow_in_ten_lines() -> None:
    text = (EXAMPLE / ".github" / "workflows" / "vexlab.yml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line != "---" and not line.lstrip().startswith("#")]
    assert len(lines) <= 10
    [job] = yaml.safe_load(text)["jobs"].values()
    owner, path = job["uses"].partition("@")[0].split("/vexlab/")
    assert owner == "OWNER"
    called = load(ROOT / path)
    assert set(job["with"]) <= set(called[True]["workflow_call"]["inputs"])
    assert (EXAMPLE / job["with"]["target"]).is_file()


def test_page_shows_the_examples_workflow_and_every_input() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert f"```yaml\n{(EXAMPLE / '.github' / 'workflows' / 'vexlab.yml').read_text(encoding='utf-8')}```" in page
    inputs = load(ROOT / ".github" / "workflows" / "filesystem.yml")[True]["workflow_call"]["inputs"]
    shown = re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", page, re.M)
    assert dict(shown) == {
        name: f"`{each['default']}`" if each["type"] == "string" and each["default"] else str(each["default"] or "none")
        for name, each in inputs.items()
    }
