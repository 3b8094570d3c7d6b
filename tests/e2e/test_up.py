"""One lab through its life: up, looked at, brought up again, edited, down. The tests build on each other, in order.

It is the installed wheel that they run, outside of the checkout: what is missing from it shows here.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
import zipfile
from pathlib import Path

import jsonschema
import pytest
from junitparser import JUnitXml

from tests.e2e.harness import ROOT, Done, Vexlab, edit


@pytest.fixture(scope="module")
def vexlab(installed: Vexlab) -> Vexlab:
    return installed


def checksum(tree: Path) -> str:
    """Everything about a tree that a program could change by writing to it."""
    total = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        total.update(f"{path} {status.st_mode} {status.st_mtime_ns} {status.st_ctime_ns} ".encode() + content)
    return total.hexdigest()


@pytest.fixture(scope="module")
def before(source: Path) -> str:
    return checksum(source)


@pytest.fixture(scope="module")
def first(vexlab: Vexlab, source: Path, before: str) -> Done:
    assert before
    return vexlab.as_usual()("up", "--source", str(source), "--json")


def test_wheel_holds_the_content(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (
        "playbooks/stages.yml", "plugins/module_utils/kernel_messages.py",
        "plugins/modules/guest.py", "tests/stages/conftest.py", "ansible.cfg",
        "inventory/group_vars/vexlab.yml", "examples/vexfs/Kbuild", "examples/targets/vexfs.yml",
    ):  # fmt: skip
        assert f"ansible_collections/vexfs/vexlab/{path}" in names
    assert not [name for name in names if name.endswith((".pyc", ".ko", ".o"))]


def test_doctor_finds_everything(vexlab: Vexlab) -> None:
    done = vexlab("doctor")
    assert done.code == 0, done.stderr


def test_every_stage_passes(first: Done) -> None:
    assert first.code == 0, first.stderr
    assert first.document["selected"] == ["structure", "build", "load", "mkfs", "mount"]
    wanted = dict.fromkeys(first.document["selected"], "passed")
    assert first.verdicts() == wanted | {"stress": "not_run", "errors": "not_run"}
    assert first.document["verdict"] == "passed"


def test_every_stage_ran_checks(first: Done) -> None:
    counts = {name: len(first.stage(name)["checks"]) for name in first.document["selected"]}
    assert all(count >= 5 for count in counts.values()), counts


def test_results_are_as_the_schema_says(first: Done) -> None:
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.validate(first.document, schema)
    assert first.document["module"]["srcversion"]
    assert first.document["guest"]["memory_mb"] == 2048
    assert first.document["guest"]["cpus"] == 2


def test_source_was_not_written(first: Done, source: Path, before: str) -> None:
    assert first.code == 0
    assert checksum(source) == before


def test_second_up_changes_nothing(vexlab: Vexlab, source: Path, first: Done) -> None:
    """Before anything below uses the mount: what writes to its image ends what the lab remembers."""
    pid = vexlab.record()["pid"]
    again = vexlab("up", "--json")  # the source is remembered
    assert again.code == 0
    assert "nothing changed since" in again.stderr
    assert str(source) in again.stderr
    assert vexlab.record()["pid"] == pid
    assert again.document["run"] == first.document["run"]


def test_filesystem_is_mounted_read_write(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    done = vexlab(
        "ssh", "findmnt -n -o FSTYPE,OPTIONS --mountpoint /mnt/vexlab && touch /mnt/vexlab/x && rm /mnt/vexlab/x"
    )
    assert done.code == 0, done.stderr
    assert done.stdout.split()[0] == "vexfs"
    assert "rw" in done.stdout.split()[1].split(",")


def test_evidence_is_in_one_directory(vexlab: Vexlab, first: Done) -> None:
    directory = vexlab.runs / first.document["run"]
    for name in ("results.json", "report.md", "report.html", "junit.xml", "console.log", "build.log", "ansible.log"):
        assert (directory / name).stat().st_size > 0, name
    assert all((directory / path).is_file() for path in first.document["evidence"].values())
    assert json.loads((directory / "results.json").read_text()) == first.document
    # From the first byte: the kernel's own first line is in it.
    assert "Linux version" in (directory / "console.log").read_text(errors="replace")


def test_junit_has_a_suite_per_stage(vexlab: Vexlab, first: Done) -> None:
    suites = JUnitXml.fromfile(str(vexlab.runs / first.document["run"] / "junit.xml"))
    assert [suite.name for suite in suites] == first.document["selected"]
    assert sum(suite.failures + suite.errors for suite in suites) == 0


def test_status_tells_what_the_guest_is(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    guest = vexlab("status", "--json").document[0]["guest"]
    assert guest["state"] == "running"
    assert (guest["memory_mb"], guest["cpus"]) == (2048, 2)
    assert guest["accelerator"] in ("kvm", "tcg")
    assert guest["uptime_seconds"] > 0
    assert Path(f"/proc/{guest['pid']}").exists()
    shown = vexlab("status").stdout
    rows = ("target", "variant", "source", "build", "QEMU", "memory", "CPUs", "accelerator", "ssh", "share")
    for word in (*rows, "structure", "mount", "passed"):
        assert word in shown


def test_qemu_listens_on_loopback_only(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    pid = vexlab.record()["pid"]
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [line.split()[3] for line in listening if f"pid={pid}," in line]
    assert len(ours) == 1
    assert ours[0].startswith("127.0.0.1:")


def test_guest_reaches_no_network(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    script = (
        "timeout 5 sh -c 'exec 3<>/dev/tcp/10.0.2.2/22' 2>&1 || timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.2.2/22' 2>&1"
    )
    assert vexlab("ssh", f'bash -c "{script}"').code != 0


def test_keys_are_private(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    lab = vexlab.labs / "default"
    assert lab.stat().st_mode & 0o777 == 0o700
    for name in ("ssh_key", "ssh_host_key"):
        assert (lab / name).stat().st_mode & 0o077 == 0
    entry = (lab / "inventory" / "guest.yml").read_text()
    assert "StrictHostKeyChecking=yes" in entry
    # Without it mitogen tells ssh to check nothing, ahead of the options above.
    assert '"ansible_host_key_checking": true' in entry


def test_edited_source_is_rebuilt_and_reloaded(vexlab: Vexlab, source: Path, first: Done) -> None:
    pid = vexlab.record()["pid"]
    path = source / "kernel" / "vexfs_module_entry.c"
    former = edit(path, 'MODULE_LICENSE("GPL")', 'MODULE_LICENSE("GPL");\nMODULE_INFO(vexlab, "edited")')
    try:
        again = vexlab("up", "--json")
        assert again.code == 0, again.stderr
        assert "changed: structure, build, load, mkfs, mount" in again.stderr
        assert vexlab.record()["pid"] == pid
        assert again.document["module"]["srcversion"] != first.document["module"]["srcversion"]
    finally:
        path.write_text(former)


def test_verify_judges_without_changing(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    done = vexlab("verify", "--stage", "load", "--json")
    assert done.code == 0
    assert done.verdicts()["load"] == "passed"
    assert done.verdicts()["mount"] == "not_run"


def checks_of(done: Done, stage: str) -> dict[str, str]:
    """The checks of a stage that a run judged, each with its verdict."""
    found = next(each for each in done.document["stages"] if each["name"] == stage)
    return {check["name"]: check["verdict"] for check in found["checks"]}


def test_verify_judges_what_was_chosen(vexlab: Vexlab, first: Done) -> None:
    """And says what it left out."""
    assert first.code == 0
    done = vexlab("verify", "--check", "mount/rename.parent_foll*", "--check", "load/load.module_is_live", "--json")
    assert done.code == 0, done.stderr
    assert checks_of(done, "mount") == {"rename.parent_follows": "passed"}
    assert checks_of(done, "load") == {"load.module_is_live": "passed"}
    assert done.document["chosen"] == ["load/load.module_is_live", "mount/rename.parent_foll*"]
    left_out = {stage["name"]: stage["left_out"] for stage in done.document["stages"]}
    assert left_out["mount"] > 50
    assert left_out["build"] == 0
    assert "left out, since only some were chosen" in done.stderr


def test_verify_sees_what_broke(vexlab: Vexlab, first: Done) -> None:
    """The module taken away by hand: the stage must not pass."""
    assert first.code == 0
    assert vexlab("ssh", "umount /mnt/vexlab && rmmod vexfs").code == 0
    done = vexlab("verify", "--stage", "load", "--json")
    assert done.code == 1
    assert done.verdicts()["load"] == "failed"


def test_logs_report_and_runs(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    assert "Linux version" in vexlab("logs", "console").stdout
    assert (
        "kernel log of stage load" in vexlab("logs", "kernel").stderr
    )  # of the last run, which judged that stage alone
    assert "vexfs" in vexlab("report", first.document["run"]).stdout
    assert vexlab("report", first.document["run"], "--format", "json").document == first.document
    assert first.document["run"] in vexlab("runs").stdout
    assert vexlab("console", "-n", "5").stdout.count("\n") == 5


def test_failed_are_what_broke(vexlab: Vexlab, first: Done) -> None:
    """Those alone are judged again."""
    assert first.code == 0
    broken = json.loads(vexlab("report", "--format", "json").stdout)
    failed = [check["name"] for stage in broken["stages"] for check in stage["checks"] if check["verdict"] == "failed"]
    assert failed
    done = vexlab("verify", "--failed", "--json")
    assert done.code == 0, done.stderr  # what they broke of is whole again
    assert checks_of(done, "load") == dict.fromkeys(failed, "passed")


def test_guest_with_another_host_key_is_not_talked_to(vexlab: Vexlab, first: Done) -> None:
    """Whoever answers on the port must be the guest: its key was pinned before it had it."""
    assert first.code == 0
    key = "/etc/ssh/ssh_host_ed25519_key"
    # The connections that stand go with the sessions; what comes next meets the new key.
    swap = f"rm {key}; ssh-keygen -q -t ed25519 -N '' -f {key}; pkill -HUP -xo sshd"
    assert vexlab("ssh", f"{swap}; systemd-run --quiet --on-active=1 pkill sshd-session").code == 0
    deadline = time.monotonic() + 60
    while (refused := vexlab("ssh", "true")).code == 0 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert refused.code != 0
    assert "Host key verification failed" in refused.stderr
    done = vexlab("verify", "--stage", "load", "--json")
    assert done.code == 1, done.stderr
    assert done.verdicts()["load"] == "lost"
    assert "SSH reported an unrecognized or mismatching host key" in done.stderr


def test_a_stranger_with_the_pid_is_not_killed(vexlab: Vexlab, first: Done) -> None:
    """A stale pid file whose pid is now another process: it must survive `down`."""
    assert first.code == 0
    lab = vexlab.labs / "default"
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        record = vexlab.record()
        real = record["pid"]
        (lab / "qemu.pid").write_text(f"{stranger.pid}\n")
        (lab / "guest.json").write_text(json.dumps(record | {"pid": stranger.pid}))
        assert vexlab("status", "--json").document[0]["up"] is False
        assert vexlab("down").code == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        os.kill(real, 9)  # the guest that we hid from the lab; its pid was read from the lab itself


def test_down_twice_leaves_nothing(vexlab: Vexlab, first: Done) -> None:
    assert first.code == 0
    assert vexlab("down").code == 0
    second = vexlab("down")
    assert second.code == 0
    assert "was not up" in second.stderr
    assert vexlab.processes() == []
    assert not (vexlab.labs / "default" / "ssh_key").exists()
    assert vexlab("ssh", "true").code == 4


@pytest.mark.thorough
def test_plain_strategy_builds_anew_and_does_the_same(vexlab: Vexlab, first: Done) -> None:
    """Without mitogen, and without what earlier builds left: the same module, checks and verdicts; only slower."""
    stray = vexlab.labs / "default" / "build" / "build" / "stray.o"
    if first.document["guest"]["accelerator"] == "tcg":  # it was built in the sandbox
        stray.write_text("")
    plain = vexlab("up", "--clean", "--json", ANSIBLE_STRATEGY="linear")
    assert plain.code == 0, plain.stderr
    assert not stray.exists()
    names, wanted = (
        [
            (stage["name"], check["name"], check["verdict"])
            for stage in done.document["stages"]
            for check in stage["checks"]
        ]
        for done in (plain, first)
    )
    assert names == wanted
    assert plain.document["module"] == first.document["module"]
    assert vexlab("down").code == 0


def test_destroy_removes_the_lab_and_keeps_the_run(vexlab: Vexlab, first: Done) -> None:
    assert vexlab("destroy").code == 0
    assert not (vexlab.labs / "default").exists()
    assert (vexlab.runs / first.document["run"] / "results.json").is_file()
