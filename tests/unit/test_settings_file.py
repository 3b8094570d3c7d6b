"""Settings of a source tree, and of the environment: which counts, where each comes from, and what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vexlab.cli import options
from vexlab.config import settings_file
from vexlab.config.settings import Options
from vexlab.guest.lab import Lab

ROOT = Path(__file__).parents[2]
TARGET = (ROOT / "examples/targets/nodev.yml").read_text().replace("../nodev", str(ROOT / "examples/nodev"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with a target file, below a home directory."""
    directory = tmp_path / "home" / "myfs"
    (directory / "src").mkdir(parents=True)
    (directory / "vexlab.yml").write_text(TARGET)
    return directory


def vexlab(tree: Path, *words: str, where: str = ".", **variables: str) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(tree.parent), "XDG_STATE_HOME": str(tree.parent / "state"), "PYTHONPATH": str(ROOT)}
    usual = {name: value for name, value in os.environ.items() if not name.startswith("VEXLAB_")}
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *words], cwd=tree / where, env=usual | home | variables,
        capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def known(tree: Path, *words: str, where: str = ".", **variables: str) -> dict[str, tuple[Any, str]]:
    """Each setting, with its value and where that comes from."""
    done = vexlab(tree, "config", "--json", *words, where=where, **variables)
    assert done.returncode == 0, done.stderr
    return {each["setting"]: (each["value"], each["source"]) for each in json.loads(done.stdout)}


def remembered(tree: Path, **options: Any) -> None:
    """What a lab was given before."""
    directory = tree.parent / "state" / "vexlab" / "labs" / "default"
    directory.mkdir(parents=True)
    Lab("default", directory).remember(Options(**options))


def test_settings_are_those_of_the_tree(tree: Path) -> None:
    """Paths are of the file's directory, and a directory below has them too."""
    (tree / "vexlab.toml").write_text('# of this tree\ntarget = "vexlab.yml"\nmemory = 1024\nwarm = false\n')
    for where in (".", "src"):
        found = known(tree, where=where)
        assert found["target"] == (str(tree / "vexlab.yml"), f"{tree}/vexlab.toml:2")
        assert found["memory"] == (1024, f"{tree}/vexlab.toml:3")
        assert found["warm"] == (False, f"{tree}/vexlab.toml:4")
        assert found["cpus"] == (2, "default")
        assert found["source"] == (str(ROOT / "examples/nodev"), f"target file {tree}/vexlab.yml")
    assert known(tree.parent / "myfs", where="..")["memory"] == (2048, "default")


def test_pyproject_has_them_in_a_table_of_their_own(tree: Path) -> None:
    (tree / "pyproject.toml").write_text(
        '[project]\nname = "x"\nmemory = 1\n\n[tool.vexlab]\n  memory = 3072\nname = "lab-of-x"\n'
    )
    found = known(tree)
    assert found["memory"] == (3072, f"{tree}/pyproject.toml:6")
    assert found["name"] == ("lab-of-x", f"{tree}/pyproject.toml:7")
    (tree / "pyproject.toml").write_text("[project\n")  # somebody else's affair
    assert known(tree)["memory"] == (2048, "default")


def test_what_is_nearer_counts(tree: Path) -> None:
    (tree / "vexlab.toml").write_text("memory = 1000\ncpus = 3\nkernel = 'trixie'\nssh-port = 3000\n")
    remembered(tree, memory_mb=900, cpus=4, ssh_port=4000)
    found = known(tree, "--memory", "700", VEXLAB_MEMORY="800", VEXLAB_CPUS="5", VEXLAB_BOOT_DEADLINE="99")
    assert found["memory"] == (700, "command line")
    assert found["cpus"] == (5, "variable VEXLAB_CPUS")
    assert found["boot-deadline"] == (99, "variable VEXLAB_BOOT_DEADLINE")
    assert found["ssh-port"] == (4000, "lab default, which was given it before")
    assert found["kernel"] == ("trixie", f"{tree}/vexlab.toml:3")
    assert known(tree, VEXLAB_NAME="other")["name"] == ("other", "variable VEXLAB_NAME")


def test_number_of_guests_is_a_setting_too(tree: Path) -> None:
    (tree / "vexlab.toml").write_text("jobs = 3\n")
    assert known(tree)["jobs"] == (3, f"{tree}/vexlab.toml:1")
    assert known(tree, VEXLAB_JOBS="2")["jobs"] == (2, "variable VEXLAB_JOBS")


def test_numbers_are_shown_as_numbers(tree: Path) -> None:
    shown = vexlab(tree, "config", VEXLAB_CPUS="1").stdout
    assert "cpus           1  (variable VEXLAB_CPUS)\n" in shown
    assert "warm           true  (default)\n" in shown


def test_page_of_commands_lists_each_setting() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    listed = page[page.index("The settings have the names") : page.index("`known-failures` is a file")]
    assert set(re.findall(r"`([a-z-]+)`", listed)) == {options.LAB, *options.by_name()}


def test_lab_goes_by_the_settings_that_it_was_brought_up_with_elsewhere(tmp_path: Path) -> None:
    """In a directory without any, `vexlab up` and `verify` mean the same lab as before."""
    lab = Lab("x", tmp_path)
    lab.remember(Options(memory_mb=900), Options(target="/t.yml"))
    assert lab.remembered() == Options(memory_mb=900)
    assert lab.of_settings_file() == Options(target="/t.yml")
    lab.remember(Options(memory_mb=900))
    assert lab.of_settings_file() == Options()


def test_on_a_device_the_target_of_the_tree_is_tested(tree: Path) -> None:
    """And not the bundled one; what an option names counts more."""
    vexfs = (ROOT / "examples/targets/vexfs.yml").read_text().replace("../vexfs", str(ROOT / "examples/vexfs"))
    for name in ("mine", "other"):
        (tree / f"{name}.yml").write_text(vexfs.replace("vexlab_target_name: vexfs", f"vexlab_target_name: {name}"))
    (tree / "vexlab.toml").write_text('target = "mine.yml"\nmemory = 1024\n')
    host = {"ansible_host": "127.0.0.1", "ansible_port": 9}  # nobody listens there
    (tree / "inventory.json").write_text(json.dumps({"hardware": {"hosts": {"bench": host}}}))
    disk = ("--inventory", "inventory.json", "--device", "/dev/disk/by-id/none", "--serial", "S3R1AL")
    for words, name in (((), "mine"), (("--target", "other.yml"), "other")):
        done = vexlab(tree, "device", "check", *disk, *words, where=".")
        assert "bench (127.0.0.1:9) can't be reached" in done.stderr
        written = yaml.safe_load(
            (tree.parent / "state/vexlab/hardware/bench/inventory/hardware.yml").read_text().replace("!unsafe", "")
        )
        assert written["vexlab"]["children"]["hardware"]["hosts"]["bench"]["vexlab_target_name"] == name
    (tree / "vexlab.toml").write_text("memory = 0\n")
    refused = vexlab(tree, "device", "check", *disk)
    assert refused.returncode == 2
    assert f"{tree}/vexlab.toml:1:1" in refused.stderr


def test_all_that_is_wrong_is_told_with_its_place(tree: Path) -> None:
    text = "target = 'vexlab.yml'\n  memry = 1024\nssh_port = 2222\ncpus = 'two'\nmemory = 12\n"
    text += "name = 'A b'\nbuilder = 'gust'\n"
    (tree / "vexlab.toml").write_text(text)
    done = vexlab(tree, "config")
    assert (done.returncode, done.stdout) == (2, "")
    said = done.stderr
    assert f"{tree}/vexlab.toml:2:3: memry: there is no such setting; did you mean memory?\n    memry = 1024\n" in said
    assert "vexlab.toml:3:1: ssh_port: there is no such setting; did you mean ssh-port?" in said
    assert "vexlab.toml:4:1: cpus: 'two' is not a whole number. Number of CPUs of the guest." in said
    assert "vexlab.toml:5:1: memory: 12 is not in the range x>=512. Memory of the guest in MiB." in said
    assert "vexlab.toml:6:1: name: 'A b' can't be the name of a lab; use 1 to 32" in said
    assert "vexlab.toml:7:1: builder: 'gust' is not one of" in said


def test_what_is_no_toml_is_told_with_its_place(tree: Path) -> None:
    (tree / "vexlab.toml").write_text("cpus = 2\nmemory = = 3\n")
    done = vexlab(tree, "up")
    assert done.returncode == 2
    assert f"{tree}/vexlab.toml:2:10: not TOML: Invalid value\n    memory = = 3\n             ^\n" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_not_obeyed(tree: Path) -> None:
    """It would say what is run here."""
    (tree / "vexlab.toml").write_text("cpus = 2\n")
    os.chown(tree / "vexlab.toml", 12345, 12345)
    done = vexlab(tree, "config")
    assert (done.returncode, "belongs to another user" in done.stderr) == (2, True)


def test_nothing_is_looked_for_above_a_tree(tmp_path: Path) -> None:
    (tmp_path / "vexlab.toml").write_text("cpus = 2\n")
    inner = tmp_path / "repository" / "src"
    inner.mkdir(parents=True)
    found = settings_file.find(inner)
    assert found is not None
    assert found.path == tmp_path / "vexlab.toml"
    (tmp_path / "repository" / ".git").mkdir()
    assert settings_file.find(inner) is None


def test_variable_of_the_lab_is_no_option_before_a_command_of_the_gate(tree: Path) -> None:
    done = vexlab(tree, "gate", "sign", "backup", "--operator", "A", "--note", "b", VEXLAB_NAME="nobody")
    assert "there is no run of lab nobody" in done.stderr


@pytest.mark.parametrize("words", [("up", "--source", "/nowhere"), ("test", "--source", "/nowhere"), ("checks",)])
def test_settings_are_what_commands_go_by(tree: Path, words: tuple[str, ...]) -> None:
    """The source that isn't there keeps a command that wouldn't go by them from beginning."""
    (tree / "vexlab.toml").write_text("target = 'not-there.yml'\n")
    done = vexlab(tree, *words)
    assert (done.returncode, f"{tree}/not-there.yml" in done.stderr) == (2, True), done.stderr
