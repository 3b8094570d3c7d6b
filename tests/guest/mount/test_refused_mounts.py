"""What must not be mounted, and what of it must not happen twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest import Guest, Lab
from scratch import Scratch

# How a device gets its content: a program is needed for another filesystem only.
CONTENTS = {
    "zeros": "pass",
    "another filesystem": "shell(f'mke2fs -q -F -t ext4 {fs.device}')",
    "noise": "write(fs.device, os.urandom(1 << 20))",
}


@pytest.fixture(scope="module")
def blank(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, which the target's mkfs never sees; each check makes it anew."""
    resource = Scratch(guest, lab, "blank")
    yield resource
    resource.remove()


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_not_the_filesystem(lab: Lab, blank: Scratch, content: str) -> None:
    """An error, no oops, nothing written, and no reference kept: a disk of any content can be plugged in."""
    code = """
    size, content, module = arguments

    def state():
        return [read(f"/sys/module/{module}/refcnt"), fs.digest()]

    fs.create(size)
    exec(content)
    before = state()
    outcome = [attempt("fs.mount(fs.read_only_options)"), attempt("fs.mount()")]
    answer([outcome, before, state()])
    """
    outcome, before, after = blank.run(code, blank.size, CONTENTS[content], lab.module_name)
    assert "done" not in outcome, "a device with something else on it was mounted"
    assert after == before, "the module was kept in use, or the device was written to"


def test_device_of_one_sector(blank: Scratch) -> None:
    """The superblock isn't there to be read, or the half of it."""
    code = """
    fs.create(512)
    answer(attempt("fs.mount('ro')"))
    """
    assert blank.run(code) != "done", "a device of one sector was mounted"


def test_missing_device(scratch: Scratch) -> None:
    """Said by the kernel, not guessed from an empty mount."""
    code = """
    answer(attempt("mount(f'{fs.device}-missing', fs.point, fs.kind, fs.options)"))
    """
    assert scratch.run(code) != "done", "a device that isn't there was mounted"


def test_option_that_nobody_knows(scratch: Scratch) -> None:
    """A typing error in an option must not mount with the option left out."""
    code = """
    outcome = attempt("fs.mount(f'{fs.options},vexlab-no-such-option')")
    answer([outcome != "done", mounts(fs.point)])
    """
    assert scratch.run(code) == [True, []]


def test_mount_on_a_file(scratch: Scratch) -> None:
    """A mount point is a directory."""
    code = """
    answer(attempt("mount(fs.device, '/etc/hostname', fs.kind, fs.options)"))
    """
    assert scratch.run(code) != "done", "the device was mounted on a file"


@pytest.mark.requires("read-write")
def test_second_mount_shows_the_same(scratch: Scratch) -> None:
    """A device that is mounted twice is one filesystem with one cache, or the second mount is refused."""
    code = """
    second = f"{fs.point}-second"
    os.makedirs(second, exist_ok=True)
    fs.mount()
    try:
        outcome, seen = attempt("mount(fs.device, second, fs.kind, fs.options)"), "seen"
        if outcome == "done":
            write("file", "seen")
            seen = read(f"{second}/file")
            umount(second)
        write("other", "on")
        answer(seen)
    finally:
        for _ in mounts(second):
            umount(second)
        os.rmdir(second)
        fs.unmount()
    """
    assert scratch.run(code) == "seen"
