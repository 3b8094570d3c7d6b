"""Builds the module of one cell, without a guest: the program that a matrix starts for each.

Run as: python -m vexlab.matrix.builder, with an order as JSON on standard input. What it is doing, and in the end what
it found, are lines of JSON on standard output. The directory of the cell keeps what was found and what was built; as
long as nothing changed that either comes from, nothing is built.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from ansible_collections.vexfs.vexlab.plugins.module_utils import build, sandbox
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import sandboxes
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.sandboxes import Sandbox
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable
from ansible_collections.vexfs.vexlab.plugins.module_utils.sandbox import SandboxError
from ansible_collections.vexfs.vexlab.plugins.module_utils.source_text import text_of
from msgspec import Struct

from vexlab.config import images, installation
from vexlab.config.atomic_file import replace_file
from vexlab.errors import HostProblem, UsageProblem
from vexlab.matrix.answering import Answer, is_held, kept, serve
from vexlab.matrix.worker import tell
from vexlab.results.matrix import Finding
from vexlab.results.model import ModuleRecord, Verdict
from vexlab.source import compiler_errors

FOUND = "found.json"  # in the directory of a cell: what was found last, and of what
WORK = "work"  # in the same: where it is built


class Order(Struct, frozen=True):
    """What is built: the contract, a hash over the source's content, the cell's directory, and the jobs of make."""

    contract: dict[str, Any]
    source: str
    directory: str
    jobs: int
    clean: bool = False


class Known(Struct, frozen=True):
    """What a cell keeps: what was found, and hashes over all that it was found of, and over the environment alone."""

    key: str
    environment: str
    sandbox: str
    found: Finding


def perform(order: Order) -> Answer:
    """Build, unless nothing changed; returns what was found. Raises VexlabError when it could not be tried."""
    directory = Path(order.directory)
    work = directory / WORK
    if is_held(work):
        tell("waits for another vexlab that builds the same")
    try:
        with sandbox.held(work):
            there = sandboxes.ensure(images.wanted(order.contract), order.contract["vexlab_packages"], tell)
            environment = _hash(
                there.identity, text_of(build), text_of(sandbox), Path(__file__).read_text(encoding="utf-8")
            )
            settings = {name: value for name, value in inputs_of(order.contract).items() if name != "tree"}
            key = _hash(environment, order.source, settings)
            before = known(directory)
            if before and before.key == key and not order.clean and _is_lasting(before.found):
                return Answer(before.found, kept=True, key=key)
            is_other = before is None or before.environment != environment
            (directory / FOUND).unlink(missing_ok=True)
            found = _build(order, there, work, clean=order.clean or is_other)
            record = Known(key, environment, there.root.parent.name, found)
            replace_file(directory / FOUND, msgspec.json.encode(record).decode() + "\n")
            return Answer(found, key=key)
    except ImageError as problem:
        kind = UsageProblem if problem.of_request else HostProblem
        raise kind(problem.message, problem.hint) from None
    except SandboxError as problem:
        if problem.of_host:
            raise HostProblem(printable(problem)) from None
        return Answer(Finding(Verdict.FAILED, error=printable(problem)))


def inputs_of(contract: dict[str, Any]) -> dict[str, Any]:
    """What the build is told by the contract, as role vexfs_build would tell it."""
    given = installation.inputs_of_role("vexfs_build", contract)
    found = {name: option.get("default") for name, option in {**build.OPTIONS, **sandbox.OPTIONS}.items()}
    for prefix in ("vexfs_build_", "vexfs_build_sandbox_"):
        found |= {name: given[f"{prefix}{name}"] for name in found if f"{prefix}{name}" in given}
    return found


def _build(order: Order, there: Sandbox, work: Path, *, clean: bool) -> Finding:
    tell(f"builds for {there.release}")
    began = time.monotonic()
    own = {"root": str(there.root), "work": str(work), "kernel_release": there.release, "jobs": order.jobs}
    inputs = inputs_of(order.contract) | own | {"clean": clean}
    answer = sandbox.run(inputs, text_of(build))
    seconds = round(time.monotonic() - began, 1)
    log = _text(work / f"{Path(inputs['record']).stem}.log") if answer.get("log_written") else ""
    warnings = len({line for line in log.splitlines() if ": warning: " in line})
    finding = functools.partial(
        Finding, release=there.release, compiler=there.compiler, seconds=seconds, warnings=warnings
    )  # fmt: skip
    if "error" in answer:
        source = Path(inputs["tree"]) if inputs["tree"] else None
        errors = compiler_errors.find(log, inputs["destination"], source)
        if errors:
            shown = compiler_errors.shown(errors, f"less {work / 'build.log'}")
            return finding(Verdict.FAILED, error=errors[0].headline, details=shown)
        said = printable(answer["error"]).splitlines()
        return finding(Verdict.FAILED, error=said[1] if len(said) > 1 else said[0], details="\n".join(said))
    made = answer["module"]
    module = ModuleRecord(
        made["name"], made["sha256"], made["srcversion"], str(order.contract["vexlab_variant"]), made["build_id"]
    )  # fmt: skip
    return finding(Verdict.PASSED, module=module)


def _is_lasting(found: Finding) -> bool:
    """Whether it comes of the source: the compiler said so, or said nothing. A machine may be slow another time."""
    return found.verdict is Verdict.PASSED or "error: " in found.error


def _hash(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def known(directory: Path) -> Known | None:
    """What the directory of a cell keeps; None when it keeps nothing, or what another vexlab wrote."""
    return kept(directory / FOUND, Known)


if __name__ == "__main__":
    sys.exit(serve(Order, perform))
