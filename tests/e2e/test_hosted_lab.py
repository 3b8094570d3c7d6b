"""A lab on another machine, used as one at home: from its first guest until nothing of it is left there."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import hypervisor_site
from tests.e2e.harness import Vexlab, edit, wait_until
from tests.e2e.hypervisor_site import Host

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(hypervisor_site.why_not()), reason=hypervisor_site.why_not() or "it can"),
]
LAB = ("--name", "far")


@pytest.fixture(scope="module")
def host(vexlab: Vexlab) -> Iterator[Host]:
    """The machine that has the lab; what the tests have in it is gone with it."""
    place = Path(tempfile.mkdtemp(prefix="vexlab-hypervisors-"))
    try:
        with hypervisor_site.site(place, memory_mb=100) as site:
            vexlab.environment["INVENTORY"] = str(site.inventory)
            yield site.hosts[0]
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def lab(vexlab: Vexlab, host: Host, source: Path) -> None:
    """A lab that was brought up there; the tests of the module go on with it, in their order."""
    inventory = vexlab.environment["INVENTORY"]
    words = ("--hypervisors", inventory, "--hypervisor", host.name, "--patience", "60", "--source", str(source))
    done = vexlab("up", *LAB, *words, "--json")
    assert done.code == 0, done.stderr
    assert done.document["verdict"] == "passed"
    assert f"evidence: {vexlab.runs}/{done.document['run']}" in done.stderr


def guests(host: Host) -> list[str]:
    return [line for line in host.at_work() if line.startswith("qemu-system")]


def runs(vexlab: Vexlab) -> list[str]:
    return sorted(path.parent.name for path in vexlab.runs.glob("*/results.json"))


@pytest.mark.usefixtures("lab")
def test_guest_is_there_and_evidence_is_here(vexlab: Vexlab, host: Host) -> None:
    assert len(guests(host)) == 1
    assert not [line for line in vexlab.processes() if "qemu" in line]
    [run] = runs(vexlab)
    assert run.endswith("-far")
    assert [each["run"] for each in vexlab("runs", "--json").document] == [run]
    report = vexlab("report", run)
    assert report.code == 0, report.stderr
    assert "never sealed" not in report.stdout + report.stderr
    assert vexlab("logs", "console", "--run", run).stdout


@pytest.mark.usefixtures("lab")
def test_status_tells_of_the_guest_there(vexlab: Vexlab, host: Host) -> None:
    [document] = vexlab("status", *LAB, "--json").document
    assert (document["hypervisor"], document["up"], document["guest"]["state"]) == (host.name, True, "running")
    rows = vexlab("status", *LAB).stdout
    assert f"127.0.0.1:{document['guest']['ssh_port']} of {host.name} → 22" in rows


@pytest.mark.usefixtures("lab")
def test_commands_in_the_guest_come_through(vexlab: Vexlab) -> None:
    done = vexlab("ssh", *LAB, "--", "grep -c ' vexfs ' /proc/mounts; echo 'two  blanks'; exit 7")
    assert (done.code, done.stdout) == (7, "1\ntwo  blanks\n"), done.stderr


@pytest.mark.usefixtures("lab")
def test_console_is_shown_and_nothing_follows_it_afterwards(vexlab: Vexlab, host: Host) -> None:
    assert len(vexlab("console", *LAB, "-n", "3").stdout.splitlines()) == 3
    process = vexlab.start("console", *LAB, "--follow")
    wait_until(lambda: any("console" in line for line in host.at_work()), process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any("console" in line for line in host.at_work()):
        assert time.monotonic() < deadline, host.at_work()
        time.sleep(0.5)


@pytest.mark.usefixtures("lab")
def test_port_of_the_guest_is_here_for_as_long_as_it_is_wanted(vexlab: Vexlab) -> None:
    process = vexlab.start("ssh", *LAB, "--forward")
    assert process.stderr is not None
    assert "is port 22 of the guest of lab far, until Ctrl-C:" in process.stderr.readline()
    command = shlex.split(process.stderr.readline())
    deadline = time.monotonic() + 60
    while (done := subprocess.run([*command, "hostname"], capture_output=True, text=True, check=False)).returncode:
        assert process.poll() is None
        assert time.monotonic() < deadline, done.stderr
        time.sleep(1)
    assert done.stdout == "vexlab-far\n"
    key = Path(command[command.index("-i") + 1])
    assert key.stat().st_mode & 0o777 == 0o600
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 255
    assert not key.exists()


@pytest.mark.usefixtures("lab")
def test_what_did_not_change_is_not_done_again_and_an_edit_is(vexlab: Vexlab, source: Path) -> None:
    """The host is remembered, and so is what was given: the guest is the same one."""
    before = runs(vexlab)
    again = vexlab("up", *LAB)
    assert again.code == 0, again.stderr
    assert "nothing changed since" in again.stderr
    assert runs(vexlab) == before
    edit(source / "kernel" / "super.c", '#include "vexfs.h"', '#include "vexfs.h"\n/* edited */')
    done = vexlab("up", *LAB)
    assert done.code == 0, done.stderr
    assert "changed: structure, build" in done.stderr
    assert len(runs(vexlab)) == 2


@pytest.mark.usefixtures("lab")
def test_compiler_names_the_file_of_here(vexlab: Vexlab, source: Path) -> None:
    former = edit(source / "kernel" / "super.c", "/* edited */", "nonsense;")
    try:
        done = vexlab("up", *LAB)
        assert done.code == 1, done.stderr
        assert f"{source}/kernel/super.c" in done.stderr
        assert "/given/" not in done.stderr
    finally:
        (source / "kernel" / "super.c").write_text(former)
    assert vexlab("up", *LAB).code == 0


@pytest.mark.usefixtures("lab")
def test_verify_judges_it_and_a_second_command_waits_for_nobody(vexlab: Vexlab, host: Host) -> None:
    process = vexlab.start("verify", *LAB)
    wait_until(lambda: any("vexlab verify" in line for line in host.at_work()), process)
    other = vexlab("down", *LAB)
    assert other.code == 2
    assert f"another vexlab command, process {process.pid}, works on lab far" in other.stderr
    done = vexlab.finish(process)
    assert done.code == 0, done.stderr


@pytest.mark.usefixtures("lab")
def test_ctrl_c_ends_a_test_there_and_its_run_comes_home(vexlab: Vexlab, host: Host) -> None:
    before = runs(vexlab)
    process = vexlab.start("test", *LAB, "--quick")
    wait_until(lambda: any("verifier" in line for line in host.at_work()), process)
    process.send_signal(signal.SIGINT)
    done = vexlab.finish(process, patience=300)
    assert done.code == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert not guests(host), "the guest of a test is there for it alone"
    assert not [line for line in host.at_work() if "vexlab" in line]
    assert len(runs(vexlab)) == len(before) + 1
    assert vexlab("runs", "--json").document[0]["verdict"] == "not_run"


@pytest.mark.usefixtures("lab")
def test_link_that_is_cut_for_good_ends_it_there_and_here(vexlab: Vexlab, host: Host) -> None:
    """What it came to until then comes home with the next command."""
    before = runs(vexlab)
    process = vexlab.start("up", *LAB, "--clean")
    wait_until(lambda: any("verifier" in line for line in host.at_work()), process)
    host.link("down")
    try:
        done = vexlab.finish(process, patience=600)
        assert done.code == 3, done.stderr
        assert f"{host.name}: no sign of life for 60 s" in done.stderr
        away = vexlab("status", *LAB)
        assert "can't be reached" in away.stdout
        deadline = time.monotonic() + 300
        while [line for line in host.at_work() if "vexlab" in line]:
            assert time.monotonic() < deadline, host.at_work()
            time.sleep(1)
    finally:
        host.link("up")
    assert vexlab("down", *LAB).code == 0
    assert len(runs(vexlab)) == len(before) + 1


@pytest.mark.usefixtures("lab")
def test_nothing_of_it_is_left_when_it_is_destroyed(vexlab: Vexlab, host: Host) -> None:
    before = runs(vexlab)
    done = vexlab("destroy", *LAB)
    assert done.code == 0, done.stderr
    assert not [line for line in host.at_work() if "vexlab" in line or "qemu" in line]
    place = host.home / ".local" / "state" / "vexlab" / "of"
    assert not [path for part in ("given", "vexlab/labs", "vexlab/runs") for path in place.glob(f"*/{part}/*-far*")]
    assert not [*place.glob("*/given/far"), *place.glob("*/vexlab/labs/far")]
    assert not (vexlab.labs / "far").exists()
    assert runs(vexlab) == before
