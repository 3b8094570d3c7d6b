"""The JSON schema of results.json, made from the records. Run as a program it prints docs/results.schema.json."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from vexlab.results.model import Run
from vexlab.results.results_file import SCHEMA

_UNCHANGED_SINCE = (
    "Only in what `vexlab up --json` prints when nothing was run: nothing has changed since then, when the run that is "
    "named here gave these verdicts."
)


def document() -> dict[str, Any]:
    """Return the schema of a document, which has two fields beside those of the record."""
    made = json.loads(json.dumps(msgspec.json.schema(Run)))
    for record in made["$defs"].values():
        record["description"] = " ".join(record["description"].split())
    run = made["$defs"].pop("Run")
    run["properties"] = {
        "schema": {"const": SCHEMA},
        **run["properties"],
        "unchanged_since": {"type": "string", "description": _UNCHANGED_SINCE},
    }
    run["required"].insert(0, "schema")
    heading = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Results of a vexlab run"}
    return {**run, **heading, "$defs": made["$defs"]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
