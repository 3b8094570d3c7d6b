"""What a device carries that is no filesystem: partition tables, RAID, volume managers, encryption."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from vexlab.guest.inside import signatures
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

# What mkfs must not leave: the second is apart, since it takes the place of the first's parts.
TOGETHER = {
    "all but a GPT": [kind for kind in signatures.CARRIED if kind != "GPT"],
    "a GPT": ["GPT"],
}
AT_THE_END = {"linux_raid_member", "gpt"}  # where a filesystem itself may have nothing


@pytest.fixture(scope="module")
def blank(guest: Guest, target: Target) -> Iterator[Scratch]:
    """An image on a loop device, without a filesystem."""
    resource = Scratch(guest, target)
    try:
        yield resource
    finally:
        resource.remove()


@pytest.mark.requires("mkfs-refuses-signature")
@pytest.mark.parametrize("kind", signatures.CARRIED)
def test_device_that_somebody_uses(blank: Scratch, kind: str) -> None:
    """A used device is refused, unless forced, without a changed byte: data is lost with its header (wipefs(8))."""
    blank.create_blank()
    blank.call(signatures.carry, kind)
    blank.mkfs_is_refused()


@pytest.mark.needs("device")
@pytest.mark.parametrize("carried", TOGETHER)
def test_signatures_are_gone_after_mkfs(blank: Scratch, advise: Callable[[str], None], carried: str) -> None:
    """A device that two kinds of user recognize is taken by the wrong one (blkid(8), mdadm(8), wipefs(8))."""
    blank.create()
    own = blank.signatures()
    blank.create_blank()
    for kind in TOGETHER[carried]:
        blank.call(signatures.carry, kind)
    blank.format_again()
    left = blank.signatures() - own
    assert left <= AT_THE_END, f"after mkfs over {carried}, blkid still sees {', '.join(sorted(left))}"
    if left:
        advise(f"mkfs leaves {' and '.join(sorted(left))} at the end of the device, where blkid sees it")
