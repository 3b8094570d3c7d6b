"""A device that was just formatted holds an empty filesystem that mounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from vexlab.guest.inside import content, fresh
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed, quoted

LARGE = (4 << 30) + (200 << 20)  # bytes
MKFS_SECONDS = 120


@pytest.fixture(scope="module")
def at_first(guest: Guest, target: Target) -> set[str]:
    """The names that may be in the root directory of a filesystem that was just made."""
    put_there = (
        guest.call(content.names, f"{target.build}/{target.content_directory}") if target.content_directory else []
    )
    return {"lost+found", *put_there}


@pytest.mark.parametrize("kind", ["ro", pytest.param("rw", marks=pytest.mark.requires("read-write"))])
def test_it_mounts(target: Target, scratch: Scratch, kind: str) -> None:
    """Read-only too, before anything was ever written to it: a mount that needs to write first fails there."""
    options = target.mount_options_ro if kind == "ro" else target.mount_options_rw
    mounted = scratch.call(fresh.mount_with, options)
    assert len(mounted) == 1, f"mount with {options}: {len(mounted)} filesystems are mounted there"
    [(name, mode)] = mounted
    assert name == target.filesystem_type, f"mount with {options}: {name} is mounted, expected {target.filesystem_type}"
    assert mode == kind, f"mount with {options}: it is {mode}, expected {kind}"


def test_root_is_empty_and_roots(at_first: set[str], scratch: Scratch) -> None:
    """A root directory that belongs to whoever ran mkfs, or that all may write, is a hole."""
    root, names = scratch.call(fresh.root)
    assert not fresh.is_a_hole(root), f"the root directory is {root}, expected 0:0 drwxr-xr-x"
    assert set(names) <= at_first, f"mkfs left in the root directory: {listed(names)}"


@pytest.mark.needs("device")
@pytest.mark.requires("statfs")
def test_nearly_all_of_the_device_is_free(scratch: Scratch) -> None:
    """Size in the order of the device, most of it free: else mkfs misread the device's size."""
    block, size, free = scratch.call(fresh.space)
    assert scratch.size // 2 <= block * size <= scratch.size, (
        f"statfs says {size} blocks of {block} bytes, on a device of {scratch.size} bytes"
    )
    assert free >= size * 0.8, f"{free} of {size} blocks are free"


@pytest.fixture
def large(guest: Guest, target: Target) -> Iterator[Scratch]:
    """A device whose bytes a number of 32 bits can't count; it is an image, and mostly a hole."""
    resource = Scratch(guest, target, "large", on_image=True, whole=False)
    try:
        resource.create_blank(LARGE)
        yield resource
    finally:
        resource.remove()


@pytest.mark.needs("device")
@pytest.mark.requires("statfs", "read-write")
def test_size_of_a_large_device_is_not_cut(
    guest: Guest, target: Target, large: Scratch, advise: Callable[[str], None]
) -> None:
    """Of more than 4 GiB: with fewer bits for a size, mkfs or statfs take it for a small one (statfs(2))."""
    done = guest.run(target.mkfs(large.device), seconds=MKFS_SECONDS)
    if done.code:
        pytest.skip(f"mkfs of a device of {LARGE} bytes ended with {done.code}: {done.said}")
    block, size, _ = large.call(fresh.space)
    seen = block * size
    assert seen <= LARGE, f"statfs says {size} blocks of {block} bytes, on a device of {LARGE} bytes"
    rest = LARGE % (1 << 32)
    assert not rest // 2 <= seen <= rest, (
        f"statfs says {seen} bytes of a device of {LARGE}, as of one whose size was cut to 32 bits"
    )
    if seen < LARGE // 2:
        advise(f"of a device of {LARGE >> 20} MiB it uses {seen >> 20} MiB")
    kept = large.call(fresh.keep_a_file)
    assert kept, f"on a device of {LARGE} bytes, a file holds something else after a remount"


@pytest.mark.needs("device")
@pytest.mark.requires("read-write")
def test_formatting_again_gives_an_empty_filesystem(target: Target, scratch: Scratch) -> None:
    """Names, inodes or bitmaps of the life before would come back as corruption."""
    left, found = scratch.call(fresh.format_again, target.mkfs(scratch.device, force=True), seconds=120)
    assert set(left) <= {"lost+found"}, f"formatted again, the filesystem holds: {listed(left)}"
    assert found == "new", f"formatted again, a new file reads {quoted(found)}, expected new"


@pytest.mark.requires("label")
def test_label_that_is_too_long_does_no_harm(guest: Guest, target: Target, scratch: Scratch) -> None:
    """A label that is too long is refused or cut: in no case does it run into the fields behind it."""
    scratch.create_blank()
    done = guest.run(target.mkfs(scratch.device, "x" * 1000))
    assert done.code < 124, f"mkfs ended with {done.code}: {done.said}"
    if done.code != 0:
        scratch.create()
    scratch.call(fresh.mount_and_unmount)


@pytest.mark.needs("device")
def test_noise_on_the_device_does_not_show(target: Target, at_first: set[str], scratch: Scratch) -> None:
    """A device is seldom blank; metadata that mkfs takes to be zero already would be garbage."""
    scratch.create_blank()
    names = scratch.call(fresh.format_noise, target.mkfs(scratch.device, force=True), seconds=120)
    assert set(names) <= at_first, f"formatted over noise, the filesystem holds: {listed(names)}"
