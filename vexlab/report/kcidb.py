"""Renders a run as KernelCI's database takes it (KCIDB), checked offline with kcidb-io, which has its schema."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import ValidationError
from kcidb_io.schema import LATEST

from vexlab.errors import UsageProblem, VexlabError
from vexlab.report import cases
from vexlab.report.cases import Case
from vexlab.report.text import _clean
from vexlab.results.model import Run, Stage, Verdict

EXCERPT = 16_384
"""Characters of a log that the schema allows."""

# What the schema means by each: a known failure is one, and what to make of it is for KernelCI's issues to say.
_STATUS = {
    Verdict.PASSED: "PASS",
    Verdict.FAILED: "FAIL",
    Verdict.PANICKED: "FAIL",
    Verdict.HUNG: "FAIL",
    Verdict.LOST: "ERROR",
    Verdict.SKIPPED: "SKIP",
    Verdict.XFAILED: "FAIL",
    Verdict.NOT_RUN: "MISS",
}
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64", "s390x": "s390x"}
"""KernelCI's names, by Debian's, with which the release of a kernel ends."""


@dataclass(frozen=True)
class _Sender:
    """Who sends a document: the origin, what all of it is called, where the logs are here and where published."""

    origin: str
    identity: str
    directory: Path
    base_url: str

    def url(self, path: Path) -> str:
        """Where a file of the run's directory is published."""
        return f"{self.base_url.rstrip('/')}/{path.relative_to(self.directory)}"


def render(run: Run, directory: Path, origin: str, base_url: str) -> str:
    """Return a run as a KCIDB document of the newest version that kcidb-io knows.

    `origin` is the name that KernelCI knows the sender by, `base_url` where the run's directory is published, which
    logs are then linked to; empty if it isn't. Raises UsageProblem for an origin that can't be one.
    """
    if not re.fullmatch(LATEST.origin_pattern, origin):
        raise UsageProblem(f"{origin!r} is no origin", "it holds lower case letters, digits and _ alone")
    # Names of runs are those of one machine alone.
    facts = (run.run, run.started, run.finished, run.module, run.guest, run.contract)
    identity = f"{origin}:{_clean(run.run)}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"
    sender = _Sender(origin, identity, directory, base_url)
    document = {
        "version": {"major": LATEST.major, "minor": LATEST.minor},
        "checkouts": [_checkout(run, sender)],
        "builds": [_build(run, sender)],
        "tests": [_test(case, suite, sender) for suite, found in cases.of_run(run) for case in found],
    }
    try:
        LATEST.validate(document)
    except ValidationError as wrong:
        where = "/".join(str(step) for step in wrong.absolute_path)
        raise VexlabError(
            f"the document would not be right by KCIDB's schema: {where}: {wrong.message[:300]}"
        ) from wrong
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _checkout(run: Run, sender: _Sender) -> dict[str, Any]:
    made: dict[str, Any] = {"id": sender.identity, "origin": sender.origin, "valid": True}
    made["comment"] = f"{_clean(run.target)}, vexlab"
    if cases.milliseconds(run.started) is not None:
        made["start_time"] = run.started
    if run.module is not None:
        made["misc"] = {"vexlab": {"srcversion": run.module.srcversion}}
    return made


def _build(run: Run, sender: _Sender) -> dict[str, Any]:
    """Return the build of the module; of one that came with the kernel, or was built before, nothing but that it is."""
    stage = next((stage for stage in run.stages if stage.name == "build"), Stage("build"))
    made: dict[str, Any] = {"id": sender.identity, "checkout_id": sender.identity, "origin": sender.origin}
    if stage.verdict is not Verdict.NOT_RUN:
        made |= {"status": _STATUS[stage.verdict], "duration": stage.seconds}
    if (architecture := _ARCHITECTURES.get(run.kernel.rpartition("-")[2])) is not None:
        made["architecture"] = architecture
    if run.module is not None:
        module = run.module
        made["config_name"] = _clean(module.variant)
        made["misc"] = {"vexlab": {"module": module.name, "sha256": module.sha256, "build_id": module.build_id}}
    log = sender.directory / "build.log"
    if log.is_file():
        made["log_excerpt"] = cases.last_lines(log, EXCERPT)
        made |= {"log_url": sender.url(log)} if sender.base_url else {}
    return made


def _test(case: Case, suite: str, sender: _Sender) -> dict[str, Any]:
    verdict, check = case.check.verdict, _clean(f"{suite}/{case.check.name}")
    facts = {"check": check, "verdict": str(verdict), "promise": _clean(case.check.promise)}
    made: dict[str, Any] = {
        "id": f"{sender.identity}:{check}",
        "build_id": sender.identity,
        "origin": sender.origin,
        "path": _path(f"vexlab.{suite}.{case.check.name}"),
        "comment": check,
        "status": _STATUS[verdict],
        "duration": case.check.seconds,
        "misc": {"vexlab": {name: value for name, value in facts.items() if value}},
    }
    evidence = case.evidence(sender.directory)
    if case.outcome is not cases.Outcome.PASSED and (text := _excerpt(case, evidence)):
        made["log_excerpt"] = text
    if sender.base_url and evidence:
        first, *others = evidence.values()
        made["log_url"] = sender.url(first)
        made["output_files"] = [{"name": path.name, "url": sender.url(path)} for path in others]
    return made


def _excerpt(case: Case, evidence: dict[str, Path]) -> str:
    """Return what is told of a case, and as much of its most telling log as there is room for."""
    told = cases.shortened(case.text, EXCERPT // 2)
    for title, path in evidence.items():
        head = f"\n\n{title}:\n"
        return told + head + cases.last_lines(path, EXCERPT - len(told) - len(head))
    return told


def _path(name: str) -> str:
    """Return a name as a path in KernelCI's tree of tests, which knows letters, digits, - and _ alone."""
    parts = (re.sub(r"[^A-Za-z0-9_-]+", "_", part).strip("_") for part in name.split("."))
    return ".".join(part for part in parts if part)
