"""Records the events of real runs, each with another end, for tests/unit/test_event_streams.py.

Run as a program, from the checkout: python -m tests.faults.record_streams [NAME…]. It takes a guest and some minutes.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.e2e.harness import ROOT, VEXFS, Vexlab, edit, wait_until
from tests.faults.fault_site import Site
from tests.faults.test_verdicts import AGENT, PANIC, armed, during, in_guest
from tests.mutants import catalogue

STREAMS = ROOT / "tests" / "unit" / "streams"
# What of the checkout vexlab runs with, for a run with another deadline.
TREE = ("vexlab", "playbooks", "plugins", "roles", "inventory", "tests/stages", "examples", "meta", ".collections")
FILES = ("ansible.cfg", "galaxy.yml", "tests/__init__.py")
SHORT_DEADLINE = 45
INIT = "static int __init vexfs_init(void)\n{\n"
NO_SSH = "systemctl stop ssh.socket ssh.service; pkill -9 sshd"


def entry(site: Site) -> Path:
    """The file of the bundled filesystem with its init function."""
    return site.source / "kernel" / "vexfs_module_entry.c"


def broken(line: str) -> Callable[[Site], None]:
    """`vexlab up` with a line at the beginning of the module's init function."""

    def record(site: Site) -> None:
        edit(entry(site), f"{INIT}\tint err;\n", f"{INIT}\tint err;\n\n\t{line}\n")
        site.up()

    return record


def past_its_deadline(site: Site) -> None:
    """`vexlab up` with an init function that doesn't return, and a deadline that is soon over."""
    copy = site.home / "checkout"
    for name in TREE:
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    stages = copy / "playbooks" / "vars" / "stages.yml"
    text = stages.read_text()
    for line in text.splitlines():
        if "name: load" in line:
            text = text.replace(line, line.replace("deadline: 300", f"deadline: {SHORT_DEADLINE}"))
    stages.write_text(text)
    edit(entry(site), f"{INIT}\tint err;\n", f"{INIT}\tint err;\n\n\tfor (;;)\n\t\tmsleep(100);\n")
    edit(entry(site), "#include <linux/module.h>\n", "#include <linux/module.h>\n#include <linux/delay.h>\n")
    site.vexlab(*site.words(), PYTHONPATH=str(copy))


def interrupted_twice(site: Site) -> None:
    """Two signals while the checks of stage mount run."""
    site.up()
    before = site.runs()
    process = site.start("verify", "--stage", "mount")
    wait_until(lambda: any(site.checks(run, "mount") for run in site.runs() - before), process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # another number: two of one number that come at once are one
    site.vexlab.finish(process, patience=180)


def panic_in_a_check(site: Site) -> None:
    """sysrq-c while the checks of stage mount run."""
    site.up()
    with armed(site, PANIC) as go:
        during(lambda _: go())(site)


def connection_lost(site: Site) -> None:
    """sshd and all its sessions end while the module is built in the guest."""
    site.vexlab("destroy")
    before = site.runs()
    process = site.start(*site.words("test"), "--stage", "build", "--builder", "guest")
    site.wait_for_guest(process, "ready")
    with armed(site, NO_SSH) as go:
        site.wait_for_log(process, "TASK [Begin stage build]", before)
        go()
        site.vexlab.finish(process, patience=300)


RECORDED: dict[str, Callable[[Site], object]] = {
    "passed": lambda site: site.up(),
    "failed-role": broken("no such function;"),
    "interrupted-twice": interrupted_twice,
    "checks-killed": lambda site: (site.up(), in_guest(AGENT)(site)),
    "panic-in-a-check": panic_in_a_check,
    "panic-in-a-role": broken('panic("vexfs: recorded");'),
    "deadline": past_its_deadline,
    "connection-lost": connection_lost,
}


def main(names: list[str]) -> None:
    """Record these streams, or all."""
    home = Path(tempfile.mkdtemp(prefix="vexlab-rec-"))
    vexlab, source = Vexlab(home), home / "source"
    named = {home: "HOME", vexlab.environment["XDG_CACHE_HOME"]: "CACHE", ROOT: "CHECKOUT", sys.prefix: "VENV"}
    shutil.copytree(VEXFS, source)
    try:
        for name in names or RECORDED:
            catalogue.refresh(source)  # in place, since the guest that is up shares it
            site = Site(vexlab, source)
            RECORDED[name](site)
            newest = max(site.runs())
            text = (newest / "events.jsonl").read_text(encoding="utf-8")
            for directory, word in named.items():
                text = text.replace(str(directory), word)
            STREAMS.mkdir(exist_ok=True)
            (STREAMS / f"{name}.jsonl").write_text(text, encoding="utf-8")
    finally:
        vexlab.end()
        shutil.rmtree(home)


if __name__ == "__main__":
    main(sys.argv[1:])
