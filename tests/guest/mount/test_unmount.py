"""What is left when a filesystem is unmounted: nothing."""

from __future__ import annotations

import pytest
from guest import Lab
from scratch import Scratch


def test_module_is_let_go(lab: Lab, scratch: Scratch) -> None:
    """One reference that stays makes the module impossible to unload; one too few crashes the kernel later."""
    code = """
    def references():
        return int(read(f"/sys/module/{arguments[0]}/refcnt"))

    before = references()
    fs.mount()
    during = references()
    fs.unmount()
    answer([before, during, references()])
    """
    before, during, after = scratch.run(code, lab.module_name)
    assert (during > before, after) == (True, before)


def test_device_is_let_go(scratch: Scratch) -> None:
    """It can be opened exclusively again, which is what the next mkfs or mount does."""
    code = """
    exclusively = "os.close(os.open(fs.device, os.O_RDWR | os.O_EXCL))"
    fs.mount()
    during = attempt(exclusively)
    fs.unmount()
    answer([during, attempt(exclusively)])
    """
    assert scratch.run(code) == ["EBUSY", "done"]


def test_loop_device_of_the_mount_is_freed(scratch: Scratch) -> None:
    """`mount -o loop` makes one; when the unmount doesn't drop the last reference, it stays for ever."""
    if scratch.on_device:
        pytest.skip("the scratch filesystem is on the device under test, not on a loop device")
    code = """
    import time
    detach(fs.device)
    shell(arguments[0])
    during = len(loops(fs.image))
    fs.unmount()
    deadline = time.monotonic() + 10  # the kernel frees it when udev, which looks at each device, has closed it too
    while loops(fs.image) and time.monotonic() < deadline:
        time.sleep(0.01)
    answer([during, loops(fs.image)])
    """
    mount = scratch.mount_command(f"loop,{scratch.lab.mount_options()}").replace(scratch.device, scratch.image)
    try:
        assert scratch.run(code, mount) == [1, []]
    finally:
        scratch.device = scratch.run("answer(attach(fs.image))")


def test_mount_point_is_empty(scratch: Scratch) -> None:
    """What was mounted there doesn't shine through, and nothing is mounted underneath."""
    code = """
    fs.mount()
    fs.unmount()
    answer([os.listdir(fs.point), mounts(fs.point)])
    """
    assert scratch.run(code) == [[], []]


@pytest.mark.requires("read-write")
def test_refused_while_a_file_is_open(scratch: Scratch) -> None:
    """EBUSY, and the filesystem goes on working; after the file is closed it unmounts."""
    code = """
    fs.mount()
    os.chdir("/")
    name = f"{fs.point}/open"
    file = open(name, "w")
    refused = attempt("umount(fs.point)")
    file.close()
    answer([refused, attempt("write(name, 'on')"), attempt("umount(fs.point)")])
    """
    assert scratch.run(code) == ["EBUSY", "done", "done"]


@pytest.mark.requires("read-write")
def test_file_without_a_name_is_freed(scratch: Scratch) -> None:
    """A file that was removed while open is gone with its last user, and its room is there again after the unmount."""
    code = """
    fs.mount()
    before = free()
    with open("gone", "wb") as file:
        os.unlink("gone")
        file.write(bytes(8 << 20))
        file.flush()
        syncfs()
    fs.remount()
    lost = before - free()
    fs.unmount()
    answer(lost)
    """
    lost = scratch.run(code)
    assert lost < 4 << 20, f"{lost} bytes are still taken"
