"""What blkid and wipefs may see on a device that was blank before mkfs: one format, by its name."""

from __future__ import annotations

import pytest

from vexlab.guest.testing.scratch import not_the_format
from vexlab.guest.testing.target import Target


@pytest.mark.parametrize(
    ("blkid_type", "seen", "wrong", "worth_knowing"),
    [
        ("", {"toy"}, "", ""),
        ("", {"toy", "minix"}, "", "blkid calls the format minix: without a type, mount takes it for that"),
        ("", {"toy", "minix", "ext4"}, "mkfs left the signatures of ext4 and minix", ""),
        ("minix", {"toy", "minix"}, "", ""),
        ("minix", {"toy"}, "blkid was to call the format minix (vexlab_blkid_type), and it calls it none that", ""),
        ("minix", {"toy", "ext4"}, "was to call the format minix (vexlab_blkid_type), and it calls it ext4", ""),
        ("minix", {"toy", "minix", "ext4"}, "mkfs left the signatures of minix and ext4", ""),
    ],
)
def test_signatures(blkid_type: str, seen: set[str], wrong: str, worth_knowing: str) -> None:
    target = Target({"vexlab_filesystem_type": "toy", "vexlab_blkid_type": blkid_type})
    for expected, told in zip((wrong, worth_knowing), not_the_format(target, seen), strict=True):
        assert expected in told
        assert bool(expected) == bool(told)
