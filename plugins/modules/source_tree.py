#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Checks a source tree and mirrors it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: source_tree
short_description: Check a source tree, and make a copy of it
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Checks that a source tree holds what a build needs and nothing that must not be in its root, and mirrors it with
    rsync. The source is only read.
  - What is in the destination and not in the source is B(deleted). Links are copied as links.
options:
  source:
    description: Directory of the source tree. May be a glob that matches one directory, such as C(/usr/src/toyfs-*).
    type: str
    required: true
  destination:
    description: Directory that becomes a copy of the source.
    type: str
    required: true
  required_paths:
    description: Paths below the source that must exist. A path that ends with a slash must be a directory.
    type: list
    elements: str
    default: []
  forbidden_in_root:
    description: Globs that nothing directly in the source directory may match.
    type: list
    elements: str
    default: []
  exclude:
    description: rsync patterns of what is not copied.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The tree is checked, and what would be copied is told. Nothing is copied.
notes:
  - Paths are taken as they are. Neither C(~) nor variables of the environment are replaced in them.
requirements: [rsync]
"""

EXAMPLES = r"""
- name: Check the tree and copy it
  vexfs.vexlab.source_tree:
    source: /mnt/vexfs_source
    destination: /var/lib/vexlab/source
    required_paths: [Kbuild, kernel/]
    exclude: [.git, "*.o"]
"""

RETURN = r"""
source:
  description: The directory that the pattern named.
  returned: success
  type: str
  sample: /mnt/vexfs_source
changes:
  description: The first 50 of rsync's lines, one for each path that differed.
  returned: success
  type: list
  elements: str
  sample: [">f+++++++++ kernel/super.c"]
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import printable

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
    command = ["rsync", "--archive", "--no-owner", "--no-group", "--checksum", "--delete", "--delete-excluded"]
    command += ["--no-devices", "--no-specials", "--info=nonreg", "--itemize-changes"]
    command += [f"--exclude={pattern}" for pattern in exclude]
    if check:
        command.append("--dry-run")
    else:
        destination.parent.mkdir(parents=True, exist_ok=True)
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


def apply(inputs: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Check the tree, then mirror it; `check` only tells what would be copied. Raises TreeError."""
    source = resolve(inputs["source"])
    found = problems(source, inputs["required_paths"], inputs["forbidden_in_root"])
    if found:
        raise TreeError(f"the tree {source} is not as the target says: {'; '.join(found)}")
    changes = mirror(source, Path(inputs["destination"]), inputs["exclude"], check)
    return {"source": printable(source), "changed": bool(changes), "changes": changes[:50]}


def main() -> None:
    """Check and mirror, or say what is wrong with the tree."""
    text = {"type": "str", "required": True}
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "source": text,
            "destination": text,
            "required_paths": texts,
            "forbidden_in_root": texts,
            "exclude": texts,
        },
        supports_check_mode=True,
    )
    try:
        answer = apply(module.params, check=module.check_mode)
    except (TreeError, OSError) as problem:
        module.fail_json(msg=printable(problem))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
