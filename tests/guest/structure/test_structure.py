"""The source is in the guest, whole, unwritable, and copied to where it is built."""

from __future__ import annotations

import shlex

import pytest
from guest import Guest, Lab


def source(lab: Lab) -> str:
    """The source's directory in the guest, as a word for the shell; the pattern of a source package is not quoted."""
    return shlex.quote(lab.share_directory) if lab.source else str(lab.source_in_guest)


def test_share_is_read_only(guest: Guest, lab: Lab) -> None:
    """The user's tree must not be writable from a guest that runs untested kernel code, root or not."""
    if not lab.source:
        pytest.skip("the source of this target is in the image; nothing is shared")
    guest.ok(f"findmnt -n -t 9p -O ro --mountpoint {source(lab)}")
    guest.refuses(f"touch {source(lab)}/vexlab-was-here", because="read-only file system")


def test_share_stays_read_only_when_remounted(guest: Guest, lab: Lab) -> None:
    """A read-only mount is the guest's own promise; QEMU must keep it when the guest takes the promise back."""
    if not lab.source:
        pytest.skip("the source of this target is in the image; nothing is shared")
    try:
        guest.run(f"mount -o remount,rw {source(lab)}")
        guest.refuses(f"touch {source(lab)}/vexlab-was-here")
    finally:
        guest.ok(f"mount -o remount,ro {source(lab)}")


def test_required_paths_are_there(guest: Guest, lab: Lab) -> None:
    """The build needs them; a missing one would show as a puzzling error of make."""
    if not lab.required_paths:
        pytest.skip("the target names no required paths")
    paths = shlex.join(f"{lab.source_copy}/{path}" for path in lab.required_paths)
    missing = guest.ok(f'for path in {paths}; do [ -e "$path" ] || echo "$path"; done')
    assert not missing, f"missing from the tree: {missing.split()}"


def test_root_holds_nothing_forbidden(guest: Guest, lab: Lab) -> None:
    """An untested mkfs in the root of a tree is what crashed a developer's machine."""
    if not lab.forbidden_in_root:
        pytest.skip("the target forbids nothing in its root")
    names = " -o ".join(f"-name {shlex.quote(pattern)}" for pattern in lab.forbidden_in_root)
    found = guest.ok(f"find {source(lab)}/ -mindepth 1 -maxdepth 1 \\( {names} \\)")
    assert not found, f"must not be in the root of the tree: {found.split()}"


def test_copy_equals_source(guest: Guest, lab: Lab) -> None:
    """What is built is what the developer edited: same files, same bytes, excluded ones aside."""
    excluded = shlex.join(f"--exclude={pattern}" for pattern in lab.exclude)
    differs = guest.ok(
        f"rsync -rlcn --delete --out-format='%o %n' {excluded} {source(lab)}/ {lab.source_copy}/", seconds=120
    )
    assert not [line for line in differs.splitlines() if not line.endswith("/")], f"the copy differs: {differs}"
    assert guest.ok(f"find {lab.source_copy} -type f | wc -l") != "0", "the copy holds no file"


def test_copy_is_on_the_guests_own_disk(guest: Guest, lab: Lab) -> None:
    """A build in the share would write to the host, were it not read-only."""
    assert guest.ok(f"findmnt -n -o FSTYPE --target {lab.source_copy}") != "9p"
