"""What the Common Test Report Format demands of a report, as a JSON schema: of the fields that vexlab writes.

From the specification 0.0 (https://ctrf.io/docs/specification), as the npm package `ctrf` 0.3.0 ships its schema. Each
object there takes the fields that it names and no others; so here one that isn't listed is refused as well.
"""

from __future__ import annotations

from typing import Any

TEXT, NUMBER, ANYTHING = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "object"}
VERSION = {"type": "string", "pattern": "^[0-9]+[.][0-9]+[.][0-9]+$"}
STATUS = {"enum": ["passed", "failed", "skipped", "pending", "other"]}


def record(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these fields, of which the first must be there."""
    return {
        "type": "object", "properties": required | optional, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


ATTACHMENT = record({"name": TEXT, "contentType": TEXT, "path": TEXT}, extra=ANYTHING)
TEST = record(
    {"name": TEXT, "status": STATUS, "duration": NUMBER},
    id=TEXT, testId=TEXT, executionId=TEXT, start=NUMBER, stop=NUMBER, suite={"type": "array", "items": TEXT},
    message=TEXT, trace=TEXT, line=NUMBER, rawStatus=TEXT, tags={"type": "array", "items": TEXT}, type=TEXT,
    filePath=TEXT, retries=NUMBER, flaky={"type": "boolean"}, stdout={"type": "array", "items": TEXT},
    labels=ANYTHING, attachments={"type": "array", "items": ATTACHMENT}, parameters=ANYTHING, extra=ANYTHING,
)  # fmt: skip
COUNTS = ("tests", "passed", "failed", "skipped", "pending", "other", "start", "stop")
SUMMARY = record(dict.fromkeys(COUNTS, NUMBER), flaky=NUMBER, suites=NUMBER, duration=NUMBER, extra=ANYTHING)
NAMES = ("reportName", "appName", "appVersion", "buildName", "repositoryName", "repositoryUrl", "commit", "branchName",
         "osPlatform", "osRelease", "osVersion", "testEnvironment")  # fmt: skip
RESULTS = record(
    {"tool": record({"name": TEXT}, version=TEXT, extra=ANYTHING), "summary": SUMMARY,
     "tests": {"type": "array", "items": TEST}},
    environment=record({}, **dict.fromkeys(NAMES, TEXT), extra=ANYTHING), extra=ANYTHING,
)  # fmt: skip
SCHEMA = record(
    {"reportFormat": {"const": "CTRF"}, "specVersion": VERSION, "results": RESULTS},
    reportId=TEXT, runId=TEXT, timestamp=TEXT, generatedBy=TEXT, extra=ANYTHING,
)  # fmt: skip
