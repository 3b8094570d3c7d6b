"""One complete run of every stage; what the gate makes of it, what is signed for it, and what hardware asks for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bench import Bench
from tests.e2e.harness import ROOT, Done, Vexlab, edit

# An ops engineer's own playbook: the role alone, none of the lab's variables.
PLAYBOOK = """\
- hosts: guests
  become: true
  gather_facts: false
  roles:
    - role: vexfs.vexlab.vexfs_load
      vars:
        vexfs_load_module_file: /var/lib/vexlab/build/vexfs.ko
        vexfs_load_module_name: vexfs
        vexfs_load_hardware: true
"""
SIGNED = ("checklist", "emergency", "device", "backup", "monitoring")


@pytest.fixture(scope="module")
def whole(vexlab: Vexlab, source: Path) -> Done:
    """Every stage of the full variant, nothing reduced; the guest stays up with the module loaded."""
    words = ("--variant", "full", "--builder", "sandbox", "--seed", "7", "--source", str(source))
    return vexlab.as_usual()("test", "--keep", *words, "--json")


@pytest.fixture(scope="module")
def file(vexlab: Vexlab, whole: Done) -> Path:
    """The readiness file of the module that was tested."""
    return vexlab.home / f"state/vexlab/readiness/{whole.document['module']['sha256']}/readiness.json"


def load(vexlab: Vexlab, directory: Path, readiness: Path | str, **inputs: object) -> tuple[int, str]:
    """Exit code and words of Ansible when the role is used on the guest as on test hardware."""
    (directory / "load.yml").write_text(PLAYBOOK)
    given = json.dumps({"vexfs_load_readiness": str(readiness), **inputs})
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(vexlab.labs / "default/inventory"), "-e", given, "load.yml"]
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOLOR": "1",
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=directory, env=environment, text=True, capture_output=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_every_stage_passes(whole: Done) -> None:
    assert whole.code == 0, whole.stderr
    assert list(whole.verdicts()) == ["structure", "build", "load", "mkfs", "mount", "stress", "errors"]
    assert set(whole.verdicts().values()) == {"passed"}


def test_rejection_matrix_is_no_sketch(whole: Done) -> None:
    passed = [check for check in whole.stage("errors")["checks"] if check["verdict"] == "passed"]
    assert len(passed) >= 100


def test_amounts_and_seed_are_told(vexlab: Vexlab, whole: Done) -> None:
    names = [check["name"] for check in whole.stage("stress")["checks"]]
    assert "cycles.module_is_loaded_and_unloaded[20 times]" in names
    assert "churn.random_operations[2000]" in names
    assert (vexlab.runs / whole.document["run"] / "stages" / "stress" / "seed").read_text() == "7\n"


def test_report_ticks_what_people_asked_for(vexlab: Vexlab, whole: Done) -> None:
    text = vexlab("report", whole.document["run"]).stdout
    for box in ("Clean module load/unload cycles", "Error handling validates properly", "Stress tests complete"):
        assert f"- [x] {box}" in text
    assert "Current Risk Level: LOW" in text


def test_complete_run_is_enough_for_the_vm_and_for_nothing_else(vexlab: Vexlab, whole: Done, file: Path) -> None:
    assert whole.code == 0, whole.stderr
    assert vexlab("gate").code == 0
    done = vexlab("gate", "--for", "device", "--json")
    assert done.code == 1
    assert f"not met: {', '.join(SIGNED)}; vexlab gate sign checklist" in done.stderr
    assert (done.document["level"], done.document["module"]["sha256"]) == ("vm", whole.document["module"]["sha256"])
    assert json.loads(file.read_text()) == done.document
    report = vexlab("report").stdout
    assert "| vm | All VM tests pass without errors | yes |" in report
    assert "| device | Backup procedures ready | no | nobody signed for it |" in report


def test_role_refuses_what_is_not_ready(vexlab: Vexlab, whole: Done, file: Path, tmp_path: Path) -> None:
    """The guest is a VM; declared to be hardware it is treated as such, whatever it is."""
    code, said = load(vexlab, tmp_path, "")
    assert code != 0
    assert (
        "vexfs is not loaded into the kernel of default: the readiness file (vexfs_load_readiness is not set)" in said
    )
    vexlab("gate")
    code, said = load(vexlab, tmp_path, file)
    assert code != 0
    assert "it reaches level vm, and device is needed; not met: checklist (nobody signed for it), emergency" in said


def test_signed_it_is_ready_for_a_device(vexlab: Vexlab, whole: Done, file: Path, tmp_path: Path) -> None:
    assert vexlab("gate", "sign", "tests", "--operator", "Ada", "--note", "fine").code == 2
    for key in SIGNED:
        assert vexlab("gate", "sign", key, "--operator", "Ada", "--note", "written down").code == 0
    assert vexlab("gate", "--for", "device").code == 0
    assert vexlab("gate", "check", str(file), "--for", "device").code == 0
    module = str(vexlab.labs / "default/module.ko")
    assert vexlab("gate", "--module", module, "--for", "device").code == 0
    code, said = load(vexlab, tmp_path, file)
    assert code == 0, said
    done = vexlab("gate", "--for", "production")
    assert done.code == 1
    assert "not met: phase-1, phase-2, phase-3" in done.stderr


def test_role_refuses_a_file_edited_by_hand_and_another_module(
    vexlab: Vexlab, whole: Done, file: Path, tmp_path: Path
) -> None:
    vexlab("gate")
    document: dict[str, Any] = json.loads(file.read_text())
    copy = tmp_path / "readiness.json"
    copy.write_text(json.dumps(document | {"level": "production"}))
    code, said = load(vexlab, tmp_path, copy)
    assert code != 0
    assert "it was edited" in said
    # The bytes differ and the module's own words don't: it is another module all the same.
    other = vexlab("ssh", "cp /var/lib/vexlab/build/vexfs.ko /root/vexfs.ko; echo >> /root/vexfs.ko")
    assert other.code == 0, other.stderr
    code, said = load(vexlab, tmp_path, file, vexfs_load_module_file="/root/vexfs.ko")
    assert code != 0
    assert "it is about another module, with the sha256" in said


@pytest.fixture
def touched(vexlab: Vexlab, whole: Done) -> Iterator[Path]:
    """The results of the run, to be edited; as they were afterwards."""
    path = vexlab.runs / whole.document["run"] / "results.json"
    shutil.copy2(path, path.with_suffix(".kept"))
    yield path
    path.with_suffix(".kept").replace(path)


def test_evidence_that_was_edited_does_not_count(vexlab: Vexlab, file: Path, touched: Path) -> None:
    assert vexlab("gate").code == 0
    edit(touched, '"load_cycles": 20,', '"load_cycles": 2000,')
    done = vexlab("gate")
    assert done.code == 1
    assert "results.json was edited" in done.stderr
    assert json.loads(file.read_text())["level"] == "none"


@pytest.mark.thorough
def test_phases_on_a_device_lead_to_production(vexlab: Vexlab, whole: Done, file: Path, source: Path) -> None:
    """The same module, byte for byte, which the machine itself builds; what was only half done blocks production."""
    assert vexlab("gate", "--for", "device").code == 0
    assert vexlab("down").code == 0
    bench = Bench(vexlab, {"SPARE": 128})
    words = ("--no-backup", "--readiness", str(file), "--source", str(source), "--variant", "full", "--json")
    for phase, less, shown in (
        (1, (), "device.reading_writes_nothing"),
        (2, (), "device.files_are_kept"),
        (3, ("--quick", "--cycles", "3"), "churn.fio_verifies_what_it_wrote"),
    ):
        done = bench("test", "SPARE", "--phase", str(phase), *words, *less)
        assert done.code == 0, done.stderr
        assert done.document["module"]["variant"] == whole.document["module"]["variant"] == "full"
        assert done.document["module"]["sha256"] == whole.document["module"]["sha256"]
        checks = {check["name"]: check["verdict"] for stage in done.document["stages"] for check in stage["checks"]}
        assert checks[shown] == "passed"
        left = bench.ssh("grep -w vexfs /proc/mounts /proc/modules /proc/filesystems; ls /dev/mapper; losetup -a; true")
        assert left == "control"
    done = vexlab("gate", "--run", whole.document["run"], "--for", "production")
    assert done.code == 1
    assert "not met: phase-3" in done.stderr
    assert "it was made with --quick" in done.stderr


@pytest.mark.thorough
def test_another_build_is_another_module(vexlab: Vexlab, whole: Done, file: Path, source: Path) -> None:
    assert vexlab("gate", "--for", "device").code == 0
    edit(source / "kernel/vexfs_module_entry.c", 'MODULE_VERSION("1.0")', 'MODULE_VERSION("1.1")')
    built = vexlab("test", "--stage", "build", "--json")
    assert built.code == 0, built.stderr
    assert built.document["module"]["sha256"] != whole.document["module"]["sha256"]
    done = vexlab("gate")
    assert done.code == 1
    assert "stages were left out: load, mkfs, mount, stress, errors" in done.stderr
    module = str(vexlab.labs / "default/module.ko")
    assert vexlab("gate", "check", str(file), "--module", module).code == 1
    assert vexlab("gate", "--run", whole.document["run"], "--for", "device").code == 0
