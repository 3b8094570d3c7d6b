"""`results.json` and `checks.jsonl`: read strictly, written whole."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from vexlab.config.atomic_file import replace_file
from vexlab.config.records import decode
from vexlab.errors import VexlabError
from vexlab.results.causes import HARMLESS
from vexlab.results.judging import judge_run
from vexlab.results.model import Check, Run, Verdict

SCHEMA = 1
"""Version of the document that `to_document` makes; `from_document` reads this one only."""


def read_checks(path: Path) -> tuple[Check, ...]:
    """Read the finished checks of a stage, in order, from its `checks.jsonl`; none when the file isn't there.

    A last line without its end (pytest was killed while writing) is ignored; anything else that isn't a check is a
    VexlabError with the line's number.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise VexlabError(f"{path} can't be read: {error.strerror}") from error
    checks = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            checks.append(_check(json.loads(line.decode())))
        except ValueError as error:
            if number == len(lines):
                break
            raise VexlabError(f"{path}:{number} is not a check: {error}") from error
        except VexlabError as error:
            raise VexlabError(f"{path}:{number} is not a check: {error.message}") from error
    return tuple(checks)


def _check(value: object) -> Check:
    """Read a line of `checks.jsonl`, where only verdicts that the checks can give themselves are right."""
    check = decode(Check, value)
    if check.verdict is Verdict.PANICKED:  # a check that could say this would have died with its guest
        raise VexlabError(f"verdict is {check.verdict!r}, which no check can give itself")
    return check


def to_document(run: Run) -> dict[str, object]:
    """Return the run as the JSON document that docs/results.schema.json describes."""
    parts: dict[str, object] = json.loads(json.dumps(msgspec.to_builtins(run), allow_nan=False))
    return {"schema": SCHEMA, **parts}


def from_document(document: dict[str, object]) -> Run:
    """Return the run that a document describes; a VexlabError names the first field that is wrong.

    A document that claims more than its parts show (a passed run or stage without the passes) is refused.
    """
    if not isinstance(document, dict):
        raise VexlabError("the results are not a JSON object")
    version = document.get("schema")
    if type(version) is not int or version != SCHEMA:
        raise VexlabError(
            f"schema: these results are of version {version!r}, this vexlab reads version {SCHEMA}",
            "Read them with the vexlab that wrote them, or run the stages again.",
        )
    run = decode(Run, {name: value for name, value in document.items() if name != "schema"})
    if "kernel" not in document and run.guest is not None:  # an earlier vexlab wrote it down there alone
        run = msgspec.structs.replace(run, kernel=run.guest.kernel)
    _refuse_unfounded(run)
    return run


def _refuse_unfounded(run: Run) -> None:
    for index, stage in enumerate(run.stages):
        where = f"stages[{index}].verdict"
        verdicts = {check.verdict for check in stage.checks}
        if stage.verdict is Verdict.PASSED and (Verdict.PASSED not in verdicts or verdicts - set(HARMLESS)):
            raise VexlabError(f"{where}: says passed, which the checks of {stage.name} do not bear out")
    if run.verdict is Verdict.PASSED and judge_run(run.stages, run.selected) is not Verdict.PASSED:
        raise VexlabError("verdict: says passed, which the stages do not bear out")


def encode(run: Run) -> str:
    """Return the document as text: what `results.json` holds and `--json` prints."""
    return as_text(to_document(run))


def as_text(document: dict[str, object]) -> str:
    """Return a document as text."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(path: Path, run: Run) -> None:
    """Write `results.json`: a reader sees the old document or the new one, never a part, and a crash can't undo it."""
    replace_file(path, encode(run))


def read(path: Path) -> Run:
    """Read `results.json`; a VexlabError names the file and what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VexlabError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # the latter for what is nested too deep to be results
        raise VexlabError(f"{path} is not JSON: {error}") from error
    try:
        return from_document(document)
    except VexlabError as error:
        raise VexlabError(f"{path}: {error.message}", error.hint, error.exit_code) from error
