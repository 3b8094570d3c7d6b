"""The records of a matrix and its cells, which are what their files hold.

docs/matrix.schema.json is made from them: run as a program, this prints it.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from vexlab.config.records import decode
from vexlab.errors import VexlabError
from vexlab.results.model import ModuleRecord, Seconds, Verdict, about


class Tier(StrEnum):
    """How far a cell is taken: the module is built; loaded and unloaded in a guest; or all of `vexlab test` is run."""

    BUILD = "build"
    LOAD = "load"
    TEST = "test"


class Finding(Struct, frozen=True, forbid_unknown_fields=True):
    """What was found in a cell, whatever was expected of it."""

    verdict: Annotated[
        Verdict, about("Of the last tier that was reached; not_run when it could not be tried, or wasn't.")
    ] = Verdict.NOT_RUN
    tier: Annotated[
        Tier, about("The tier that the verdict is of: build, of what didn't build, whatever was asked.")
    ] = Tier.BUILD
    release: Annotated[str, about("The kernel that it was built for; empty when it isn't known.")] = ""
    compiler: Annotated[
        str, about("The compiler that the kernel's headers name; empty for that of the user space.")
    ] = ""
    seconds: Annotated[Seconds, about("From the start of the cell to its end; of a kept one, when it was run.")] = 0.0
    warnings: Annotated[int, about("Lines in which the compiler warned.")] = 0
    error: Annotated[str, about("The first error: the compiler's own line with the path in the user's tree.")] = ""
    details: Annotated[str, about("More lines of it, as the compiler told them; empty without any.")] = ""
    problem: Annotated[str, about("Why it could not be tried, which says nothing of the source; else empty.")] = ""
    hint: Annotated[str, about("What to do about that.")] = ""
    exit_code: Annotated[int, about("Of that problem: 2 what was asked for, 3 this machine, 4 the guest.")] = 0
    module: ModuleRecord | None = None
    run: Annotated[str, about("The run of the tiers load and test; empty when there was none.")] = ""


SCHEMA = 1
"""Version of the documents."""
RESULTS = "matrix.json"
"""Name of the file with the results, in the directory of a matrix."""


class CellRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One target, kernel and variant, what was expected of it, and what was found."""

    name: Annotated[str, about("Of the cell, and of the lab that it has for the tiers load and test.")]
    target: str
    target_file: Annotated[str, about("As it was given; empty for the bundled target.")]
    source: Annotated[str, about("Directory of the source; empty when it is in the user space.")]
    kernel: Annotated[str, about("As it was given to --kernel.")]
    variant: str
    command: Annotated[str, about("What runs this cell alone.")]
    expected: Annotated[
        str, about("What the target says of it: that it passes, or at which tier it fails, and why.")
    ] = ""
    as_expected: bool = False
    unexpected: Annotated[str, about("Why it isn't as expected, where the first error doesn't say it; else empty.")] = (
        ""
    )
    kept: Annotated[bool, about("Nothing had changed since the last time, so it was not run again.")] = False
    host: Annotated[str, about("The hypervisor that ran it; empty for this machine.")] = ""
    found: Finding = Finding()


class HostRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """A hypervisor that took cells of a matrix."""

    name: str
    cells: Annotated[int, about("How many cells came to a verdict there.")]
    lost: Annotated[str, about("Why it took no more of them; empty when nothing kept it from that.")] = ""


class MatrixRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """A matrix."""

    name: str
    tier: Tier
    vexlab: Annotated[str, about("Version of vexlab.")]
    started: Annotated[str, about("ISO 8601.")]
    finished: Annotated[str, about("ISO 8601; empty when it was interrupted.")]
    seconds: Seconds
    cpus: Annotated[int, about("Of this machine.")]
    as_expected: Annotated[bool, about("Every cell is.")]
    cells: tuple[CellRecord, ...]
    hosts: Annotated[tuple[HostRecord, ...], about("The hypervisors; empty when this machine did all.")] = ()


def encode(record: CellRecord | MatrixRecord) -> str:
    """Return a record as the text of its file."""
    document = msgspec.to_builtins(record)
    return json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False) + "\n"


def read(path: Path) -> MatrixRecord:
    """Read the results of a matrix; raises VexlabError, which says what is wrong with them."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise VexlabError(f"{path} can't be read: {error.strerror}") from error


def parse(text: str, where: str) -> MatrixRecord:
    """The results of a matrix from the text of their file; raises VexlabError as `read`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise VexlabError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise VexlabError(f"{where} holds no results of a matrix of version {SCHEMA}")
    try:
        return decode(MatrixRecord, document)
    except VexlabError as error:
        raise VexlabError(f"{where}: {error.message}", error.hint) from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of a matrix's document; that of a cell's is in it."""
    made = json.loads(json.dumps(msgspec.json.schema(MatrixRecord)))
    for record in made["$defs"].values():
        record["description"] = " ".join(record["description"].split())
    matrix = made["$defs"].pop("MatrixRecord")
    matrix["properties"] = {"schema": {"const": SCHEMA}, **matrix["properties"]}
    matrix["required"].insert(0, "schema")
    heading = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Results of vexlab matrix"}
    return {**matrix, **heading, "$defs": made["$defs"]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
