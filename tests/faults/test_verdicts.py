"""Deaths of the guest at moments where nothing is judged, and what is no fault of the module at all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Done, wait_until
from tests.faults import leftovers
from tests.faults.fault import Fault
from tests.faults.fault_site import NO_RUN, Site
from tests.faults.made_module import made_module
from vexlab.guest.lab import qmp

PANIC = "echo c > /proc/sysrq-trigger"
WARNING = made_module("warning", 'WARN(1, "late work");')
WARN = "rmmod warning; insmod /root/warning/warning.ko"
# The process that runs the checks, and the one that it forks for their code. The shell of this script has other words.
AGENT = 'kill -9 "$(pgrep -of "[R]uns in the guest, over one ssh connection")"'
WORKER = 'kill -9 "$(pgrep -nf "[R]uns in the guest, over one ssh connection")"'
# Not to the console, where an emulated serial line would be the brake.
FLOOD = """dmesg -n 1; sysctl -qw kernel.printk_devkmsg=on; python3 -c '
import os
log = os.open("/dev/kmsg", os.O_WRONLY)
for number in range(20000):
    os.write(log, b"<7>flood " + b"x" * 200)
'; dmesg -n 8"""
# sysrq-f is the kernel's own OOM killer at work; to use up the memory of an emulated guest takes minutes.
STARVE = """python3 -c '
import time
kept = b"x" * (300 << 20)
open("/proc/sysrq-trigger", "w").write("f")
time.sleep(60)
'"""
STARVE_AGENT = """agent=$(pgrep -of "[R]uns in the guest, over one ssh connection")
echo 1000 > /proc/$agent/oom_score_adj; echo f > /proc/sysrq-trigger"""
FILL = "n=0; for s in 1G 64M 1M 64K 4K; do while fallocate -l $s /fill.$n; do n=$((n + 1)); done 2>/dev/null; done"


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


@contextlib.contextmanager
def armed(site: Site, script: str) -> Iterator[Callable[[], None]]:
    """A script that waits in the guest, since to log in takes longer than the moment lasts; what sets it off."""
    command = site.vexlab.command("ssh", f"read -r _; {script}")
    process = subprocess.Popen(command, env=site.vexlab.environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield lambda: process.stdin.close() if process.stdin else None
    finally:
        process.kill()
        process.wait()


def has_passed(site: Site, before: set[Path], stage: str) -> bool:
    """Whether a new run has written down that a stage passed."""
    for run in site.runs() - before:
        with contextlib.suppress(OSError, ValueError):
            stages = json.loads((run / "results.json").read_text())["stages"]
            return any((found["name"], found["verdict"]) == (stage, "passed") for found in stages)
    return False


def once_passed(stage: str, act: Callable[[Site], None], *stages: str) -> Callable[[Site], Done]:
    """Something happens as soon as vexlab verify has told that a stage passed; these stages are judged."""

    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start("verify", *(word for name in stages for word in ("--stage", name)))
        wait_until(lambda: has_passed(site, before, stage), process)
        act(site)
        return site.vexlab.finish(process, patience=180)

    return inject


def after(stage: str, script: str, *stages: str, first: str = "true") -> Callable[[Site], Done]:
    """A script runs in the guest at that moment; `first` is run in it before."""

    def inject(site: Site) -> Done:
        site.ssh(first)
        with armed(site, script) as go:
            return once_passed(stage, lambda _: go(), *stages)(site)

    return inject


def during(act: Callable[[Site], None]) -> Callable[[Site], Done]:
    """Something happens while the checks of stage mount run in vexlab verify."""

    def inject(site: Site) -> Done:
        before = site.runs()
        process = site.start("verify", "--stage", "mount")
        wait_until(lambda: any((run / "stages/mount/running").is_file() for run in site.runs() - before), process)
        act(site)
        return site.vexlab.finish(process, patience=300)

    return inject


def in_guest(script: str) -> Callable[[Site], Done]:
    """A script runs in the guest while the checks do; it may be ended by what it brings about."""

    def inject(site: Site) -> Done:
        with armed(site, script) as go:
            return during(lambda _: go())(site)

    return inject


def pause(site: Site) -> None:
    qmp(Path(site.vexlab.record()["qmp_control"]), "stop")


def killed_here(word: str, which: Callable[[list[int]], int]) -> Callable[[Site], None]:
    """SIGKILL to one of this machine's processes that judge: the first or the last of those with a word."""

    def kill(site: Site) -> None:
        found = [pid for pid, words in leftovers.processes_of(site.home).items() if any(word in each for each in words)]
        os.kill(which(found), signal.SIGKILL)

    return kill


def stop_qemu(site: Site) -> None:
    os.kill(site.vexlab.record()["pid"], signal.SIGSTOP)


def guest_full(site: Site) -> Done:
    done = in_guest(FILL)(site)
    site.ssh("rm /fill.*")
    return done


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[None]:
    """A disk of its own for a directory."""
    if os.geteuid():
        pytest.skip("only root may mount a disk that is small enough")
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "vexlab-fault", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def lab_disk_full(site: Site) -> Done:
    """The overlay of the guest doesn't fit, which QEMU finds out when the guest writes."""
    with small_disk(site.vexlab.labs / "default", 48):
        done = site.up("--clean")
        site.vexlab("down")
        return done


def run_disk_full(site: Site) -> Done:
    """What the checks find can't be written."""

    def fill(site: Site) -> None:
        with contextlib.suppress(OSError), (site.vexlab.runs / "fill").open("wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass

    with small_disk(site.vexlab.runs, 8):
        return during(fill)(site)


def no_sandbox(site: Site) -> Done:
    """bubblewrap may not make its namespaces, as where a distribution keeps them from ordinary users."""
    programs = site.home / "programs"
    programs.mkdir(exist_ok=True)
    bwrap = programs / "bwrap"
    bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    path = f"{programs}{os.pathsep}{site.vexlab.environment['PATH']}"
    return site.vexlab(*site.words(), "--builder", "sandbox", "--clean", PATH=path)


FAULTS = (
    Fault(
        "panic after the last check", "sysrq-c as soon as the only stage of vexlab verify has passed",
        after("load", PANIC, "load"), verdict="panicked", exit_code=1, lab="up",
        says=("after its checks: Kernel panic - not syncing: sysrq triggered crash",), in_test=True,
    ),
    Fault(
        "panic between two stages", "sysrq-c as soon as the first of two stages has passed",
        after("structure", PANIC, "structure", "load"), verdict="panicked", exit_code=1, lab="up",
        says=("sysrq triggered crash",),
    ),
    Fault(
        "WARNING after the last check", "a module that warns, as soon as the only stage of vexlab verify has passed",
        after("load", WARN, "load", first=WARNING), verdict="failed", exit_code=1, lab="up",
        says=("after its checks: the kernel reported a bug: ", "WARNING: "),
    ),
    Fault(
        "WARNING between two stages", "a module that warns, as soon as the first of two stages has passed",
        after("structure", WARN, "structure", "load", first=WARNING), verdict="failed", exit_code=1, lab="up",
        says=("the kernel reported a bug: ",),
    ),
    Fault(
        "QEMU is stopped after the last check", "SIGSTOP to QEMU as soon as the only stage of vexlab verify has passed",
        once_passed("load", stop_qemu, "load"), verdict="not_run", exit_code=3, lab="up",
        says=("was stopped from outside",),
    ),
    Fault(
        "Ansible is killed", "SIGKILL to ansible-playbook while checks run",
        during(killed_here("bin/ansible-playbook", min)), verdict="not_run", exit_code=3, lab="up",
        says=("Ansible ended before it was done",),
    ),
    Fault(
        "what judges is killed", "SIGKILL to the process that waits for stages to judge, while checks run",
        during(killed_here("vexlab.guest.testing.verifier", min)), verdict="not_run", exit_code=3, lab="up",
    ),
    Fault(
        "pytest is killed", "SIGKILL to the process in which pytest runs the checks of a stage, while it does",
        during(killed_here("vexlab.guest.testing.verifier", max)), verdict="not_run", exit_code=3, lab="up",
    ),
    Fault(
        "guest is paused", "QMP stop by somebody while checks run", during(pause), verdict="not_run", exit_code=3,
        lab="up", says=("paused from outside",),
    ),
    Fault(
        "process for the checks is killed", "SIGKILL to it in the guest, while checks run", in_guest(AGENT),
        verdict="lost", exit_code=1, lab="up", says=("the process in the guest that runs the checks was killed",),
    ),
    Fault(
        "process of a check is killed", "SIGKILL to it in the guest, while checks run", in_guest(WORKER),
        verdict="lost", exit_code=1, lab="up", says=("the process in the guest that runs the checks was killed",),
    ),
    Fault(
        "flood of kernel messages", "20,000 lines to /dev/kmsg while checks run", in_guest(FLOOD),
        verdict="failed", exit_code=1, lab="up", says=("overwritten before they could be read",),
    ),
    Fault(
        "guest runs out of memory", "the kernel's OOM killer ends a big program while checks run",
        in_guest(STARVE), verdict="failed", exit_code=1, lab="up", says=("the guest ran out of memory",),
    ),
    Fault(
        "guest has no memory for the checks", "the kernel's OOM killer ends the process that runs them",
        in_guest(STARVE_AGENT), verdict="lost", exit_code=1, lab="up",
        says=("runs the checks was killed: the guest ran out of memory",),
    ),
    Fault(
        "guest's disk is full", "files fill it while checks run", guest_full, verdict="not_run", exit_code=3,
        lab="up", says=("the guest's own disk is full",),
    ),
    Fault(
        "disk of the lab is full", "the lab is on a disk of 48 MB, which vexlab up fills", lab_disk_full,
        verdict="not_run", exit_code=3, lab="gone", says=("make room there",),
    ),
    Fault(
        "the sandbox can't start", "a bwrap that may not make namespaces is first in PATH", no_sandbox,
        verdict="not_run", exit_code=3, lab="up", says=("No permissions to create new namespace", "--builder guest"),
    ),
    Fault(
        "disk of the runs is full", "it is filled while checks run", run_disk_full, verdict=NO_RUN, exit_code=3,
        lab="up", says=("make room there",),
    ),
)  # fmt: skip
