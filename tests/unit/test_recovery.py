"""What a lab may have brought about: kept before anything is mounted, and all that `vexlab recover` goes by."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vexlab.config import installation
from vexlab.errors import VexlabError
from vexlab.guest import recovery
from vexlab.guest.lab import Lab

CONTRACT = installation.contract_defaults() | {"vexlab_module_name": "toyfs", "vexlab_filesystem_type": "toy"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "lab").mkdir()
    return Lab("bench1", tmp_path / "lab")


def test_newest_comes_first_and_an_earlier_target_stays_known(lab: Lab) -> None:
    """A second target may have been tried after the first one went wrong."""
    other = CONTRACT | {"vexlab_module_name": "other"}
    for contract in (CONTRACT, other, CONTRACT | {"vexlab_variant": "full"}, other):
        recovery.remember(lab, contract)
    assert [entry["vexlab_module_name"] for entry in recovery.known(lab)] == ["other", "toyfs"]
    assert recovery.known(lab)[1]["vexlab_mount_point"] == "/mnt/vexlab"


def test_module_of_the_kernel_is_not_the_labs_to_unload(lab: Lab) -> None:
    """The guest's own root filesystem may need it."""
    recovery.remember(lab, CONTRACT | {"vexlab_module_source": "kernel"})
    [entry] = recovery.known(lab)
    assert (entry["vexlab_module_name"], entry["vexlab_filesystem_type"]) == ("", "toy")


def test_modules_of_the_same_build_are_kept_and_those_of_the_kernel_are_not(lab: Lab) -> None:
    """The latter stay, and an entry of an earlier vexlab has none."""
    core = {"name": "toycore", "file": "core/toycore.ko"}
    recovery.remember(lab, CONTRACT | {"vexlab_modules": [core | {"parameters": "debug=1"}, {"name": "crc_t10dif"}]})
    path = lab.directory / "recovery.json"
    document = json.loads(path.read_text())
    assert recovery.known(lab)[0]["vexlab_modules"] == [core]
    del document["entries"][0]["vexlab_modules"]
    path.write_text(json.dumps(document))
    assert recovery.known(lab)[0]["vexlab_modules"] == []


def test_it_does_not_grow_without_end(lab: Lab) -> None:
    for number in range(20):
        recovery.remember(lab, CONTRACT | {"vexlab_module_name": f"toy{number}"})
    assert len(recovery.known(lab)) == recovery.KEPT
    assert recovery.known(lab)[0]["vexlab_module_name"] == "toy19"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"entries": []}', '{"entries": [{}]}', '{"entries": 1}', "\udc80",
     json.dumps({"entries": [dict.fromkeys(recovery.SHAPES, "{{ lookup('pipe', 'id') }}")]}),
     json.dumps({"entries": [dict.fromkeys(recovery.SHAPES, None)]}),
     json.dumps({"entries": [dict.fromkeys(recovery.SHAPES, "/x") | {"vexlab_modules": [{"name": "{{ x }}"}]}]}),
     json.dumps({"entries": [{name: str(CONTRACT[name]) for name in recovery.SHAPES} | {"vexlab_modules": ["x"]}]})],
)  # fmt: skip
def test_what_is_unreadable_is_told_and_replaced(lab: Lab, text: str) -> None:
    path = lab.directory / "recovery.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(VexlabError, match=re.escape(str(path))) as problem:
        recovery.known(lab)
    assert problem.value.hint == recovery.NAME_THEM
    recovery.remember(lab, CONTRACT)
    assert [entry["vexlab_module_name"] for entry in recovery.known(lab)] == ["toyfs"]


def recover(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As the README calls it, on a machine to test on that is this one, whose programs do nothing."""
    inventory = home / "lab.yml"
    local = "ansible_connection: local, ansible_become: false"
    inventory.write_text(f"hardware:\n  hosts:\n    bench1: {{{local}}}\n")
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(home / "state")}
    return subprocess.run(
        [Path(sys.executable).with_name("vexlab"), "recover", "--inventory", str(inventory), *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_recovery_needs_neither_source_nor_target(tmp_path: Path) -> None:
    """What the host remembers names a source and a target that are gone."""
    lab = Lab("bench1", tmp_path / "state" / "vexlab" / "hardware" / "bench1")
    lab.directory.mkdir(parents=True)
    gone = {"source": str(tmp_path / "gone"), "target": str(tmp_path / "gone.yml")}
    (lab.directory / "options.json").write_text(json.dumps(gone))
    work = tmp_path / "work" / "directory"
    own = {"vexlab_work_directory": str(work), "vexlab_mount_point": str(tmp_path / "point")}
    recovery.remember(lab, CONTRACT | own)
    done = recover(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing is left" in done.stderr
    assert "=== afterwards ===" in (lab.directory / "recovery" / "recover.txt").read_text()


def test_what_is_not_known_can_be_named(tmp_path: Path) -> None:
    done = recover(tmp_path)
    assert done.returncode == 1
    assert "nothing is known that bench1 brought about" in done.stderr
    assert "--module NAME --type TYPE" in done.stderr
    assert recover(tmp_path, "--module", "toyfs").returncode == 2
    assert recover(tmp_path, "--module", "{{ 7 * 7 }}", "--type", "toy").returncode == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="the evidence is written where only root may")
def test_named_module_is_recovered(tmp_path: Path) -> None:
    there = Path(installation.contract_defaults()["vexlab_work_directory"])
    if there.exists():
        pytest.skip(f"{there} is somebody's")
    done = recover(tmp_path, "--module", "vexlab_no_such_module", "--type", "toy")
    assert (done.returncode, "nothing is left" in done.stderr) == (0, True), done.stderr
    (there / "recover.txt").unlink()
    there.rmdir()
