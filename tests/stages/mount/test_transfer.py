"""Ways of data out of a file and into it: reads at its end, readv, sendfile, splice, copy_file_range."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import transfer
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write")


@pytest.mark.requires("truncate")
def test_read_ends_with_the_file(mounted: Scratch) -> None:
    """A read gets what there is up to the end, then nothing; odd arguments are told (read(2), pread(2), lseek(2))."""
    promised = {
        "pread(2) of 4,096 at 4,096": 904,
        "pread(2) of 10 at 4,999": 1,
        "pread(2) of 10 at the end": 0,
        "pread(2) of 10 at 1 MiB": 0,
        "read(2) of nothing": 0,
        "readv(2) of 3,000, 0 and 3,000": 5000,
        "what it read": 5000,
        "read(2) after it": 0,
        "write(2) of nothing at 10,000": 0,
        "the size then": 5000,
        "pread(2) at -1": "EINVAL",
        "pwrite(2) at -1": "EINVAL",
        "ftruncate(2) to -1": "EINVAL",
        "lseek(2) to -1": "EINVAL",
        "lseek(2) beyond the end": 9000,
        "read(2) there": 0,
        "writev(2) of three parts there": 5,
        "what is there, and before it": "\0\0abcde",
        "read(2) of a directory": "EISDIR",
    }
    wrong = broken(mounted.call(transfer.reads), promised)
    assert not wrong, f"a file of 5,000 bytes: {wrong}"


@pytest.fixture(scope="module")
def copies(mounted: Scratch) -> dict[str, list[Any]]:
    """What came of each way to copy."""
    return mounted.call(transfer.copies)


@pytest.mark.parametrize("way", transfer.WAYS)
def test_copy_is_the_same(copies: dict[str, list[Any]], way: str) -> None:
    """What the kernel copies is all there, at once and from disk (sendfile(2), copy_file_range(2))."""
    came, *found = copies[way]
    if came in transfer.REFUSED:
        pytest.skip(f"{way} between two files says {came}: the filesystem lacks it")
    what = f"{way} of a file, until no more comes"
    assert came == "done", f"{what}: {came}"
    missing, at_once, later = found
    assert not missing, f"{what}: {missing} bytes of {transfer.SIZE} at most are missing"
    assert at_once, f"{what}: the copy reads otherwise"
    assert later, f"{what}: the copy reads otherwise after a remount"


@pytest.mark.requires("truncate")
def test_range_is_copied_where_it_belongs(mounted: Scratch) -> None:
    """A part of a file goes where it was asked, up to the end, never over itself (copy_file_range(2))."""
    seen = mounted.call(transfer.ranges)
    if "unsupported" in seen:
        pytest.skip(f"copy_file_range(2) within the filesystem says {seen['unsupported']}: it lacks it")
    promised = {
        "of 5,000 at 4,097 to 3": True,
        "of 8,192 at 4,096 to 4,096": True,
        "of 100 across the end": 10,
        "beyond the end": 0,
        "within one file, apart": 4096,
        "what is there then": True,
        "the file around it": True,
        "within one file, overlapping": "EINVAL",
        "to what is open for reading": "EBADF",
        "to a directory": ("EISDIR", "EBADF"),
    }
    wrong = broken(seen, promised)
    assert not wrong, f"copy_file_range(2): {wrong}"


def test_pipe_gets_what_the_file_has(mounted: Scratch) -> None:
    """From a file to a pipe and back, up to the end, at the offset that was asked (splice(2))."""
    seen = mounted.call(transfer.across_pipes)
    if "unsupported" in seen:
        pytest.skip(f"splice(2) from a file says {seen['unsupported']}: the filesystem lacks it")
    is_lacking = seen["splice(2) into a file at 5"] in transfer.REFUSED  # one way may be there without the other
    promised = {
        "splice(2) of 10,000 from a file of 4,096": [4096],
        "what the pipe holds": 4096,
        "splice(2) at the end": 0,
        "splice(2) into a file at 5": transfer.REFUSED if is_lacking else 11,
        "what it holds": "" if is_lacking else "\0\0\0\0\0from a pipe",
    }
    wrong = broken(seen, promised)
    assert not wrong, wrong


def test_bad_memory_writes_what_is_there(mounted: Scratch) -> None:
    """A write from memory that ends too early writes that or nothing, and no byte more (write(2), read(2): EFAULT)."""
    seen = mounted.call(transfer.from_bad_memory)
    assert -1 <= seen.pop("reading") <= 100, "pread(2) of 3,000 bytes into 100 that are there came to more"
    for where, (came, size, at_once, later) in seen.items():
        what = f"pwrite(2) of 3,000 bytes of which 100 are there, file `{where}`: it returned {came}"
        assert -1 <= came <= 100, what
        assert size, f"{what}, and st_size is another"
        assert at_once, f"{what}, and the file holds something else"
        assert later, f"{what}, and the file holds something else after a remount"
