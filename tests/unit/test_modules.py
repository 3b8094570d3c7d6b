"""The collection's own modules, run by Ansible on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from plugins.modules import judge
from tests.unit import modules
from tests.unit.modules import PLACE

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


class SpecifiedError(Exception):
    """Raised in the place of AnsibleModule, with what it was given."""


def options_of(documented: dict[str, Any]) -> dict[str, Any]:
    """An argument specification, from the options of a documentation or of a specification."""
    kept = ("type", "elements", "required", "default", "choices")
    options = {name: {key: option[key] for key in kept if key in option} for name, option in documented.items()}
    for name, option in documented.items():
        if inner := option.get("suboptions", option.get("options")):
            options[name]["options"] = options_of(inner)
    return options


def documentation(module: ModuleType) -> dict[str, Any]:
    """A module's documentation, with what it shares with others."""
    found: dict[str, Any] = yaml.safe_load(module.DOCUMENTATION)
    for fragment in found.get("extends_documentation_fragment", []):
        place = fragment.replace("vexfs.vexlab.", "ansible_collections.vexfs.vexlab.plugins.doc_fragments.")
        shared = yaml.safe_load(import_module(place).ModuleDocFragment.DOCUMENTATION)
        found["options"] = shared["options"] | found.get("options", {})
    return found


@pytest.mark.parametrize("name", MODULES)
def test_documentation_is_the_argument_specification(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible checks arguments by the one, and people read the other."""
    module = import_module(f"{PLACE}.{name}")

    def specified(**given: Any) -> None:
        raise SpecifiedError(given)

    monkeypatch.setattr(module, "AnsibleModule", specified)
    with pytest.raises(SpecifiedError) as caught:
        module.main()
    given = caught.value.args[0]
    documented = documentation(module)
    assert documented["module"] == name
    assert options_of(documented["options"]) == options_of(given["argument_spec"])
    support = documented["attributes"]["check_mode"]["support"]
    assert given.get("supports_check_mode", False) is (support != "none")


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_options_that_exist(name: str) -> None:
    """And all that is required; each example is a task of the module."""
    module = import_module(f"{PLACE}.{name}")
    options = documentation(module)["options"]
    tasks = yaml.safe_load(module.EXAMPLES)
    assert tasks
    for task in tasks:
        given = task[f"vexfs.vexlab.{name}"]
        assert {option for option, of in options.items() if of.get("required")} <= set(given) <= set(options)
    assert all("description" in of and "returned" in of for of in yaml.safe_load(module.RETURN).values())


def run(module: str, arguments: dict[str, Any], *options: str, **environment: str) -> dict[str, Any]:
    """What a module answers, with `changed` and `failed` as Ansible understood them."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "-m", f"vexfs.vexlab.{module}", "-a",
            json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}", *options,
        ],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ
        | {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"} | environment,
    )  # fmt: skip
    word, _, answer = done.stdout.partition("=>")
    found: dict[str, Any] = json.loads(answer)
    return found | {"failed": "FAILED" in word}


def test_ansible_doc_shows_every_module() -> None:
    program = Path(sys.executable).with_name("ansible-doc")
    names = [f"vexfs.vexlab.{name}" for name in MODULES]
    done = subprocess.run(
        [program, "--type", "module", "--json", *names], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert list(shown) == names
    assert all(one["doc"]["options"] and one["examples"] and one["return"] for one in shown.values())


@pytest.mark.parametrize(("options", "written"), [((), True), (("--check",), False)])
def test_stage_is_announced(tmp_path: Path, options: tuple[str, ...], written: bool) -> None:
    log = tmp_path / "kmsg"
    log.touch()
    told = run("stage", {"name": "mount", "marker": "0a1b", "kernel_log": str(log)}, *options)
    taint = int(Path("/proc/sys/kernel/tainted").read_text())
    assert told["stage"] == {"name": "mount", "taint": taint}
    assert (told["changed"], told["failed"]) == (False, False)
    assert log.read_text() == (f"vexlab: stage mount begins, taint {taint}, run 0a1b\n" if written else "")


def test_stage_that_the_kernel_is_not_told_of_has_not_begun(tmp_path: Path) -> None:
    told = run("stage", {"name": "mount", "marker": "0a1b", "kernel_log": str(tmp_path / "none" / "kmsg")})
    assert told["failed"]
    assert f"{tmp_path}/none/kmsg can't be used on this machine: No such file or directory" in told["msg"]
    assert "stage" not in told


def test_judge_tells_what_the_checks_ended_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection's own package is what they stand on, whatever else is installed or in the current directory.

    And options that a person has set for another pytest, or for another Python, would leave checks or assertions out.
    """
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    for name in ("PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "1")
    package, checks = tmp_path / "vexlab" / "guest" / "testing", tmp_path / "tests" / "stages"
    package.mkdir(parents=True)
    checks.mkdir(parents=True)
    (tmp_path / "vexlab" / "__init__.py").touch()
    (package / "verifier.py").write_text(
        "import os, sys\nprint(*sys.argv[1:], os.environ['PYTEST_ADDOPTS'])\n"
        "try: assert sys.warnoptions\nexcept AssertionError: sys.exit(5)\n"
    )
    arguments = {
        "stage": "mount", "host": "guest", "inventory": "/i", "run_directory": "/r", "checks": str(checks),
        "python": sys.executable,
    }  # fmt: skip
    told = run("judge", arguments)
    assert (told["rc"], told["failed"]) == (5, True)
    assert told["stdout"].startswith("/r ansible://guest /i --config-file=")
    assert told["stdout"].strip().endswith(f"{checks}/mount {checks}/every_stage")


def test_without_a_stage_nothing_is_checked() -> None:
    parameters = {
        "stage": "", "host": "guest", "inventory": "/i", "run_directory": "/r", "checks": "/c", "python": "/p",
    }  # fmt: skip
    assert judge.command(parameters) == [
        "/p",
        "-P",
        "-m",
        "vexlab.guest.testing.verifier",
        "/r",
        "ansible://guest",
        "/i",
    ]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
@pytest.mark.parametrize("strategy", ["linear", "mitogen_linear"])
def test_what_is_run_in_the_sandbox_comes_along_with_the_module(tmp_path: Path, strategy: str) -> None:
    """Whether Ansible packs it into one file or mitogen asks for it; the build gets as far as to miss its headers."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.c").touch()
    arguments = {
        "source": "/var/lib/vexlab/source", "destination": "/var/lib/vexlab/build",
        "record": "/var/lib/vexlab/build.json", "module_file": "m.ko", "kernel_release": "none", "root": "/",
        "work": str(tmp_path / "work"), "tree": str(tmp_path / "source"),
    }  # fmt: skip
    plugins = str(ROOT / "playbooks" / "strategy")
    told = run("sandbox", arguments, ANSIBLE_STRATEGY=strategy, ANSIBLE_STRATEGY_PLUGINS=plugins)
    assert told["msg"] == "there are no headers for kernel none; apt-get install linux-headers-none"
    assert (told["failed"], told["log_written"], "host_problem" in told) == (True, False, False)


def test_machine_that_can_not_build_is_told_from_a_source_that_does_not(tmp_path: Path) -> None:
    """It says nothing of the filesystem, so whoever follows the playbook must be able to tell."""
    (tmp_path / "usr").mkdir()
    arguments = {
        "source": "/var/lib/vexlab/source", "destination": "/var/lib/vexlab/build",
        "record": "/var/lib/vexlab/build.json", "module_file": "m.ko", "root": str(tmp_path),
        "work": str(tmp_path / "work"), "tree": str(tmp_path),
    }  # fmt: skip
    told = modules.run("sandbox", arguments)
    reason = f"{tmp_path} holds no user space with the headers of one kernel; build the image again"
    assert (told["failed"], told["msg"], told["host_problem"], told["log_written"]) == (True, reason, reason, False)
