"""mount -o remount."""

from __future__ import annotations

import pytest
from scratch import Scratch

pytestmark = pytest.mark.requires("read-write", "remount")

# Remounts with these options; returns the first that the filesystem itself has then, not only the mount of it.
CHANGE = """
    def change(options):
        mount(fs.device, fs.point, fs.kind, f"remount,{options}")
        fields = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
        return [line[-1] for line in fields if line[4] == fs.point][-1].split(",")[0]
"""


def test_read_only_and_back(mounted: Scratch) -> None:
    """How an administrator stops writes without a reboot, and lets them go on."""
    code = """
    write("file", "before ")
    found = [change(fs.read_only_options)]
    found += [attempt("os.close(os.open('file', os.O_WRONLY))"), attempt("os.mkdir('d')"), read("file")]
    found += [change(fs.options)]
    write("file", "after", "a")
    fs.remount()
    answer([*found, read("file")])
    """
    assert mounted.run(CHANGE + code) == ["ro", "EROFS", "EROFS", "before ", "rw", "before after"]


def test_becoming_read_only_writes_what_is_dirty(mounted: Scratch) -> None:
    """After it the device can be copied or switched off; nothing more is written, and nothing was left in memory."""
    code = """
    write("dirty", "dirty")
    change(fs.read_only_options)
    before = fs.digest()
    fs.unmount()
    after = fs.digest()
    fs.mount(fs.read_only_options)
    found = read("dirty")
    fs.remount()
    answer([before, after, found])
    """
    before, after, found = mounted.run(CHANGE + code)
    assert [after, found] == [before, "dirty"]


def test_refused_while_a_file_is_open_for_writing(mounted: Scratch) -> None:
    """The writer would lose what it believes it can write."""
    code = """
    file = open("writing", "w")
    refused = attempt("change(fs.read_only_options)")
    file.close()
    answer([refused, attempt("write('writing', 'on')")])
    """
    assert mounted.run(CHANGE + code) == ["EBUSY", "done"]
