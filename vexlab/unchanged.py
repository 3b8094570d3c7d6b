"""Whether a lab is still exactly what its last passed `up` left: then its verdicts stand, and nothing is run again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vexlab import __version__, content
from vexlab.errors import GuestProblem, VexlabError
from vexlab.lab import Lab
from vexlab.results import Run, Verdict, read, replace_file
from vexlab.settings import Settings

ANSWER_SECONDS = 4.0  # a guest that doesn't answer so soon is looked at the long way
# What `up` brings about, and what would show that somebody or something changed it: the loaded module's identity and
# its users, the mounts of the filesystem, the records of build and mkfs, the kernel's taint.
LOOK = """
cat /proc/sys/kernel/tainted
grep -w {kind} /proc/mounts
od -An -v -tx1 /sys/module/{module}/notes/.note.gnu.build-id
cat /sys/module/{module}/refcnt
stat -c '%n %i %s %y' {work}/build/{file} {work}/device.img
cat {work}/build.json {work}/device.img.json
"""


def remember(lab: Lab, settings: Settings, run: Run, inputs: str) -> None:
    """Keep what a run of `up` was made from and left; of one that didn't pass nothing is kept.

    `inputs` is the fingerprint from before the run: an edit made meanwhile must count as one.
    """
    path = _record(lab)
    path.unlink(missing_ok=True)
    if run.verdict is Verdict.PASSED and (guest := _guest_state(lab, settings)):
        replace_file(path, json.dumps({"run": run.run, "inputs": inputs, "guest": guest}) + "\n")


def last_run(lab: Lab, settings: Settings, inputs: str) -> Run | None:
    """The passed run whose verdicts still stand; None when anything differs, or can't be told."""
    with contextlib.suppress(OSError, ValueError, KeyError, VexlabError):
        known: dict[str, Any] = json.loads(_record(lab).read_text())
        if known["inputs"] == inputs and known["guest"] == _guest_state(lab, settings):
            return read(content.runs_directory() / known["run"] / "results.json")
    return None


def inputs_of(settings: Settings) -> str:
    """One hash over all that decides what `up` does: the lab's contract, the source, and vexlab itself."""
    total = hashlib.sha256(f"{__version__}\n{json.dumps(settings.contract, sort_keys=True)}".encode())
    parts = [content.root() / name for name in ("playbooks", "plugins", "roles", "tests/guest")]
    for tree in [*parts, Path(settings.source)] if settings.source else parts:
        for path in _files(tree):
            status = path.lstat()
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            total.update(f"{path} {status.st_mode:o} {len(data)}\n".encode() + data)
    return total.hexdigest()


def _files(tree: Path) -> Iterator[Path]:
    """Files and links of a tree in a fixed order, without what neither git nor Python would call source."""
    for directory, names, files in os.walk(tree):
        names[:] = sorted(name for name in names if name not in (".git", "__pycache__"))
        links = [name for name in names if (Path(directory) / name).is_symlink()]
        yield from (Path(directory) / name for name in sorted([*files, *links]))


def _guest_state(lab: Lab, settings: Settings) -> str:
    """What the guest shows of what was brought about, as text to compare; empty when it can't be asked."""
    known = settings.contract
    words = {
        "kind": known["vexlab_filesystem_type"], "module": known["vexlab_module_name"],
        "work": known["vexlab_work_directory"], "file": known["vexlab_module_file"],
    }  # fmt: skip
    script = LOOK.format(**{name: shlex.quote(str(word)) for name, word in words.items()})
    try:
        done = subprocess.run(
            lab.ssh_command((f"set -e{script}",)), capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (GuestProblem, subprocess.TimeoutExpired):
        return ""
    return f"{lab.record().get('uuid')}\n{done.stdout}" if done.returncode == 0 else ""


def _record(lab: Lab) -> Path:
    return lab.directory / "unchanged.json"
