#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-only
"""Directories that come from another machine as archives, each under the checksum of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: shipped
short_description: Unpack archives that another machine sent, each once
version_added: 0.1.0
author: vexlab developers (@vexlab)
description:
  - Tells which of some directories are missing, and unpacks those whose archive lies in O(incoming), if its checksum is
    that of O(items[].sha256). A directory appears under its name when it is whole, or not at all.
  - An archive is removed once it is unpacked. One with another checksum is removed, too, and the module fails.
  - A directory that is there is left as it is, since its name should be of its content. With O(items[].exact) it is
    replaced, unless it came from that very archive.
options:
  incoming:
    description: Directory that archives are sent to. It is made.
    type: path
    required: true
  items:
    description: What is to be there.
    type: list
    elements: dict
    required: true
    suboptions:
      archive:
        description: Where the archive is on the machine that sends it; here it has the last part of that as its name.
        type: str
        required: true
      sha256:
        description: Checksum of the archive.
        type: str
        required: true
      directory:
        description: Directory that holds what is in the archive.
        type: path
        required: true
      exact:
        description: Whether its name says nothing of its content.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
    description: It is told what is missing, and nothing is unpacked.
requirements: [tar, zstd]
"""

EXAMPLES = r"""
- name: See what is missing, and unpack what came
  vexfs.vexlab.shipped:
    incoming: ~/.cache/vexlab/incoming
    items:
      - archive: /var/cache/vexlab/headers-0123456789abcdef.tar.zst
        sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        directory: ~/.cache/vexlab/images/headers/0123456789abcdef
"""

RETURN = r"""
missing:
  description: The items of which there is neither the directory nor an archive.
  returned: success
  type: list
  elements: dict
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vexfs.vexlab.plugins.module_utils.printable import of_system, printable

MARK = ".shipped"  # in a directory whose name doesn't tell: the checksum of the archive that it came from


class ShippedError(Exception):
    """What is wrong with an archive, as a sentence."""


def sha256(path: Path) -> str:
    """The checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_there(directory: Path, checksum: str, *, exact: bool) -> bool:
    """Whether there is such a directory; `exact`: and it came from the archive of this checksum."""
    if not exact:
        return directory.is_dir()
    mark = directory / MARK
    return mark.is_file() and mark.read_text() == checksum


def unpack(archive: Path, checksum: str, directory: Path, *, exact: bool) -> None:
    """Unpack an archive of this checksum in the place of a directory, and remove it. Raises ShippedError."""
    if (found := sha256(archive)) != checksum:
        archive.unlink()
        raise ShippedError(f"{archive} came with checksum {found} instead of {checksum}; it was removed: send it again")
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".tmp", dir=directory.parent))
    try:
        made = work / "made"
        made.mkdir()
        command = ["tar", "--extract", f"--file={archive}", f"--directory={made}", "--no-same-owner"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            said = printable(done.stderr.decode(errors="backslashreplace").strip()[-400:])
            raise ShippedError(f"{archive} can't be unpacked to {directory}: {said}")
        if exact:
            (made / MARK).write_text(checksum)
        if directory.is_dir():
            directory.rename(work / "former")
        try:
            made.rename(directory)
        except OSError:
            if not directory.is_dir():  # else somebody else was quicker
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    archive.unlink()


def apply(inputs: dict[str, Any], *, check: bool) -> dict[str, Any]:
    """Unpack what came, and tell what is missing. Raises ShippedError."""
    incoming = Path(inputs["incoming"])
    missing, changed = [], False
    for item in inputs["items"]:
        directory, archive = Path(item["directory"]), incoming / os.path.basename(item["archive"])  # noqa: PTH119
        if is_there(directory, item["sha256"], exact=item["exact"]):
            continue
        if not archive.is_file():
            missing.append(item)
            continue
        changed = True
        if not check:
            unpack(archive, item["sha256"], directory, exact=item["exact"])
    if missing and not check:
        incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {"changed": changed, "missing": missing}


def main() -> None:
    """Unpack, or say what is wrong."""
    text = {"type": "str", "required": True}
    options = {
        "archive": text, "sha256": text, "directory": {"type": "path", "required": True},
        "exact": {"type": "bool", "default": False},
    }  # fmt: skip
    module = AnsibleModule(
        argument_spec={
            "incoming": {"type": "path", "required": True},
            "items": {"type": "list", "elements": "dict", "required": True, "options": options},
        },
        supports_check_mode=True,
    )
    try:
        answer = apply(module.params, check=module.check_mode)
    except ShippedError as problem:
        module.fail_json(msg=printable(problem))
    except OSError as problem:
        module.fail_json(msg=of_system(problem))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
