"""Guests that go on from one that was saved with the filesystem mounted: a new lab, and several guests at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import VEXFS, Done, Vexlab, edit, wait_until
from tests.faults import leftovers
from tests.faults.fault_site import small_target
from vexlab.config import check_list

STAGES = ("structure", "build", "load", "mkfs", "mount")


@pytest.fixture(scope="module")
def target(vexlab: Vexlab) -> Path:
    """The bundled filesystem, claiming little, in a tree that nobody has saved a guest of."""
    source = vexlab.home / "source"
    shutil.copytree(VEXFS, source)
    (source / "tree").write_text(f"{uuid.uuid4()}\n")
    path = vexlab.home / "target.yml"
    path.write_text(yaml.safe_dump(small_target(source, "read-write") | {"vexlab_target_name": "checkpoints"}))
    return path


def up(vexlab: Vexlab, target: Path, name: str) -> Done:
    done = vexlab("up", "--target", str(target), "--name", name, "--json")
    assert done.code == 0, done.stderr
    return done


def checkpoint_of(vexlab: Vexlab, run: str) -> Path:
    """The directory in which a run saved its guest, as its events tell."""
    events = (vexlab.runs / run / "events.jsonl").read_text()
    return Path(events.partition('"vexlab_checkpoint_result":"')[2].partition('"')[0])


@pytest.fixture(scope="module")
def first(vexlab: Vexlab, target: Path) -> Done:
    return up(vexlab, target, "one")


@pytest.fixture(scope="module")
def second(vexlab: Vexlab, target: Path, first: Done) -> Done:
    """Of the same inputs, from another place."""
    return up(vexlab, target, "two")


def processes_with(words: str) -> list[int]:
    """The processes that have these words in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if words in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(entry.name))
    return found


def ssh(vexlab: Vexlab, lab: str, script: str) -> str:
    done = vexlab("ssh", "--name", lab, script)
    assert done.code == 0, done.stderr
    return done.stdout.strip()


def test_verdicts_are_those_of_the_run_that_was_checked(vexlab: Vexlab, first: Done, second: Done) -> None:
    assert second.verdicts() == first.verdicts()
    assert {second.verdicts()[stage] for stage in STAGES} == {"passed"}
    assert second.document["run"] == first.document["run"]
    assert second.document["guest"]["ssh_port"] == vexlab.record("two")["port"] != vexlab.record("one")["port"]
    assert f"the verdicts are those of run {first.document['run']}" in second.stderr
    assert [path.name for path in vexlab.runs.iterdir() if path.is_dir()] == [first.document["run"]]


def test_what_is_told_of_the_new_lab_is_of_that_run(vexlab: Vexlab, first: Done, second: Done) -> None:
    told = {lab["lab"]: lab["run"]["run"] for lab in vexlab("status", "--json").document}
    assert told == dict.fromkeys(("one", "two"), first.document["run"])
    assert first.document["run"] in vexlab("report", "--name", "two").stdout


def test_the_new_guest_is_nobody_else(vexlab: Vexlab, second: Done) -> None:
    asked = {lab: ssh(vexlab, lab, "hostname; cat /etc/machine-id; head -c 16 /dev/urandom | od -An -tx8") for lab in
             ("one", "two")}  # fmt: skip
    for mine, other in zip(*(said.splitlines() for said in asked.values()), strict=True):
        assert mine != other
    for name in ("ssh_key", "ssh_host_key"):
        assert (vexlab.labs / "one" / name).read_bytes() != (vexlab.labs / "two" / name).read_bytes()
    assert ssh(vexlab, "two", "grep -c vexlab-one ~/.ssh/authorized_keys || true") == "0"
    assert abs(float(ssh(vexlab, "two", "date +%s.%N")) - time.time()) < 5


def test_the_new_guest_has_a_filesystem_of_its_own(vexlab: Vexlab, second: Done) -> None:
    ssh(vexlab, "two", "echo mine > /mnt/vexlab/mine; sync")
    assert ssh(vexlab, "one", "ls /mnt/vexlab") == ""
    assert ssh(vexlab, "two", "cat /mnt/vexlab/mine; rm /mnt/vexlab/mine; ls /mnt/vexfs_source/Kbuild").startswith(
        "mine"
    )


def test_who_was_logged_in_is_logged_out(vexlab: Vexlab, second: Done) -> None:
    """What the run of the first lab had open is in the memory that was saved."""
    assert ssh(vexlab, "two", "ls /proc/*/exe -l 2>/dev/null | grep -c python3 || true") == "0"


def test_the_new_guest_can_be_judged(vexlab: Vexlab, second: Done) -> None:
    done = vexlab("verify", "--name", "two", "--stage", "load", "--json")
    assert done.code == 0, done.stderr


def test_the_guest_goes_on_after_it_was_saved(vexlab: Vexlab, first: Done) -> None:
    pauses = vexlab.record("one")["pauses"]
    assert pauses == {"begun": 1, "ended": 1}
    assert ssh(vexlab, "one", "mountpoint -q /mnt/vexlab && ls /mnt/vexfs_source/Kbuild").endswith("Kbuild")


def test_a_checkpoint_that_is_damaged_is_never_gone_on_from(vexlab: Vexlab, target: Path, first: Done) -> None:
    memory = checkpoint_of(vexlab, first.document["run"]) / "memory"
    times = memory.stat()
    with memory.open("r+b") as file:
        file.seek(os.lseek(file.fileno(), 0, os.SEEK_DATA) + 4096)
        file.write(b"!!!!")
    os.utime(memory, ns=(times.st_atime_ns, times.st_mtime_ns))
    third = up(vexlab, target, "three")
    assert "has to be brought up anew" in third.stderr
    assert third.document["run"] != first.document["run"]
    assert {third.verdicts()[stage] for stage in STAGES} == {"passed"}
    vexlab("destroy", "--name", "three")


@pytest.mark.thorough
def test_a_later_run_that_fails_ends_what_was_known(vexlab: Vexlab, target: Path, second: Done) -> None:
    ssh(vexlab, "two", "umount /mnt/vexlab")
    failed = vexlab("verify", "--name", "two", "--stage", "mount", "--json")
    assert failed.code == 1
    fourth = up(vexlab, target, "four")
    assert fourth.document["run"].endswith("-four")
    vexlab("destroy", "--name", "four")


@pytest.mark.thorough
def test_stage_errors_alone_goes_on_from_a_guest_that_was_saved(vexlab: Vexlab, target: Path) -> None:
    """Nothing is mounted there, so it is no guest for a whole `up`, and what was known of that stays."""
    path = vexlab.home / "source" / "kernel" / "super.c"
    crash = "	if (version != VEXFS_VERSION)\n		*(volatile int *)NULL = 1;\n"
    before = edit(path, "	if (version != VEXFS_VERSION)\n", f"{crash}	if (version != VEXFS_VERSION)\n")
    try:
        done = vexlab("test", "--target", str(target), "--quick", "--stage", "errors", "--name", "errors", "--json")
        assert done.stage("errors")["verdict"] == "panicked", done.stderr
        run = vexlab.runs / done.document["run"]
        assert checkpoint_of(vexlab, run.name).is_dir()
        assert '"announced":"mkfs"' in (run / "events.jsonl").read_text()
        further = [path.read_text() for path in run.glob("part-*/events.jsonl")]
        assert further  # one for each death
        assert not [events for events in further if '"announced":"mkfs"' in events]
        assert up(vexlab, target, "errors").verdicts() == dict.fromkeys(STAGES, "passed")
    finally:
        path.write_text(before)
    vexlab("destroy", "--name", "errors")


class TestSeveralGuestsAtOnce:
    """The checks of `mount`, `stress` and `errors` in three guests, of which two go on from the first."""

    WORDS = ("--quick", "--jobs", "3", "--name", "jobs")
    FORKS = ("fork-1", "fork-2")

    @pytest.fixture(scope="class")
    @classmethod
    def broken(cls, vexlab: Vexlab, target: Path) -> Iterator[Path]:
        """A filesystem that mounts a version of the format that nobody knows; only stage errors sees it."""
        path = vexlab.home / "source" / "kernel" / "super.c"
        before = edit(path, "	if (version != VEXFS_VERSION)\n", "	if (0)\n")
        yield target
        path.write_text(before)

    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, vexlab: Vexlab, broken: Path) -> Done:
        return vexlab("test", "--target", str(broken), *cls.WORDS, "--rerun", "3", "--json")

    def test_each_stage_has_its_verdict(self, done: Done) -> None:
        assert done.code == 1, done.stderr
        verdicts: dict[str, Any] = dict.fromkeys((*STAGES, "stress"), "passed")
        assert done.verdicts() == verdicts | {"errors": "failed"}
        failed = [check["name"] for check in done.stage("errors")["checks"] if check["verdict"] == "failed"]
        assert "superblock.value_that_can_not_be[version 00000000]" in failed

    def test_each_check_is_judged_in_one_guest_and_what_closes_a_stage_in_each(
        self, vexlab: Vexlab, done: Done
    ) -> None:
        run = vexlab.runs / done.document["run"]
        for stage in ("mount", "stress", "errors"):
            found = [
                (run / place / "stages" / stage / "planned").read_text().splitlines()
                for place in ("", *self.FORKS)
                if (run / place / "stages" / stage).is_dir()
            ]
            closing = {check.name for check in check_list.of_stage(stage) if check.closes}
            assert all(closing <= set(names) for names in found)
            assert len(found) > 1
            once = [name for names in found for name in names if name not in closing]
            checks = [check["name"] for check in done.stage(stage)["checks"]]
            assert sorted((*once, *closing)) == sorted(checks)
            assert checks == check_list.order(stage, checks)

    def test_evidence_of_each_guest_is_kept(self, vexlab: Vexlab, done: Done) -> None:
        run = vexlab.runs / done.document["run"]
        for number in (1, 2):
            assert (run / done.document["evidence"][f"console, fork {number}"]).stat().st_size
            assert f"fork {number}" in vexlab("logs", "console", "--run", done.document["run"]).stdout
        assert done.stage("errors")["kernel_log"]

    def test_check_that_failed_is_run_again_in_guests_of_its_own(self, vexlab: Vexlab, done: Done) -> None:
        reruns = done.document["reruns"]
        assert (reruns["of"], reruns["failed"]) == (3, 3)
        assert "; deterministic (3 of 3, a rate of" in done.stage("errors")["reason"]
        for number in (1, 2, 3):
            assert (vexlab.runs / done.document["run"] / f"rerun-{number}" / "console.log").stat().st_size

    def test_nothing_is_left(self, vexlab: Vexlab, done: Done) -> None:
        assert not list((vexlab.labs / "jobs").glob("forks/*"))
        assert not [line for line in vexlab.processes() if "labs/jobs" in line]

    @pytest.mark.thorough
    def test_guest_that_dies_costs_the_others_nothing(self, vexlab: Vexlab, broken: Path) -> None:
        """One check takes its guest down, whichever of the guests it is in; all others have their verdict."""
        path = vexlab.home / "source" / "kernel" / "super.c"
        crash = "	if (version != VEXFS_VERSION)\n		*(volatile int *)NULL = 1;\n"
        before = edit(path, "	if (0)\n", f"{crash}	if (0)\n")
        try:
            done = vexlab("test", "--target", str(broken), *self.WORDS, "--json")
        finally:
            path.write_text(before)
        assert done.verdicts() == dict.fromkeys((*STAGES, "stress"), "passed") | {"errors": "panicked"}
        module = "superblock."
        found = {check["name"]: check["verdict"] for check in done.stage("errors")["checks"]}
        assert "panicked" in found.values()
        assert all(name.startswith(module) for name, verdict in found.items() if verdict in ("panicked", "not_run"))
        assert {verdict for name, verdict in found.items() if not name.startswith(module)} <= {"passed", "skipped"}
        assert "NULL pointer dereference" in done.stage("errors")["reason"]

    @pytest.mark.thorough
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
    def test_an_end_of_the_run_is_the_end_of_all(
        self, vexlab: Vexlab, broken: Path, done: Done, number: signal.Signals
    ) -> None:
        before = set(vexlab.runs.iterdir())
        process = vexlab.start("test", "--target", str(broken), *self.WORDS)
        wait_until(
            lambda: any(
                all(list((run / place).glob("stages/*/checks.jsonl")) for place in self.FORKS)
                for run in set(vexlab.runs.iterdir()) - before
            ),
            process,
        )
        process.send_signal(number)
        done = vexlab.finish(process, patience=180)
        assert done.code == (130 if number == signal.SIGINT else -number)
        down = vexlab("down", "--name", "jobs")
        assert down.code == 0, down.stderr
        assert not [line for line in vexlab.processes() if "labs/jobs" in line]
        assert not [line for line in leftovers.find(vexlab.home) if "jobs" in line]

    @pytest.mark.thorough
    def test_share_of_a_process_that_was_killed_is_judged_in_the_labs_own_guest(
        self, vexlab: Vexlab, broken: Path, done: Done
    ) -> None:
        before = set(vexlab.runs.iterdir())
        process = vexlab.start("test", "--target", str(broken), *self.WORDS, "--json")

        def begun() -> list[int]:
            """The processes of that fork, once it judges."""
            runs = [run for run in set(vexlab.runs.iterdir()) - before if list(run.glob("fork-2/**/checks.jsonl"))]
            return [pid for run in runs for pid in processes_with(f"vexlab.run.fork {run}/fork-2")]

        wait_until(lambda: bool(begun()), process)
        os.kill(begun()[0], signal.SIGKILL)
        again = vexlab.finish(process)
        assert "fork 2: its process ended without an answer" in again.stderr
        assert again.verdicts() == done.verdicts()
        for stage in ("mount", "stress", "errors"):
            assert {check["name"]: check["verdict"] for check in again.stage(stage)["checks"]} == {
                check["name"]: check["verdict"] for check in done.stage(stage)["checks"]
            }
