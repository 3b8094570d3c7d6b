"""A read-only mount reads everything and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

WRITES = {
    "create": "os.open('new', os.O_CREAT | os.O_WRONLY)",
    "open for writing": "os.open('file', os.O_WRONLY)",
    "append": "os.open('file', os.O_WRONLY | os.O_APPEND)",
    "truncate": "os.truncate('file', 0)",
    "unlink": "os.unlink('file')",
    "mkdir": "os.mkdir('new')",
    "rmdir": "os.rmdir('empty')",
    "rename": "os.rename('file', 'new')",
    "link": "os.link('file', 'new')",
    "symlink": "os.symlink('file', 'new')",
    "mknod": "os.mknod('new', stat.S_IFIFO | 0o600)",
    "chmod": "os.chmod('file', 0o777)",
    "chown": "os.chown('file', 1, 1)",
    "utime": "os.utime('file', (1, 1))",
}


@pytest.fixture(scope="module")
def read_only(scratch: Scratch) -> Iterator[Scratch]:
    """A filesystem with something in it, mounted read-only."""
    code = """
    fs.mount()
    write("file", "content")
    os.mkdir("empty")
    fs.unmount()
    answer(fs.digest())
    fs.mount(fs.read_only_options)
    """
    before = scratch.run(code)
    yield scratch
    after = scratch.run("fs.unmount()\nanswer(fs.digest())")
    assert after == before, "the device changed under a read-only mount"


@pytest.fixture(scope="module")
def outcome(guest: Guest, read_only: Scratch) -> dict[str, str]:
    """What came of each attempt to write."""
    return guest.attempts(read_only.point, WRITES)


@pytest.mark.parametrize("write", WRITES)
def test_write_is_refused(outcome: dict[str, str], write: str) -> None:
    """Each way to change something must say EROFS, and not go into a cache that is never written."""
    assert outcome[write] == "EROFS"


def test_content_reads(read_only: Scratch) -> None:
    """All that was refused changed nothing that can be seen."""
    code = """
    answer([read("file"), [name for name in ("empty", "file", "new") if os.path.lexists(name)]])
    """
    assert read_only.run(code) == ["content", ["empty", "file"]]


def test_device_is_left_alone(read_only: Scratch) -> None:
    """Evidence on a damaged disk must not change because somebody looked at it, not even to be changed back later."""
    code = """
    def state():
        return [fs.digest(), statistics(fs.device)[6]]

    fs.unmount()
    before = state()
    fs.mount(fs.read_only_options)
    for path in Path().rglob("*"):
        if path.is_file():
            path.read_bytes()
    fs.unmount()
    after = state()
    fs.mount(fs.read_only_options)
    answer([before, after])
    """
    before, after = read_only.run(code)
    assert after == before, "sectors were written under a read-only mount"
