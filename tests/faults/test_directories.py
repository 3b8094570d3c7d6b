"""Each directory of vexlab's read-only, full, or not the user's to write; and the source, which it only reads.

Each command has mounts of its own, so nobody else meets them. What permissions keep from an ordinary user they keep
from root as well once the capabilities to pass them are dropped.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import NO_RUN, Site

MOUNTS = {
    "read-only": 'mount --bind "$PLACE" "$PLACE"; mount -o remount,bind,ro "$PLACE"',
    # What is in the place stays, behind a filesystem that has no room for more.
    "full": """
mount -t tmpfs -o size=64k tmpfs "$FULL"
mkdir "$FULL/upper" "$FULL/work"
mount -t overlay -o "lowerdir=$PLACE,upperdir=$FULL/upper,workdir=$FULL/work" overlay "$PLACE"
if cat /dev/zero >"$FULL/fill" 2>/dev/null; then exit 99; fi
""",
}
HOW = {
    "read-only": "a read-only mount over it",
    "full": "a filesystem without a free byte over it",
    "not writable": "mode 0500, without the capabilities by which root passes it",
}
BOUND = "-dac_override,-dac_read_search"
# What each must come to: verdict, exit code, what is said. The run's own directory is in the state directory.
PASSED = ("passed", 0, ())
WANTED = {
    "cache": ("not_run", 3, ("vexlab",)),
    "state": (NO_RUN, 3, ("state/vexlab",)),
    "runtime": PASSED,  # sockets, and temporary files, find another directory
    "temporary": PASSED,
    "source": PASSED,
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def directory(site: Site, place: str) -> Path:
    """Where a place is for this site's commands."""
    known = site.vexlab.environment
    return {
        "cache": Path(known["XDG_CACHE_HOME"]) / "vexlab",
        "state": site.home / "state" / "vexlab",
        "runtime": site.home / "r",
        "temporary": site.home / "t",
        "source": site.source,
    }[place]


def mounted(place: str, kind: str) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        full = site.home / "full"
        full.mkdir()
        names = f"PLACE={shlex.quote(str(directory(site, place)))} FULL={shlex.quote(str(full))}"
        try:
            return site.up_under("unshare", "--mount", "sh", "-euc", f'{names}\n{MOUNTS[kind]}\nexec "$@"', "sh")
        finally:
            full.rmdir()

    return inject


def not_writable(place: str) -> Callable[[Site], Done]:
    def inject(site: Site) -> Done:
        # Where the command makes something: to go through a directory nobody needs to write it.
        path = site.vexlab.runs if place == "state" else directory(site, place)
        mode = path.stat().st_mode
        path.chmod(0o500)
        try:
            return site.up_under("setpriv", f"--bounding-set={BOUND}", f"--inh-caps={BOUND}")
        finally:
            path.chmod(mode)

    return inject


def faults() -> Iterator[Fault]:
    """Each place in each way.

    The cache is everybody's, so its mode is left alone. Without its capabilities root can't start the sandbox that
    modules are built in, so permissions are tried only on what comes before the build.
    """
    for place, (verdict, code, says) in WANTED.items():
        for kind, how in HOW.items():
            if kind == "not writable" and place != "state":
                continue
            seen = NO_RUN if (place, kind) == ("cache", "full") else verdict  # room is looked for beforehand
            inject = not_writable(place) if kind == "not writable" else mounted(place, kind)
            # A guest that is up has what it needs of the runtime directory; the others matter all the same.
            lab: Literal["up", "down"] = "down" if place == "runtime" else "up"
            yield Fault(f"{place} directory is {kind}", how, inject, seen, code, lab=lab, says=says)


FAULTS = tuple(faults())
