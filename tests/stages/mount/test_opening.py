"""Flags of open(2) and of preadv2(2), files without a name, and two who write to one file."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import opening
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


def test_append_goes_to_the_end(mounted: Scratch) -> None:
    """With O_APPEND a write goes to the end that the file has then, whoever moved it (open(2), POSIX.1-2017 write)."""
    cut = "a0 b0 c"
    promised = {
        "two descriptors with O_APPEND, by turns": "a0 b0 a1 b1 a2 b2 ",
        "ftruncate(2) to 6 bytes, then a write with O_APPEND": cut,
        "lseek(2) to 0, then a write with O_APPEND": f"{cut}d",
        "pwrite(2) to 0 with O_APPEND": f"{cut}de",
        "after a remount": f"{cut}de",
    }
    wrong = broken(mounted.call(opening.append_by_turns), promised)
    assert not wrong, wrong


def test_two_who_append_lose_nothing(mounted: Scratch) -> None:
    """Two processes with O_APPEND: each record is there and whole, none over another (open(2), POSIX.1-2017 write)."""
    seen = mounted.call(opening.append_at_once, 200)
    count = seen.pop("records")
    promised = {
        "what came of the other process": "done",
        "records of the size": 2 * count,
        "whole records of the one": count,
        "whole records of the other": count,
    }
    wrong = broken(seen, promised)
    assert not wrong, f"two processes that append {count} records each: {wrong}"


def test_reader_beside_a_writer_sees_what_was_written(mounted: Scratch) -> None:
    """A file's size never tells of bytes that aren't there yet: a read gets what was written (POSIX.1-2017 write)."""
    seen = mounted.call(opening.read_beside_a_writer, 6 << 20)
    wrong = broken(seen, {"what came of the writer": "done", "read what nobody wrote": "nowhere"})
    assert not wrong, f"a file that is read to its end while another process writes it: {wrong}"


@pytest.mark.requires("directories")
def test_flag_of_open_is_obeyed(mounted: Scratch) -> None:
    """O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_PATH and the access mode do what they say (open(2), read(2))."""
    promised = {
        "O_CREAT|O_EXCL of a new name": "done",
        "O_CREAT|O_EXCL of a name that is there": "EEXIST",
        "O_CREAT of a name that is there": "done",
        "O_CREAT of a directory": "EISDIR",
        "O_CREAT of new/": "EISDIR",
        "O_DIRECTORY of a file": "ENOTDIR",
        "O_WRONLY of a directory": "EISDIR",
        "O_RDONLY of an empty path": "ENOENT",
        "the size of the file that O_CREAT opened": 5,
        "write(2) to what is open for reading": "EBADF",
        "read(2) of what is open for writing": "EBADF",
        "ftruncate(2) of what is open for reading": "EINVAL",
        "the size for who has the file open, after O_TRUNC by another": 0,
        "what it reads then": 0,
        "openat(2) with O_CREAT in an O_PATH directory": "done",
        "its name by the path": True,
    }
    wrong = broken(mounted.call(opening.flags), promised)
    assert not wrong, f"open(2): {wrong}"


@pytest.mark.requires("directories", "symbolic-links")
def test_symbolic_link_is_followed_or_not(mounted: Scratch) -> None:
    """As O_NOFOLLOW and O_EXCL say; more than 40 in a row are ELOOP (open(2), path_resolution(7))."""
    promised = {
        "O_NOFOLLOW of a symbolic link": "ELOOP",
        "O_CREAT|O_EXCL of a symbolic link to nothing": "EEXIST",
        "a chain of 30 symbolic links": "done",
        "a chain of 44 symbolic links": "ELOOP",
        "O_CREAT of a symbolic link to nothing": "done",
        "the file that this made": True,
        "unlink(2) of the link": "done",
        "the file it led to": True,
    }
    wrong = broken(mounted.call(opening.links), promised)
    assert not wrong, wrong


def test_flag_of_a_call_is_obeyed_or_refused(mounted: Scratch) -> None:
    """RWF_SYNC, RWF_DSYNC, RWF_APPEND, RWF_HIPRI, RWF_NOWAIT: done or EOPNOTSUPP, never ignored (preadv2(2))."""
    seen = mounted.call(opening.per_call)
    appended = seen["pwritev2(2) with RWF_APPEND to 0"] == "done"
    either = ("done", "EOPNOTSUPP")
    promised = {
        "pwritev2(2) with RWF_DSYNC": either,
        "pwritev2(2) with RWF_SYNC": either,
        "pwritev2(2) with RWF_APPEND to 0": either,
        "preadv2(2) with RWF_HIPRI": either,
        "preadv2(2) with RWF_NOWAIT": (*either, "EAGAIN"),
        "pwritev2(2) with a flag that there isn't": "EOPNOTSUPP",
        "what the file holds": ("AB345E" if appended else "AB345", "12345"),
    }
    wrong = broken(seen, promised)
    assert not wrong, wrong


@pytest.mark.requires("directories")
def test_temporary_file_has_no_name(mounted: Scratch) -> None:
    """O_TMPFILE: no name and no link until linkat(2), none at all with O_EXCL; or EOPNOTSUPP (open(2), linkat(2))."""
    seen = mounted.call(opening.temporary)
    if "unsupported" in seen:
        pytest.skip(f"the filesystem has no O_TMPFILE: open(2) said {seen['unsupported']}")
    promised = {
        "its links": 0,
        "names in the directory": 0,
        "what it reads": "content",
        "its links when linkat(2) named it": 1,
        "linkat(2) of one with O_EXCL": "ENOENT",
        "names after a remount": ["named"],
        "what the named one holds then": "content",
    }
    wrong = broken(seen, promised)
    assert not wrong, f"open(2) with O_TMPFILE: {wrong}"


def test_file_without_a_name_lives_on(mounted: Scratch) -> None:
    """Whoever has it open reads, writes and cuts it, whatever becomes of its name (unlink(2), POSIX.1-2017 unlink)."""
    promised = {
        "its links": 0,
        "what another descriptor reads is what was written": True,
        "ftruncate(2) of it": "done",
        "what it reads then": "bef",
        "a new file of its name": "done",
        "what that holds": "new",
        "what the old one reads still": "bef",
    }
    wrong = broken(mounted.call(opening.without_a_name, 200_000), promised)
    assert not wrong, f"a file that is unlinked while it is open: {wrong}"
