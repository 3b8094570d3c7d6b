"""What somebody does to a lab that passed: the next `up` must not take it for what it was."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import Site

MKFS = "/var/lib/vexlab/build/mkfs/mkfs.vexfs"
# In its place, with its size and its times.
REPLACE = f"""set -e
touch -r {MKFS} /times
size=$(stat -c %s {MKFS})
cat /bin/true >{MKFS}
truncate -s "$size" {MKFS}
touch -r /times {MKFS}
{MKFS} /nonexistent"""
LOADED_AGAIN = """set -e
umount /mnt/vexlab
rmmod vexfs
insmod /var/lib/vexlab/build/vexfs.ko
mount -t vexfs -o loop /var/lib/vexlab/device.img /mnt/vexlab"""
IMAGE = """set -e
umount /mnt/vexlab
touch -r /var/lib/vexlab/device.img /times
printf x | dd of=/var/lib/vexlab/device.img bs=1 seek=$(($(stat -c %s /var/lib/vexlab/device.img) - 1)) conv=notrunc
touch -r /times /var/lib/vexlab/device.img
mount -t vexfs -o loop /var/lib/vexlab/device.img /mnt/vexlab"""


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def then_up(script: str) -> Callable[[Site], Done]:
    """A script in the guest, and `vexlab up`: a run of its own, since the verdict is that of the last run."""

    def inject(site: Site) -> Done:
        site.ssh(script)
        return site.up()

    return inject


def judged_before(site: Site) -> Done:
    """`vexlab verify` finds the mkfs that makes nothing; then `vexlab up`."""
    site.ssh(REPLACE)
    judged = site.vexlab("verify", "--stage", "mkfs")
    assert judged.code == 1, f"mkfs replaced by true passes: {judged.stderr}"
    return site.up()


def failed_and_put_back(site: Site) -> Done:
    """As before, but all is as it was again when `up` looks: the verdict of verify was the last one all the same."""
    site.ssh(f"cp -a {MKFS} /mkfs.was; {REPLACE}")
    judged = site.vexlab("verify", "--stage", "mkfs")
    site.ssh(f"cp -a /mkfs.was {MKFS}; rm /mkfs.was")
    assert judged.code == 1, f"mkfs replaced by true passes: {judged.stderr}"
    return site.up()


def killed(site: Site) -> Done:
    """`vexlab verify` is killed while it judges; then `vexlab up`."""
    before = site.runs()
    process = site.start("verify", "--stage", "load")
    site.wait_for_stage(process, "load", before)
    site.end_with(process, signal.SIGKILL)
    return site.up()


FAULTS = (
    Fault(
        "mkfs is replaced by true, verify, up", "of the same size and times; verify fails, and up builds it again",
        judged_before, verdict="passed", exit_code=0, lab="up", says=("changed: build",), in_test=True,
    ),
    Fault(
        "mkfs is replaced by true, up", "of the same size and times; up builds it again", then_up(REPLACE),
        verdict="passed", exit_code=0, lab="up", says=("changed: build",),
    ),
    Fault(
        "verify failed, and all is as before", "mkfs is replaced by true for the time of a verify; up judges anew",
        failed_and_put_back, verdict="passed", exit_code=0, lab="up", says=("everything was as wanted",),
    ),
    Fault(
        "verify is killed", "SIGKILL to it while it judges; up judges anew", killed, verdict="passed", exit_code=0,
        lab="up", says=("everything was as wanted",),
    ),
    Fault(
        "module is loaded again by hand", "unmounted, unloaded, loaded, mounted; up judges anew", then_up(LOADED_AGAIN),
        verdict="passed", exit_code=0, lab="up", says=("everything was as wanted",),
    ),
    Fault(
        "image is changed while unmounted", "its last byte, times put back; up judges anew", then_up(IMAGE),
        verdict="passed", exit_code=0, lab="up", says=("everything was as wanted",),
    ),
)  # fmt: skip
