"""The source is in the guest, whole, unwritable, and copied to where it is built."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import source_tree
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed


@pytest.fixture(scope="module")
def seen(guest: Guest, target: Target) -> dict[str, Any]:
    """What was found."""
    rules = (target.required_paths, target.forbidden_in_root, target.exclude)
    return guest.call(source_tree.look, target.source_directory, target.source_copy, *rules, seconds=120)


@pytest.fixture(scope="module")
def share(guest: Guest, target: Target) -> dict[str, Any]:
    """What is mounted as the share, and what came of the attempts to write there."""
    if not target.source:
        pytest.skip("the source of this target is in the image; nothing is shared")
    if target.hardware:
        pytest.skip("the source was copied to this machine; nothing is shared")
    return guest.call(source_tree.try_to_write, target.share_directory)


def test_share_is_read_only(share: dict[str, Any]) -> None:
    """The user's tree must not be writable from a guest that runs untested kernel code, root or not."""
    mounted = " and ".join(f"{kind} {mode}" for kind, mode in share["mounts"])
    assert ["9p", "ro"] in share["mounts"], f"the source is shared as {mounted}, expected 9p ro"
    assert share["tries"][0] == "EROFS", f"a file made in the share: {share['tries'][0]}, expected EROFS"


def test_share_stays_read_only_when_remounted(share: dict[str, Any]) -> None:
    """A read-only mount is the guest's own promise; QEMU must keep it when the guest takes the promise back."""
    assert share["tries"][1] != "done", "the share was written to from the guest"


def test_required_paths_are_there(target: Target, seen: dict[str, Any]) -> None:
    """The build needs them; a missing one would show as a puzzling error of make."""
    if not target.required_paths:
        pytest.skip("the target names no required paths")
    assert not seen["missing"], f"missing from the tree: {listed(seen['missing'])}"


def test_root_holds_nothing_forbidden(target: Target, seen: dict[str, Any]) -> None:
    """An untested mkfs in the root of a tree is what crashed a developer's machine."""
    if not target.forbidden_in_root:
        pytest.skip("the target forbids nothing in its root")
    assert not seen["forbidden"], f"must not be in the root of the tree: {listed(seen['forbidden'])}"


def test_copy_equals_source(seen: dict[str, Any]) -> None:
    """What is built is what the developer edited: same files, same bytes, excluded ones aside."""
    assert not seen["differing"], f"the copy differs in {listed(seen['differing'])}"
    assert seen["files"], "the copy holds no file"


def test_copy_is_on_the_guests_own_disk(seen: dict[str, Any]) -> None:
    """A build in the share would write to the host, were it not read-only."""
    assert seen["on"] != "9p", "the copy of the source that is built is on the share itself"
