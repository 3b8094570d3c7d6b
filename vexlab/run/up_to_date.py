"""Whether a lab is still exactly what its last passed `up` left: then its verdicts stand, and nothing is run again.

What a lab remembers of that is gone before any other run begins, so that a run that fails, or is killed, ends it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from vexlab import __version__
from vexlab.config import source_tree, suite_hash, user_directories
from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Settings
from vexlab.errors import GuestProblem, VexlabError
from vexlab.guest.lab import Lab
from vexlab.results.model import Run, Verdict
from vexlab.results.results_file import read

ANSWER_SECONDS = 10.0  # a guest that doesn't answer so soon is looked at the long way
# What of a contract says where a lab is, and nothing of what is brought about and judged in it.
OF_ONE_LAB = (
    "vexlab_lab", "vexlab_lab_directory", "vexlab_runtime_directory", "vexlab_run_directory", "vexlab_ssh_port",
    "vexlab_boot_deadline", "vexlab_source", "vexlab_target_file", "vexlab_warm", "vexlab_vmcore",
    "vexlab_jobs",
)  # fmt: skip
# What `up` brings about, and what would show that somebody or something changed it. Objects, which nothing uses but the
# next build, by inode, size and times, since an emulated guest hashes slowly; so is the image, which is large. The
# inode of a module's directory in sysfs is another one each time the module is loaded. Each program takes 50 ms to
# start there, so there are few.
LOOK = """
set -e
cd {work}
cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/tainted /sys/module/{module}/refcnt
grep -wF -e {kind} -e {point} -e {share} /proc/self/mountinfo
parameters=/sys/module/{module}/parameters
[ -d "$parameters" ] || parameters=
find /sys/module/{module} $parameters /sys/module/{module}/notes/.note.gnu.build-id \
  {made} \
  -path /sys/module/{module} -prune -printf '%p %i\\n' -o \
  \\( -path device.img -o -name '*.[oa]' \\) -printf '%p %i %s %T@ %C@\\n' -o \
  -printf '%p %y %m %l\\n' -type f -perm /444 -exec b2sum {{}} +
"""


def forget(lab: Lab) -> str:
    """Drop what the lab remembers, because a run begins; returns it, for `put_back`."""
    try:
        memory = _record(lab).read_text()
    except FileNotFoundError:
        return ""
    _record(lab).unlink()
    return memory


def put_back(lab: Lab, memory: str) -> None:
    """Remember again what a passed run that only judged has not made untrue."""
    if memory:
        replace_file(_record(lab), memory)


def remember(lab: Lab, settings: Settings, run: Run, inputs: Inputs) -> bool:
    """Keep what a passed run of `up` was made from and left; False when the guest doesn't show it.

    `inputs` are from before the run: an edit made meanwhile must count as one.
    """
    if run.verdict is not Verdict.PASSED or not (guest := _guest_state(lab, settings)):
        return False
    replace_file(_record(lab), json.dumps({"run": run.run, "inputs": inputs.of_lab, "guest": guest}) + "\n")
    return True


def last_run(lab: Lab, settings: Settings, inputs: Inputs) -> Run | None:
    """The passed run whose verdicts still stand; None when anything differs, or can't be told."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, VexlabError):  # a removed run is no fault either
        known: dict[str, Any] = json.loads(_record(lab).read_text())
        if known["inputs"] == inputs.of_lab and known["guest"] == _guest_state(lab, settings):
            run = read(user_directories.runs_directory() / known["run"] / "results.json")
            return run if run.verdict is Verdict.PASSED else None
    return None


def run_of(lab: Lab) -> str:
    """Return the name of the run whose verdicts a lab remembers; empty when it remembers none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_record(lab).read_text())["run"])
    return ""


class Inputs(NamedTuple):
    """Hashes over all that decides what `up` does: in one lab, and in whatever lab of this machine."""

    of_lab: str
    anywhere: str


def inputs_of(settings: Settings) -> Inputs:
    """Return the hashes over the lab's contract, the source, and vexlab itself.

    Raises UsageProblem that names what in the source can't be read.
    """
    content = source_tree.fingerprint(Path(settings.source)) if settings.source else ""
    common = [__version__, suite_hash.suite(), content]
    shared = {name: value for name, value in settings.contract.items() if name not in OF_ONE_LAB}
    of_lab, anywhere = (
        hashlib.sha256(json.dumps([*common, part], sort_keys=True).encode()).hexdigest()
        for part in ([settings.contract, settings.source], shared)
    )
    return Inputs(of_lab, anywhere)


def _guest_state(lab: Lab, settings: Settings) -> str:
    """One hash over what the guest shows of what was brought about; empty when it can't be asked."""
    known = settings.contract
    words = {
        "kind": known["vexlab_filesystem_type"], "module": known["vexlab_module_name"],
        "work": known["vexlab_work_directory"], "point": known["vexlab_mount_point"],
        "share": known["vexlab_share_directory"],
    }  # fmt: skip
    made = ["device.img", "device.img.json"] if known["vexlab_device_kind"] == "block" else []
    made += ["build.json", "source", "build"] if known["vexlab_module_source"] == "build" else []
    script = LOOK.format(made=" ".join(made), **{name: shlex.quote(str(word)) for name, word in words.items()})
    try:
        done = subprocess.run(
            lab.ssh_command((script,)), capture_output=True, check=False, timeout=ANSWER_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (GuestProblem, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
        return ""
    return hashlib.sha256(f"{lab.record().get('uuid')}\n".encode() + done.stdout).hexdigest()


def _record(lab: Lab) -> Path:
    return lab.directory / "up_to_date.json"
