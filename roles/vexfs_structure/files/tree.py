#!/usr/bin/env python3
"""Check a source tree and mirror it; standard library only.

Usage: tree.py JSON

JSON: {"source", "destination", "required_paths", "forbidden_in_root", "exclude", "check"}; the meanings are those of
role vexfs_structure. The last line on stdout is a JSON object: {"source", "changed", "files"} or {"error"}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SKIPPED = "skipping non-regular file "  # what rsync says of a FIFO, a socket, a device
NAMED = 5


class TreeError(Exception):
    """What is wrong with the tree, as a sentence."""


def resolve(pattern: str) -> Path:
    """The one directory that the pattern names."""
    # A path that exists is taken literally, so that brackets in a name aren't read as a pattern.
    literal = Path(pattern)
    found = [literal] if literal.is_dir() else sorted(Path("/").glob(pattern.lstrip("/")))
    found = [path for path in found if path.is_dir()]
    if len(found) != 1:
        what = f"matches {len(found)} directories: {', '.join(map(str, found))}" if found else "is not a directory"
        raise TreeError(f"the source {pattern} {what}")
    if next(found[0].iterdir(), None) is None:
        raise TreeError(f"the source directory {found[0]} is empty")
    return found[0]


def problems(source: Path, required: list[str], forbidden: list[str]) -> list[str]:
    """What the tree lacks and what it must not have, as sentences."""
    lacking = [f"{path} is missing" for path in required if not (source / path).exists()]
    wrong = [
        f"{path} is not a directory"
        for path in required
        if path.endswith("/") and (source / path).exists() and not (source / path).is_dir()
    ]
    extra = [
        f"{path.name} must not be in the root of the tree (it matches {pattern})"
        for pattern in forbidden
        for path in sorted(source.glob(pattern))
    ]
    return lacking + wrong + extra


def mirror(source: Path, destination: Path, exclude: list[str], check: bool) -> list[str]:
    """Make the destination a copy of the source; returns rsync's line for each path that differed.

    Contents are compared, not times: an edit that keeps size and second would be lost otherwise. Raises TreeError that
    names what is neither a file nor a link nor a directory: rsync copies none of that, and says so.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    command = ["rsync", "--archive", "--no-owner", "--no-group", "--checksum", "--delete", "--delete-excluded"]
    command += ["--no-devices", "--no-specials", "--info=nonreg", "--itemize-changes"]
    command += [f"--exclude={pattern}" for pattern in exclude]
    if check:
        command.append("--dry-run")
    try:
        done = subprocess.run(
            [*command, f"{source}/", f"{destination}/"], capture_output=True, text=True, errors="backslashreplace",
            check=False, env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise TreeError("rsync is not installed; apt-get install rsync") from None
    if done.returncode:
        raise TreeError(f"copying {source} to {destination} failed: {done.stderr.strip()}")
    lines = done.stdout.splitlines()  # rsync escapes what would end a line in a name
    if others := [line.removeprefix(SKIPPED) for line in lines if line.startswith(SKIPPED)]:
        what = f"neither a file, a link nor a directory: {', '.join(others[:NAMED])}"
        raise TreeError(f"{source} holds what is {what}; move it away, or leave it out with vexfs_structure_exclude")
    # A line that starts with a dot is a directory whose time alone differs.
    return [line for line in lines if line and not line.startswith(".")]


def apply(inputs: dict[str, Any]) -> dict[str, Any]:
    """Check, then mirror."""
    source = resolve(inputs["source"])
    found = problems(source, inputs["required_paths"], inputs["forbidden_in_root"])
    if found:
        raise TreeError(f"the tree {source} is not as the target says: {'; '.join(found)}")
    changes = mirror(source, Path(inputs["destination"]), inputs["exclude"], inputs["check"])
    return {"source": str(source), "changed": bool(changes), "changes": changes[:50]}


if __name__ == "__main__":
    try:
        print(json.dumps(apply(json.loads(sys.argv[1]))))
    except (TreeError, OSError) as problem:
        said = os.fsencode(str(problem)).decode(errors="backslashreplace")  # of a name that isn't UTF-8, too
        print(json.dumps({"error": said}))
        sys.exit(1)
