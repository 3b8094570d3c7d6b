"""What happens to the saved state that guests start from, in a cache of this file's own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


@pytest.fixture(scope="module", autouse=True)
def own_cache(site: Site) -> None:
    """The images of the cache and their states as a CI restores them: other inodes, other times, no holes."""
    site.vexlab("image", "build")
    assert site.up().code == 0  # so that there is a state to copy
    image = str(site.vexlab.record()["parameters"]["image"])
    own = site.home / "cache" / "vexlab" / "images"
    own.mkdir(parents=True)
    subprocess.run(["cp", "--archive", "--link", image, str(own)], check=True)
    used = Path(site.vexlab.record()["saved_state"])
    copy = own / Path(image).name / "warm"
    subprocess.run(["rm", "-r", str(copy)], check=True)
    copy.mkdir()
    subprocess.run(["cp", "-r", "--sparse=never", str(used), str(copy)], check=True)
    site.vexlab.environment["XDG_CACHE_HOME"] = str(site.home / "cache")


def state(site: Site) -> Path:
    """The directory of the state that the lab's guests come from; the cache has no other one."""
    [manifest] = (site.home / "cache").glob("vexlab/images/*/warm/*/manifest.json")
    return manifest.parent


def copied(site: Site) -> Done:
    """Start from the copy."""
    return site.up("--clean")


def damaged(site: Site) -> Done:
    """Turn over some bits of the memory, and set the times back."""
    memory = state(site) / "memory"
    before = memory.stat()
    with memory.open("r+b") as file:
        file.seek(16 << 20)
        bits = file.read(16)
        file.seek(16 << 20)
        file.write(bytes(byte ^ 0xFF for byte in bits))
    os.utime(memory, ns=(before.st_atime_ns, before.st_mtime_ns))
    return site.up("--clean")


def killed(site: Site) -> Done:
    """Kill QEMU while it starts from the state, which isn't the state's fault."""
    memory = state(site) / "memory"
    saved = memory.stat().st_ino
    process = site.start()
    os.kill(site.wait_for_guest(process), signal.SIGKILL)
    done = site.vexlab.finish(process)
    assert memory.stat().st_ino == saved
    return done


FAULTS = (
    Fault(
        "the cache is a copy", "the image's saved state copied without its holes, inodes and times", copied,
        verdict="passed", exit_code=0, says=("restored from a state saved by an earlier start",), next_up="",
    ),
    Fault(
        "a saved state is damaged", "bits turned over in a state's memory, its times set back", damaged,
        verdict="passed", exit_code=0, says=("restored from a state saved by this start",), next_up="",
    ),
    Fault(
        "QEMU is killed in a restore", "SIGKILL to QEMU while a guest starts from a saved state", killed,
        verdict="passed", exit_code=0, says=("the saved state is whole, and stays",),
    ),
)  # fmt: skip
