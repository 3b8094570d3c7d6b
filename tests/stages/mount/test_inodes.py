"""What an inode is beside its content: what statx tells of it, flags, device numbers, handles."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import flags as inside_flags
from vexlab.guest.inside import grace, places, special_files, statx
from vexlab.guest.inside import handles as inside_handles
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted

pytestmark = pytest.mark.requires("read-write")


@pytest.mark.requires("directories")
def test_statx_and_stat_agree(mounted: Scratch) -> None:
    """In each field, and the mask has all basic ones; mnt_id is that of /proc/self/mountinfo (statx(2))."""
    seen = mounted.call(statx.differences)
    wrong = [f"{name}: {field} {both}" for name, fields in seen.items() for field, both in fields.items()]
    assert not wrong, f"statx(2) and stat(2) differ (field, both values): {'; '.join(wrong)}"


@pytest.mark.requires("timestamps", "rename", "permissions")
def test_time_of_birth_stays(mounted: Scratch) -> None:
    """STATX_BTIME in the mask means the time when the file was made, for ever (statx(2))."""
    seen = mounted.call(statx.birth)
    if not seen:
        pytest.skip("this filesystem has no times of birth: statx(2) leaves STATX_BTIME out of the mask")
    right = seen["early"] < 3 and seen["late"] < 3
    assert right, f"stx_btime of a new file: {seen['early']:.3f} s before or {seen['late']:.3f} s after it was made"
    assert not seen["after a change"], f"stx_btime moved by {seen['after a change']} ns when the file was changed"
    kept = abs(seen["after a remount"]) < 2e9  # it may be kept to two seconds, as FAT does
    assert kept, f"stx_btime is off by {seen['after a remount']} ns after a remount"


@pytest.fixture(scope="module")
def nodes(mounted: Scratch) -> dict[str, list[Any]]:
    """Each special file: what came of mknod(2), and its mode and device at once and after a remount."""
    return mounted.call(special_files.make)


@pytest.mark.parametrize("node", special_files.NODES)
def test_special_file_is_kept(nodes: dict[str, list[Any]], node: str) -> None:
    """Type, mode and device number, at once and on the disk; or mknod is refused (mknod(2))."""
    came, *found = nodes[node]
    if came != "done":
        assert came in ("EPERM", "EOPNOTSUPP", "EINVAL", "ENOSYS"), (
            f"mknod(2) of a {node}: expected done or EPERM, came {came}"
        )
        pytest.skip(f"this filesystem has no {node}: {came}")
    mode, device = special_files.NODES[node]
    for when, (is_mode, is_device) in zip(("at once", "after a remount"), found, strict=True):
        assert is_mode == mode, f"a {node}, {when}: expected mode {mode:o}, came {is_mode:o}"
        assert is_device == device, f"a {node}, {when}: expected device number {device:#x}, came {is_device:#x}"


@pytest.mark.usefixtures("nodes")
def test_special_file_works(mounted: Scratch) -> None:
    """What goes in comes out, and not by way of the filesystem (fifo(7), unix(7), null(4))."""
    seen = mounted.call(special_files.use)
    wanted = {
        "FIFO": "through",
        "character device 1:3": "1 byte written, 0 read",
        "a name that a socket was bound to": ("through", "EPERM", "EOPNOTSUPP"),
    }
    wrong = broken(seen, {name: value for name, value in wanted.items() if name in seen})
    assert not wrong, wrong


@pytest.fixture(scope="module")
def flags(mounted: Scratch) -> dict[str, str]:
    """What came of setting flags, and of what they forbid."""
    return mounted.call(inside_flags.look)


@pytest.mark.requires("rename", "permissions", "truncate")
@pytest.mark.parametrize("attempt", inside_flags.TRIES)
def test_flag_holds(flags: dict[str, str], attempt: str) -> None:
    """chattr +i and +a are kept and obeyed, or refused (ioctl_iflags(2))."""
    name = attempt.partition(":")[0].partition(" ")[0]
    if (came := flags[f"{name}: set"]) != "done":
        allowed = " or ".join(inside_flags.REFUSED)
        assert came in inside_flags.REFUSED, f"FS_IOC_SETFLAGS, {name}: expected done or {allowed}, came {came}"
        pytest.skip(f"this filesystem has no flag {name}: {came}")
    assert flags[f"{name}: kept"] == "yes", (
        f"FS_IOC_SETFLAGS, {name}: it was done, and after a remount the flag is gone"
    )
    wanted = inside_flags.TRIES[attempt][2]
    assert flags[attempt] == wanted, f"{attempt}: expected {wanted}, came {flags[attempt]}"


@pytest.mark.requires("directories", "rename")
def test_handle_finds_the_file_again(target: Target, mounted: Scratch) -> None:
    """When nothing of it is in memory, renamed, and after a remount; or there are none (name_to_handle_at(2))."""
    seen = mounted.call(inside_handles.look)
    if "handle" in seen:
        came, claimed = seen["handle"], "file-handles" in target.capabilities
        assert came == "EOPNOTSUPP", f"name_to_handle_at(2): expected done or EOPNOTSUPP, came {came}"
        assert not claimed, f"name_to_handle_at(2): {came}; the target claims file-handles"
        pytest.skip("this filesystem has no handles: EOPNOTSUPP")
    if "persistent" not in target.capabilities:
        seen = {step: came for step, came in seen.items() if not step.endswith("after a remount")}
    # Handles that nobody claims may become stale, but never lead to another file.
    right = "right" if "file-handles" in target.capabilities else ("right", "ESTALE")
    wrong = broken(seen, dict.fromkeys(seen, right))
    assert not wrong, f"open_by_handle_at(2): {wrong}"


@pytest.mark.requires("directories")
def test_handle_of_a_removed_file_is_stale(mounted: Scratch) -> None:
    """ESTALE, also when another file has the inode: a client of NFS must not write into it (open_by_handle_at(2))."""
    seen = mounted.call(inside_handles.stale, 20)
    for when in ("at once", "when their inodes are other files'"):
        found = seen.get(when, ["ESTALE"])
        assert found == ["ESTALE"], (
            f"open_by_handle_at(2) of removed files, {when} ({seen['again']} of 20 came back): "
            f"expected ESTALE, came {'; '.join(found)}"
        )


@pytest.mark.needs("device")
@pytest.mark.requires("sync")
def test_block_of_a_file_is_where_it_says(mounted: Scratch) -> None:
    """FIBMAP tells where a block is, or that it can't: swap and boot loaders write there (ioctl_fs FIBMAP)."""
    if mounted.on_device:
        pytest.skip("the scratch filesystem is on the device under test, not on an image that can be read beside it")
    came, wrong, count = mounted.call(places.blocks_of)
    if came != "done":
        assert came in ("EINVAL", "ENOTTY", "EOPNOTSUPP"), f"FIBMAP: expected done or EINVAL, came {came}"
        pytest.skip(f"this filesystem doesn't tell where blocks are: {came}")
    assert not wrong, f"of {count} blocks of a file, FIBMAP tells of {wrong} a place where something else is"


@pytest.mark.requires("sync")
def test_extents_have_what_was_written(mounted: Scratch) -> None:
    """FIEMAP tells of all data, in order and to an end: who copies by it loses what it leaves out (fiemap.rst)."""
    came, wrong = mounted.call(places.extents_of)
    if came != "done":
        assert came in ("EOPNOTSUPP", "ENOTTY", "EINVAL"), f"FIEMAP: expected done or EOPNOTSUPP, came {came}"
        pytest.skip(f"this filesystem doesn't tell where extents are: {came}")
    assert not wrong, f"FIEMAP of a file with parts that were written, and holes: {wrong}"


def test_unknown_ioctl_is_refused(mounted: Scratch) -> None:
    """ENOTTY: who asks whether there is such an ioctl must not be told that it was done (ioctl(2))."""
    promised = {"of a file": ("ENOTTY", "EINVAL", "EOPNOTSUPP"), "of a directory": ("ENOTTY", "EINVAL", "EOPNOTSUPP")}
    wrong = broken(dict(zip(promised, mounted.call(places.unknown_ioctl), strict=True)), promised)
    assert not wrong, f"an ioctl that nobody knows: {wrong}"


@pytest.mark.requires("directories")
def test_ioctl_with_a_bad_address_is_refused(mounted: Scratch) -> None:
    """EFAULT, if it is known at all: what follows a program's address unasked reads or writes anywhere (ioctl(2))."""
    done = mounted.call(places.ioctls_with_a_bad_address)
    assert not done, f"an address that leads nowhere was taken by {', '.join(done)}"


@pytest.mark.requires("mmap", "permissions")
def test_program_runs(mounted: Scratch) -> None:
    """What was copied there can be executed, at once and from the disk (execve(2))."""
    for when, (code, output) in zip(("at once", "after a remount"), mounted.call(places.run_from_it), strict=True):
        assert (code, output) == (0, "runs\n"), (
            f"a copy of echo, run {when}: it ended with {code} and printed {quoted(output)}, expected 0 and runs"
        )


def test_freed_inode_waits_for_who_looks_at_it(mounted: Scratch) -> None:
    """Lookups take no locks, so inodes are freed after a grace period (filesystems/porting.rst, free_inode)."""
    count = 50
    seen = mounted.call(grace.inodes_freed, count)
    if not seen:
        pytest.skip("no inode was seen to be freed by this kernel's tracing")
    for cache, (freed, at_once) in seen.items():
        what = f"{count} files were removed: of {freed} inodes that went back to slab cache {cache}"
        assert at_once < count // 2, f"{what}, {at_once} were freed at once, and not after a grace period of RCU"
