"""A full device: who is refused has changed nothing, and nothing is lost by it."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import full
from vexlab.guest.testing import promises
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target

pytestmark = pytest.mark.requires("read-write", "statfs", "directories")


def wrong_with(kind: str, seen: dict[str, Any]) -> str:
    """What is wrong with how a call was refused, in words; nothing for one that there was room for."""
    if "refused" not in seen:
        return ""
    what = f"{kind} on a full device, after {seen['done']} that were done, refused {full.REFUSALS} times more"
    # A file, or a directory, may have all the bytes or names that one may have, or a target of 300 bytes be too long.
    beyond = {"write": "EFBIG", "link": "EMLINK", "rename": "EMLINK", "mkdir": "EMLINK", "symlink": "ENAMETOOLONG"}
    if seen["refused"] not in (["ENOSPC"], [beyond.get(kind, "ENOSPC")]):
        return f"{what}: expected ENOSPC, came {' and '.join(seen['refused'])}"
    (bytes_lost, inodes_lost), (bytes_bound, inodes_bound) = seen["lost"], seen["bounds"]
    if inodes_lost >= inodes_bound or bytes_lost >= bytes_bound:
        return f"{what}: {inodes_lost} inodes and {bytes_lost} bytes fewer are free"
    return f"{what}: what {seen['there']} of these should have made is there" if seen["there"] else ""


def test_refused_calls_take_nothing(target: Target, part: Scratch) -> None:
    """ENOSPC leaves room, inodes, names and link counts as they were (write(2), mkdir(2), link(2), statfs(2))."""
    seen = part.call(full.look, target.capabilities, seconds=300 + 2 * target.room_returns_seconds)
    wrong = [wrong_with(kind, seen[kind]) for kind in full.NEEDS if kind in seen]
    wrong += [f"a file that was appended to on a full device, {when}: {found}"
              for when, found in zip(("at once", "after a remount"), seen["appended"], strict=True)
              if found != "right"]  # fmt: skip
    links, names = seen["links of the source"]
    if links not in (names, 1):
        wrong.append(f"a file has {names} names, and its link count is {links}")
    if seen.get("store", "done") not in ("done", "SIGBUS", "ENOSPC"):
        wrong.append(f"stores into a hole on a full device: {seen['store']}")
    for when in ("left", "left after a remount"):
        (room, inodes), (room_bound, inodes_bound) = seen[when], seen["bounds"]
        if room >= room_bound or inodes >= inodes_bound:
            wrong.append(f"all is removed: {room} bytes and {inodes} inodes fewer are free{when.removeprefix('left')}")
    assert not any(wrong), "; ".join(filter(None, wrong))


def test_last_inode_is_not_taken_twice(target: Target, part: Scratch) -> None:
    """ENOSPC without an inode for another file, of which no more are counted than there are (open(2), statfs(2))."""
    if not target.lacks("device"):
        part.device = part.call(full.make_small, part.size, target.in_build(target.mkfs_command, {"LABEL": "vexlab"}))
    seen = part.call(full.without_inodes, target.capabilities, seconds=150 + target.room_returns_seconds)
    if not seen:
        pytest.skip(
            f"this filesystem doesn't count inodes, or has more free ones than {full.MOST_INODES} or than its "
            "directories have entries for"
        )
    refused = {"the first": seen["first"], **seen["others"]}
    wrong = {kind: came for kind, came in refused.items() if came != "ENOSPC"}
    assert not wrong, f"without a free inode, expected ENOSPC, came {promises.shown(wrong)}"
    assert 0 <= seen["full"] <= 16, f"without an inode for another file, statfs tells of {seen['full']} free ones"
    (bytes_lost, inodes_lost), (bytes_bound, inodes_bound) = seen["lost"], seen["bounds"]
    assert bytes_lost < bytes_bound, f"{bytes_lost} bytes fewer are free after calls that were refused an inode"
    assert inodes_lost < inodes_bound, f"{inodes_lost} inodes fewer are free after calls that were refused"
    before, left = seen["left"]
    assert abs(before - left) <= 4, f"all is removed: {before} inodes were free, and {left} are after a remount"
