"""What checks of system calls do in the guest, done here: on a filesystem that is right they find nothing wrong.

What needs a mount of its own is left to the guest.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vexlab.guest.inside import (
    acls,
    allocation,
    children,
    full,
    handles,
    locks,
    mappings,
    room,
    signatures,
    statx,
    transfer,
    watching,
    xattrs,
)
from vexlab.guest.inside.attempts import ended, outcome
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.promises import broken


@pytest.fixture
def fs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filesystem:
    """A directory of this machine, which can't be remounted: what isn't persistent never is."""
    monkeypatch.chdir(tmp_path)
    return Filesystem(
        image="", point=str(tmp_path), device="", kind="", options="", read_only_options="", persistent=False,
        shape="block", source="", disk=[],
    )  # fmt: skip


@pytest.fixture
def attributes(fs: Filesystem) -> Filesystem:
    """The same, where it has extended attributes."""
    Path("probe").touch()
    if outcome(os.setxattr, "probe", "user.probe", b"x") != "done":
        pytest.skip("the temporary directory's filesystem has no attributes in `user.`")
    return fs


def wrong(came: dict[str, str], table: dict[str, tuple[Any, str]]) -> str:
    """What came otherwise than a table says."""
    assert set(came) == set(table)
    return broken(came, {name: tuple(wanted.split(" or ")) for name, (_, wanted) in table.items()})


def test_attributes(attributes: Filesystem) -> None:
    assert not wrong(xattrs.errors(attributes), xattrs.ERRORS)
    assert xattrs.left_by_errors(attributes) == {"user.there": "b'old'"}
    assert {tuple(found) for found in xattrs.keep(attributes).values()} == {("right", "right")}
    changed = {"user.replaced": "b'new'", "user.value": "b'cut'"}
    assert xattrs.change(attributes) == [changed, changed]
    assert xattrs.of_new_files(attributes) == []


def test_attribute_that_is_another_is_told(attributes: Filesystem) -> None:
    os.setxattr("probe", "user.probe", b"xyz")
    assert xattrs.value_of("probe", "user.probe", b"x") == "3 bytes, b'xyz'"
    assert xattrs.value_of("probe", "user.missing", b"x") == "ENODATA"


def test_acl_goes_there_and_back(attributes: Filesystem) -> None:
    assert acls.packed("u::rw- o::r--") == struct.pack("<IHHIHHI", 2, 1, 6, acls.NOBODY, 32, 4, acls.NOBODY)
    Path("probe").chmod(0o600)
    if outcome(os.setxattr, "probe", acls.ACCESS, acls.packed(acls.ONE)) != "done":
        pytest.skip("the temporary directory's filesystem has no ACLs")
    assert [acls.shown("probe", acls.ACCESS), acls.mode("probe")] == [acls.ONE, "660"]
    assert acls.kept(attributes) == [acls.ONE, "660"] * 2


def test_locks(fs: Filesystem) -> None:
    found = locks.look(fs)
    assert not broken(found, {name: tuple(wanted.split(" or ")) for name, (_, wanted) in locks.TRIES.items()})


def test_lock_that_nobody_keeps_is_told(fs: Filesystem) -> None:
    def everybody(_file: int) -> None:
        pass

    Path("locked").write_bytes(bytes(100))
    found = locks.between_descriptors("flock", everybody, {"another": everybody}, "afterwards")
    assert found == {"flock: another": "done", "flock: afterwards": "done"}


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda: None, "done"),
        (lambda: "a word", "a word"),
        (lambda: Path("/no/such/path").stat(), "ENOENT"),
        (lambda: os._exit(3), "ended without a word"),
        (lambda: os.read(os.pipe()[0], 1), "waits"),
    ],
)  # fmt: skip
def test_other_process_tells_what_came_of_it(do: Callable[[], object], told: str) -> None:
    assert children.in_another(do, 0.5 if told == "waits" else 20) == told
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_mappings(fs: Filesystem) -> None:
    assert mappings.with_read_and_write(fs) == ["mmap", "mmap", "write", "mmapwrite"]
    assert mappings.private(fs) == ["mine", "...."]
    assert set(mappings.beyond_the_end(fs).values()) == {"done", "EFAULT", "5000"}
    assert mappings.tail(fs) == [0, 5000, 0, False]
    assert mappings.cut_and_grown(fs)["load in a page that was cut off"] == "EFAULT"
    assert mappings.times_of_a_store(fs)[0] > 1000
    found = mappings.direct(fs)
    assert found in ({"open": "EINVAL"}, {**found, "after a remount": "cwmce"})


def test_fallocate(fs: Filesystem) -> None:
    for mode, (came, *contents, _, _) in allocation.try_all(fs).items():
        assert (mode, came in ("done", "EOPNOTSUPP"), contents) == (mode, True, ["right", "right"])


def test_pieces_of_a_file_are_as_the_mode_says() -> None:
    old = allocation.filled()
    assert (
        allocation.expected(allocation.MODES["PUNCH_HOLE within a block"].pieces) == old[:100] + bytes(50) + old[150:]
    )
    assert len(allocation.expected(allocation.MODES["INSERT_RANGE"].pieces)) == 5 * allocation.BLOCK
    assert 0 not in old


def test_content_that_is_another_is_told(fs: Filesystem) -> None:
    Path("content").write_bytes(b"abc")
    assert allocation.compared("content", b"abc") == "right"
    assert allocation.compared("content", b"abcd") == "3 bytes long, and not 4"
    assert allocation.compared("content", b"aXc") == "at byte 1 it is 98, and not 88"


def test_call_that_must_be_refused_and_is_not_is_told(fs: Filesystem) -> None:
    room.prepare(["directories"])
    for turn in room.turns(
        room.REFUSED, ["directories", "rename", "hard-links", "truncate", "symbolic-links"]
    ).values():
        turn()
    with pytest.raises(AssertionError, match=r"mkdir\('new',\): expected EEXIST, came done"):
        room.fails("EEXIST", os.mkdir, "new")()


def test_what_is_taken_back_leaves_nothing(fs: Filesystem) -> None:
    room.prepare([])
    before = set(Path().iterdir())
    can = ["directories", "rename", "hard-links", "truncate", "symbolic-links", "sparse-files", "mmap"]
    for turn in room.turns(room.TAKEN_BACK, can).values():
        turn()
    assert set(Path().iterdir()) - before == {Path("cut")}


@pytest.mark.parametrize(
    ("inodes", "entries", "places"), [(5000, 80, 63), (1000, 80, 16), (20, 80, 5), (1000, 32, 0), (300, 16, 0)]
)
def test_inodes_are_used_up_where_directories_have_room(inodes: int, entries: int, places: int) -> None:
    assert full.places_for(inodes, entries) == places


def test_refused_call_may_take_as_many_blocks_however_large_they_are(fs: Filesystem) -> None:
    def refused(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    seen = full.refuse(full.Need(refused, lambda _number: False), 65536)
    assert seen == {"done": 0, "refused": ["ENOSPC"], "lost": seen["lost"], "bounds": [15 * 65536, 15], "there": 0}


def test_filesystem_that_splices_one_way_alone_is_told_as_that(fs: Filesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    splice = os.splice

    def reading_alone(source: int, target: int, count: int, _begin: None = None, at: int | None = None) -> int:
        if at is not None:
            raise OSError(errno.EINVAL, "Invalid argument")  # file_operations without splice_write
        return splice(source, target, count)

    right = transfer.across_pipes(fs)
    assert [right["splice(2) into a file at 5"], right["what it holds"]] == [11, "\0" * 5 + "from a pipe"]
    monkeypatch.setattr(os, "splice", reading_alone)
    Path("spliced").unlink()
    seen = transfer.across_pipes(fs)
    assert [seen["splice(2) into a file at 5"], seen["what it holds"]] == ["EINVAL", ""]


def test_watcher_is_told(fs: Filesystem) -> None:
    assert watching.look(fs) == watching.WATCHED


def test_statx_and_handles(fs: Filesystem) -> None:
    Path("any").write_text("x")
    assert [name for name, (new, old) in statx.fields("any").items() if new != old] == []
    if outcome(handles.handle_of, "any") == "done" and os.geteuid() == 0:
        assert handles.leads_to(handles.handle_of("any"), "any") == "right"
        assert "inode" in handles.leads_to(handles.handle_of("any"), ".")


@pytest.mark.parametrize("kind", signatures.CARRIED)
def test_signature_is_one_that_is_known(tmp_path: Path, kind: str) -> None:
    """What mkfs is to refuse is what the rest of the world takes it for."""
    names = {"DOS partition table": "dos", "GPT": "gpt", "LVM": "LVM2_member", "swap": "swap"}
    wanted = next((name for start, name in {"RAID": "linux_raid_member", "LUKS": "crypto_LUKS"}.items()
                   if kind.startswith(start)), names.get(kind, ""))  # fmt: skip
    device = tmp_path / "device"
    device.write_bytes(b"")
    os.truncate(device, 8 << 20)
    signatures.CARRIED[kind](str(device))
    code, seen, _ = ended('PATH=$PATH:/sbin:/usr/sbin wipefs --noheadings --output TYPE "$1"', str(device))
    assert code == 0
    assert wanted in seen.split()
