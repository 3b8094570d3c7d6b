"""The records of a run. A verdict starts as `not_run`; nothing but an executed check turns it into `passed`.

They are what `results.json` holds, and docs/results.schema.json is made from them. A field with a default may be
missing in what an earlier vexlab wrote; the default is what that means.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from vexlab.config.check_names import RENEWED


def about(text: str) -> Meta:
    """Return what the schema says of a field."""
    return Meta(description=text)


Seconds = Annotated[float, Meta(ge=0, lt=1e12)]


class Verdict(StrEnum):
    """What is known about a check, a stage or a run.

    panicked: oops, BUG or panic of the guest's kernel; hung: a deadline passed; lost: guest, connection or the process
    that runs the checks gone, without a kernel message; skipped: with a reason that the target declared; xfailed: of a
    check that failed as the target's list of known failures says.
    """

    PASSED = "passed"
    FAILED = "failed"
    PANICKED = "panicked"
    HUNG = "hung"
    LOST = "lost"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    NOT_RUN = "not_run"


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """One check."""

    name: str
    verdict: Verdict
    seconds: Seconds
    message: Annotated[
        str,
        about("Why it did not pass, else empty. Of xfailed: the reason in the list of known failures, then its words."),
    ] = ""
    advice: Annotated[str, about("What it found unusual or missing and that changes no verdict, else empty.")] = ""
    place: Annotated[str, about("FILE:LINE of the check, relative to the collection; empty when it isn't known.")] = ""
    promise: Annotated[str, about("What it is there for, as docs/checks.md has it; empty when that isn't known.")] = ""


class Stage(Struct, frozen=True, forbid_unknown_fields=True):
    """One stage of a run."""

    name: str
    verdict: Verdict = Verdict.NOT_RUN
    seconds: Annotated[Seconds, about("Role and checks together.")] = 0.0
    reason: Annotated[str, about("The first cause when the stage did not pass, else empty.")] = ""
    checks: tuple[Check, ...] = ()
    kernel_log: Annotated[
        str | None, about("Path of the kernel's messages during the stage, relative to the run directory.")
    ] = None
    taint: Annotated[int | None, about("The kernel's taint mask at its end; null when it could not be read.")] = None
    achieved: Annotated[
        bool | None,
        about(
            "Whether what the stage brings about is there, whatever its checks found (the module is built, say); null "
            "when it brings nothing about, or it can't be told."
        ),
    ] = None
    left_out: Annotated[int, about("How many of its checks were not chosen; they are not in `checks`.")] = 0
    details: Annotated[
        str, about("More lines of the first cause, such as the compiler's errors as it told them; empty without any.")
    ] = ""


class ModuleRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """Identity of the kernel module that was built; fields that the build could not tell are empty."""

    name: str
    sha256: Annotated[str, about("Of the module file that was built.")]
    srcversion: str
    variant: Annotated[str, about("c-only or full.")]
    build_id: str = ""


class SourceRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The source as it was when the run began, for telling runs apart; the module's own hash says what was tested."""

    tree: Annotated[str, about("sha256 over names, modes and contents of its files and links.")]
    commit: Annotated[str, about("Of git, that was checked out; empty when git tells none.")] = ""
    branch: Annotated[str, about("Of git; empty when none was checked out.")] = ""
    edited: Annotated[int, about("How many files differed from that commit, or were unknown to it.")] = 0


class GuestRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that the stages ran on."""

    kernel: Annotated[str, about("uname -r in the guest.")]
    accelerator: Annotated[str, about("kvm or tcg.")]
    qemu: Annotated[str, about("Version of QEMU.")]
    warm: Annotated[bool, about("Restored from a saved state instead of booted.")]
    memory_mb: int
    cpus: int
    ssh_port: Annotated[int, about("Port on 127.0.0.1 that reaches the guest's sshd.")]
    share: Annotated[str, about("Where the source is mounted in the guest, read-only; empty when none is.")]
    image: Annotated[str, about("Key of the disk image.")]


class Reruns(Struct, frozen=True, forbid_unknown_fields=True):
    """The first check that went wrong, run again."""

    check: Annotated[str, about("Its name: stage/check.")]
    of: Annotated[int, about("How often it was run to tell: again, and with --until-failure before it went wrong.")]
    failed: Annotated[int, about("How often it went wrong of these: each time is deterministic, else flaky.")]


class Machine(StrEnum):
    """What the stages ran on: a guest, or a host of the inventory group for test hardware."""

    VM = "vm"
    HARDWARE = "hardware"


class DeviceRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The block device that a run on test hardware used."""

    by_id: Annotated[str, about("Its path below /dev/disk/by-id.")]
    serial: str
    phase: Annotated[int, about("1, 2 or 3.")]


class Amounts(Struct, frozen=True, forbid_unknown_fields=True):
    """How much stage stress was asked to do."""

    quick: Annotated[bool, about("--quick: smaller files and shorter churn as well.")]
    load_cycles: int
    mount_cycles: int
    churn_operations: int
    seed: Annotated[int, about("0: another one each time.")]


class Contract(Struct, frozen=True, forbid_unknown_fields=True):
    """What a run demanded of its module."""

    claims: Annotated[tuple[str, ...], about("vexlab_capabilities of the target: a check of anything else is skipped.")]
    module_parameters: Annotated[str, about("Those that were tested, as are the mount options.")]
    mount_options_ro: str
    mount_options_rw: str
    cpus: Annotated[int, about("Asked for, of a guest; 0 on test hardware.")]
    memory_mb: Annotated[int, about("Asked for, of a guest; 0 on test hardware.")]
    device_size_mb: Annotated[int, about("Of the image that was formatted; a device under test has its own.")]
    known_failures: Annotated[tuple[str, ...], about("Checks that may fail, as stage/check.")]
    sha256: Annotated[str, about("Of contract.json in the run's directory, which has every variable.")]
    limits: Annotated[
        dict[str, int | str], about("vexlab_limits of the target: how far the checks went, and what they demanded.")
    ] = {}
    debug: Annotated[str, about("How hard the kernel looked for mistakes: none, or a kind of --debug.")] = "none"
    kernel_arguments: Annotated[str, about("Asked for of the guest's kernel, by the target and by --debug.")] = ""


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """One pass over stages: what results.json holds, and what `vexlab report --format json` prints."""

    run: Annotated[str, about("Name of the run, which is also the name of its directory.")]
    verdict: Annotated[Verdict, about("passed only when every selected stage passed.")]
    target: Annotated[str, about("vexlab_target_name of the target under test.")]
    started: Annotated[str, about("ISO 8601 with an offset, as is finished.")]
    finished: Annotated[str | None, about("null while the run goes on.")]
    suite_version: Annotated[str, about("Version of vexlab whose checks were used.")]
    module: Annotated[ModuleRecord | None, about("null when no module was built.")]
    guest: Annotated[GuestRecord | None, about("null when no guest was reached.")]
    stages: Annotated[tuple[Stage, ...], about("In the order in which they run.")]
    evidence: Annotated[
        dict[str, str], about("Name of a piece of evidence to its path, relative to the run directory.")
    ]
    selected: Annotated[tuple[str, ...], about("Names of the stages that were asked for.")]
    reruns: Annotated[Reruns | None, about("null when no check was run again.")] = None
    machine: Machine = Machine.VM
    device: Annotated[DeviceRecord | None, about("Of a run on test hardware; null otherwise.")] = None
    kernel: Annotated[str, about("uname -r where the stages ran; empty if nothing was reached.")] = ""
    suite: Annotated[str, about("sha256 over what brought about and judged them: vexlab, playbooks, checks …")] = ""
    applied: Annotated[bool, about("Roles were applied; false of `vexlab verify`, which judges what is there.")] = False
    amounts: Amounts | None = None
    contract: Contract | None = None
    chosen: Annotated[
        tuple[str, ...],
        about("Names by which checks were asked for; empty when every check of each selected stage was."),
    ] = ()
    source: Annotated[
        SourceRecord | None,
        about("null when nothing was built from a source on this machine, and in what an earlier vexlab wrote."),
    ] = None


HASH = 12
"""Characters of a hash that people read."""


def source_in_words(source: SourceRecord | None) -> str:
    """Which source it was, for a sentence; empty when that isn't known."""
    if source is None:
        return ""
    if not source.commit:
        return f"tree {source.tree[:HASH]}, no commit is known"
    branch = f" of branch {source.branch}" if source.branch else ""
    files = "1 file" if source.edited == 1 else f"{source.edited} files"
    edited = f", {files} edited: tree {source.tree[:HASH]}" if source.edited else ""
    return f"commit {source.commit[:HASH]}{branch}{edited}"


def kernel_in_words(run: Run) -> str:
    """Which kernel judged, with how hard it looked if that is more than machines' kernels do; empty without one."""
    kernel = run.kernel or (run.guest.kernel if run.guest else "")
    if not kernel or run.contract is None or run.contract.debug == "none":
        return kernel
    return f"{kernel} with --debug {run.contract.debug} ({run.contract.kernel_arguments})"


DIED = (Verdict.PANICKED, Verdict.HUNG, Verdict.LOST)
"""Verdicts after which a guest is of no further use."""
WRONG = (Verdict.FAILED, *DIED)
"""Verdicts by which something was seen to go wrong."""


def stages_lacking(run: Run) -> dict[str, str]:
    """The stages that the target of a run doesn't have, by its kind, each with the reason."""
    skipped = (stage for stage in run.stages if stage.verdict is Verdict.SKIPPED)
    return {stage.name: stage.reason for stage in skipped if stage.name not in run.selected}


def asked_for(run: Run) -> list[Stage]:
    """Return the stages that were asked for, and those that came to something all the same."""
    return [stage for stage in run.stages if stage.name in run.selected or stage.verdict is not Verdict.NOT_RUN]


def known_failures(run: Run) -> list[tuple[Stage, Check]]:
    """Return the checks that failed as expected, with their stages; the first line of a message is the reason."""
    return [(stage, check) for stage in run.stages for check in stage.checks if check.verdict is Verdict.XFAILED]


def advice(run: Run) -> list[tuple[Stage, Check]]:
    """Return the checks that have advice to give, with their stages; that one got a fresh filesystem is none."""
    found = []
    for stage in run.stages:
        for check in stage.checks:
            words = "; ".join(part for part in check.advice.split("; ") if not part.startswith(RENEWED))
            found += [(stage, replace(check, advice=words))] if words else []
    return found


def renewed(run: Run) -> int:
    """Return how many checks got a fresh filesystem, since the one before had failed on theirs, or left it unfit."""
    return sum(RENEWED in check.advice for stage in run.stages for check in stage.checks)


def left_out(run: Run) -> str:
    """Say how many checks of which stages a run was not to judge, for a sentence; empty when it was to judge all."""
    return ", ".join(f"{stage.left_out} checks of stage {stage.name}" for stage in run.stages if stage.left_out)
