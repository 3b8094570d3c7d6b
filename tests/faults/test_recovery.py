"""`vexlab recover` when what went wrong is more than the filesystem; and what is not the lab's."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import NO_RUN, Site

OTHER = """cd /root
dd if=/var/lib/vexlab/device.img of=other.img bs=1M status=none
mkdir -p other
mount -t vexfs -o loop other.img other"""


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def without_source(site: Site) -> Done:
    """The source and the target file that the lab remembers are gone."""
    paths = (site.source, site.target)
    for path in paths:
        path.rename(f"{path}.away")
    try:
        return site.vexlab("recover")
    finally:
        for path in paths:
            path.with_name(f"{path.name}.away").rename(path)


def with_full_disk(site: Site) -> Done:
    """Not one block of the guest's disk is free."""
    site.ssh('cat /dev/zero 2>/dev/null >/root/zero || true; test "$(stat -f -c %a /)" = 0')
    done = site.vexlab("recover")
    assert "vexfs" not in site.ssh("cat /proc/modules")
    site.ssh("rm /root/zero")
    return done


def beside_another_mount(site: Site) -> Done:
    """Somebody else has mounted the same filesystem, in a place of their own; busy or not makes no difference."""
    site.ssh(OTHER)
    done = site.vexlab("recover", "--lazy")
    mounted = site.ssh("grep ' vexfs ' /proc/mounts | cut -d ' ' -f 2").split()
    site.ssh("umount /root/other; rm -r /root/other /root/other.img")
    assert mounted == ["/root/other"], mounted
    return done


def of_the_roots_type(site: Site) -> Done:
    """The type under test is that of the guest's root filesystem, as when ext4 is the control."""
    record = site.vexlab.labs / "default" / "recovery.json"
    former = record.read_text()
    document = json.loads(former)
    document["entries"] = [document["entries"][-1] | {"vexlab_module_name": "ext4", "vexlab_filesystem_type": "ext4"}]
    record.write_text(json.dumps(document))
    try:
        done = site.vexlab("recover", "--lazy")
    finally:
        record.write_text(former)
    assert site.ssh("findmnt -no FSTYPE /; touch /root/written && rm /root/written") == "ext4"
    return done


def without_its_record(site: Site) -> Done:
    """What the lab brought about was kept in a file that is damaged."""
    (site.vexlab.labs / "default" / "recovery.json").write_text("{")
    return site.vexlab("recover")


FAULTS = (
    Fault(
        "recovery, and the source and target file are gone", "both are moved away before `vexlab recover`",
        without_source, verdict=NO_RUN, exit_code=0, lab="up", says=("unmounted /mnt/vexlab", "nothing is left"),
    ),
    Fault(
        "recovery, and the guest's disk is full", "a file takes all of it before `vexlab recover`", with_full_disk,
        verdict=NO_RUN, exit_code=0, lab="up", says=("rmmod vexfs", "nothing is left; evidence: "),
    ),
    Fault(
        "recovery, and another mount of the type", "somebody mounts an image of theirs before `vexlab recover --lazy`",
        beside_another_mount, verdict=NO_RUN, exit_code=1, lab="up", in_test=True,
        says=("module vexfs is still there", "what is not the lab's is mounted with it, at /root/other"),
    ),
    Fault(
        "recovery of the root's type", "module and type are ext4 for `vexlab recover --lazy`", of_the_roots_type,
        verdict=NO_RUN, exit_code=1, lab="up",
        says=("module ext4 is still there", "what is not the lab's is mounted with it, at /"),
    ),
    Fault(
        "recovery, and its record is damaged", "recovery.json is cut short before `vexlab recover`",
        without_its_record, verdict=NO_RUN, exit_code=1, lab="up", says=("isn't known", "--module NAME --type TYPE"),
    ),
)  # fmt: skip
