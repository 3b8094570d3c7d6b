"""The records of a run. A verdict starts as `not_run`; nothing but an executed check turns it into `passed`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What is known about a check, a stage or a run."""

    PASSED = "passed"
    FAILED = "failed"
    PANICKED = "panicked"  # oops, BUG or panic of the guest's kernel
    HUNG = "hung"  # a deadline passed
    LOST = "lost"  # guest, connection or the process that runs the checks gone without a word of the kernel
    SKIPPED = "skipped"  # with a reason that the target declared
    XFAILED = "xfailed"  # of a check: it failed, as the target's list of known failures says
    NOT_RUN = "not_run"


@dataclass(frozen=True)
class Check:
    """One check: `message` says why it did not pass, and is empty otherwise.

    `advice` is what it found to be unusual or missing and that changes no verdict; empty when there is nothing.
    """

    name: str
    verdict: Verdict
    seconds: float
    message: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    `reason` is the first cause when it did not pass, `kernel_log` the path of its kernel messages relative to the run
    directory, `taint` the kernel's taint mask at its end (None when it could not be read). `achieved` says whether
    what the stage brings about is there (the module is built, say), whatever its checks found; None when it brings
    nothing about, or it can't be told.
    """

    name: str
    verdict: Verdict = Verdict.NOT_RUN
    seconds: float = 0.0
    reason: str = ""
    checks: tuple[Check, ...] = ()
    kernel_log: str | None = None
    taint: int | None = None
    achieved: bool | None = None


@dataclass(frozen=True)
class Module:
    """Identity of the kernel module that was built; fields that the build could not tell are empty."""

    name: str
    sha256: str
    srcversion: str
    variant: str
    build_id: str = ""


@dataclass(frozen=True)
class Guest:
    """The machine that the stages ran on.

    `accelerator` is kvm or tcg, `qemu` the version, `warm` whether it was restored from a saved state, `share` where
    the source is mounted in the guest, `image` the key of the disk image.
    """

    kernel: str
    accelerator: str
    qemu: str
    warm: bool
    memory_mb: int
    cpus: int
    ssh_port: int
    share: str
    image: str


@dataclass(frozen=True)
class Reruns:
    """The first check that went wrong, as `stage/check`, run again: how often it was, and how often it went wrong."""

    check: str
    of: int
    failed: int


class Machine(StrEnum):
    """What the stages ran on."""

    VM = "vm"
    HARDWARE = "hardware"  # a host of the inventory group for test hardware


@dataclass(frozen=True)
class Device:
    """The block device that a run on test hardware used: its /dev/disk/by-id path, its serial, the phase (1 to 3)."""

    by_id: str
    serial: str
    phase: int


@dataclass(frozen=True)
class Amounts:
    """How much stage stress was asked to do, and by which seed (0: another one each time); `quick` is --quick."""

    quick: bool
    load_cycles: int
    mount_cycles: int
    churn_operations: int
    seed: int


@dataclass(frozen=True)
class Contract:
    """What a run demanded of its module.

    `claims` are the target's capabilities: a check of anything else is skipped. `module_parameters` and the mount
    options are those that were tested. `cpus` and `memory_mb` were asked for, of a guest (0 on test hardware).
    `known_failures` names the checks that may fail, as stage/check. `sha256` is over the run's contract.json, which has
    every variable.
    """

    claims: tuple[str, ...]
    module_parameters: str
    mount_options_ro: str
    mount_options_rw: str
    cpus: int
    memory_mb: int
    device_size_mb: int
    known_failures: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Run:
    """One pass over stages.

    `started` and `finished` are ISO 8601 with an offset (`finished` is None while it goes on), `evidence` maps a name
    to a path relative to the run directory, `selected` are the stages that were asked for, `reruns` is None unless the
    check that went wrong was run again. `kernel` is what `uname -r` says where the stages ran, `suite` a hash over what
    brought about and judged them (content.suite), `applied` whether roles were applied, or only judged what was there.
    Of a run by an earlier vexlab, `suite` is empty, `applied` false, `amounts` and `contract` None.
    """

    run: str
    verdict: Verdict
    target: str
    started: str
    finished: str | None
    suite_version: str
    module: Module | None
    guest: Guest | None
    stages: tuple[Stage, ...]
    evidence: dict[str, str]
    selected: tuple[str, ...]
    reruns: Reruns | None = None
    machine: Machine = Machine.VM
    device: Device | None = None
    kernel: str = ""
    suite: str = ""
    applied: bool = False
    amounts: Amounts | None = None
    contract: Contract | None = None


DIED = (Verdict.PANICKED, Verdict.HUNG, Verdict.LOST)
"""Verdicts after which a guest is of no further use."""


def known_failures(run: Run) -> list[tuple[Stage, Check]]:
    """The checks that failed as expected, with their stages; the first line of their message is the reason."""
    return [(stage, check) for stage in run.stages for check in stage.checks if check.verdict is Verdict.XFAILED]


def advice(run: Run) -> list[tuple[Stage, Check]]:
    """The checks that have advice to give, with their stages."""
    return [(stage, check) for stage in run.stages for check in stage.checks if check.advice]
