"""A device that was just formatted holds an empty filesystem that mounts."""

from __future__ import annotations

import pytest
from guest import Guest, Lab
from scratch import Scratch


@pytest.mark.parametrize("kind", ["ro", pytest.param("rw", marks=pytest.mark.requires("read-write"))])
def test_it_mounts(guest: Guest, lab: Lab, scratch: Scratch, kind: str) -> None:
    """Read-only too, before anything was ever written to it: a mount that needs to write first fails there."""
    options = lab.mount_options_ro if kind == "ro" else lab.mount_options_rw
    scratch.mount(options)
    shown = guest.ok(f"findmnt -n -o FSTYPE,OPTIONS --mountpoint {scratch.point}; umount {scratch.point}").split()
    assert shown[0] == lab.filesystem_type
    assert shown[1].split(",")[0] == kind


def test_root_is_empty_and_roots(guest: Guest, scratch: Scratch) -> None:
    """A root directory that belongs to whoever ran mkfs, or that all may write, is a hole."""
    scratch.mount()
    root = guest.ok(
        f"stat -c '%u:%g %a %F' {scratch.point}; ls -A {scratch.point}; umount {scratch.point}"
    ).splitlines()
    assert root[0] in ("0:0 755 directory", "0:0 700 directory")
    assert set(root[1:]) <= {"lost+found"}


@pytest.mark.requires("statfs")
def test_nearly_all_of_the_device_is_free(guest: Guest, scratch: Scratch) -> None:
    """Size in the order of the device, most of it free: else mkfs misread the device's size."""
    scratch.mount()
    seen = guest.ok(f"stat -f -c '%S %b %f' {scratch.point}; umount {scratch.point}").split()
    block, size, free = map(int, seen)
    assert scratch.size // 2 <= block * size <= scratch.size
    assert free >= size * 0.8, f"{free} of {size} blocks are free"


@pytest.mark.requires("read-write")
def test_formatting_again_gives_an_empty_filesystem(guest: Guest, scratch: Scratch) -> None:
    """Names, inodes or bitmaps of the life before would come back as corruption."""
    fill = (
        f"cd {scratch.point}; for i in 1 2 3 4 5; do mkdir d$i; echo old >d$i/f; done; head -c 4M /dev/zero >big; cd /"
    )
    guest.ok(f"{scratch.mount_command()}; {fill}; umount {scratch.point}")
    scratch.format_again()
    scratch.mount()
    assert set(guest.ok(f"ls -A {scratch.point}").split()) <= {"lost+found"}
    guest.ok(f"echo new >{scratch.point}/f; umount {scratch.point}; {scratch.mount_command()}")
    assert guest.ok(f"cat {scratch.point}/f; umount {scratch.point}") == "new"


@pytest.mark.requires("label")
def test_label_that_is_too_long_does_no_harm(guest: Guest, lab: Lab, scratch: Scratch) -> None:
    """It is refused, or cut to what has room: in no case does it run into the fields behind it."""
    scratch.create_blank()
    done = guest.run(lab.mkfs(scratch.device, "x" * 1000))
    assert done.code < 124, f"mkfs ended with {done.code}: {done.said}"
    if done.code != 0:
        scratch.create()
    guest.ok(f"{scratch.mount_command()}; umount {scratch.point}")


def test_noise_on_the_device_does_not_show(guest: Guest, scratch: Scratch) -> None:
    """A device is seldom blank; metadata that mkfs takes to be zero already would be garbage."""
    scratch.create_blank()
    guest.ok(f"head -c 8M /dev/urandom | dd of={scratch.device} bs=1M conv=fsync status=none")
    scratch.format_again()
    found = guest.ok(f"{scratch.mount_command('ro')}; ls -A {scratch.point}; umount {scratch.point}")
    assert set(found.split()) <= {"lost+found"}
