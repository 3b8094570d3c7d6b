"""Module mkfs on real images and loop devices: what is formatted, what is refused, and what an end leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit import loop_devices, modules
from tests.unit.test_recover_module import needs_loops
from vexlab.guest.lab import started

MADE = 'printf "%s" "$LABEL" >"$DEVICE"'  # stands for mkfs


@pytest.fixture(autouse=True)
def detached(tmp_path: Path) -> Iterator[None]:
    yield
    loop_devices.detach_below(tmp_path)


def inputs(here: Path, **other: Any) -> dict[str, Any]:
    usual = {"image": str(here / "new" / "device.img"), "size_mb": 4, "command": MADE, "label": "a b"}
    return usual | {"directory": str(here)} | other


def attached(image: Path) -> str:
    return subprocess.run(["losetup", "--associated", image], capture_output=True, text=True, check=True).stdout


@needs_loops
def test_image_is_formatted_through_a_loop_device_once(tmp_path: Path) -> None:
    image = tmp_path / "new" / "device.img"
    answer = modules.run("mkfs", inputs(tmp_path))
    assert (answer["failed"], answer["changed"], answer["device"]) == (False, True, {}), answer
    assert (image.stat().st_size, image.read_bytes()[:4], attached(image)) == (4 << 20, b"a b\0", "")
    assert image.stat().st_blocks * 512 < 1 << 20
    assert not modules.run("mkfs", inputs(tmp_path))["changed"]


@needs_loops
@pytest.mark.parametrize("changed", ["label", "size_mb", "command", "made_by"])
def test_another_input_makes_another_image(tmp_path: Path, changed: str) -> None:
    (tmp_path / "build.json").write_text("1")
    values = {"label": "c", "size_mb": 5, "command": f"{MADE}; :", "made_by": str(tmp_path / "build.json")}
    modules.run("mkfs", inputs(tmp_path))
    for check, expected in ((True, True), (False, True), (False, False)):
        answer = modules.run("mkfs", inputs(tmp_path, **{changed: values[changed]}), check=check)
        assert answer["changed"] is expected


@needs_loops
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo out; echo bad >&2; exit 3", "exit code 3: bad"),
        ("echo out; exit 4", "exit code 4: out"),
        ("exit 5", "exit code 5: it printed nothing"),
        ("printf '\\377' >&2; exit 1", "exit code 1: \\xff"),
        ("kill -SEGV $$", "exit code 139: it printed nothing"),
    ],
)
def test_mkfs_that_fails_is_told_in_its_words(tmp_path: Path, command: str, said: str) -> None:
    """And leaves no record, so that the next run formats again."""
    answer = modules.run("mkfs", inputs(tmp_path, command=command))
    assert answer["msg"] == f"`{command}` failed with {said}"
    image = tmp_path / "new" / "device.img"
    assert (attached(image), Path(f"{image}.json").exists()) == ("", False)
    assert modules.run("mkfs", inputs(tmp_path, command=command), check=True)["changed"]


@needs_loops
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_detaches_the_loop_device_and_ends_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """With what it started; the record of an image that was right before is gone as well."""
    image, record = tmp_path / "new" / "device.img", tmp_path / "new" / "device.img.json"
    modules.run("mkfs", inputs(tmp_path))
    command = f"sleep 600 & echo $! >{tmp_path}/child; wait"
    with subprocess.Popen(modules.command("mkfs"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(modules.arguments(inputs(tmp_path, command=command)))
        process.stdin.close()
        process.stdin = None
        deadline = time.monotonic() + 60
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert attached(image) != ""
        process.send_signal(number)
        said = json.loads(process.communicate(timeout=60)[0])["msg"]
    assert said == f"formatting {image} was ended by {'Ctrl-C' if number == signal.SIGINT else number.name}"
    assert (attached(image), record.exists()) == ("", False)
    assert not started(int((tmp_path / "child").read_text()))


@needs_loops
def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    answer = modules.run("mkfs", inputs(tmp_path), check=True)
    assert (answer["failed"], answer["changed"]) == (False, True)
    assert list(tmp_path.iterdir()) == []


@needs_loops
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("state", ["formatted", "absent"])
def test_image_that_is_attached_is_refused(tmp_path: Path, state: str, check: bool) -> None:
    """By its real path, which is what the kernel knows."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    image = tmp_path / "real" / "device.img"
    image.write_bytes(b"kept".ljust(1 << 20))
    loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True).stdout.strip()
    try:
        through = f"{tmp_path}/link/device.img"
        answer = modules.run("mkfs", inputs(tmp_path, image=through, state=state), check=check)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
    what = "formatted" if state == "formatted" else "removed"
    assert answer["msg"] == f"{through} is not {what}: it is attached to {Path(loop).name}; unmount it first."
    assert image.read_bytes()[:4] == b"kept"


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/null"), os.mkfifo])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "image")
    for check in (True, False):
        answer = modules.run("mkfs", inputs(tmp_path, image=f"{tmp_path}/image"), check=check)
        assert answer["msg"] == f"{tmp_path}/image is not formatted: it is not a regular file."


def test_nothing_is_removed_when_the_command_can_not_run(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_text("kept")
    answer = modules.run("mkfs", inputs(tmp_path, image=str(image), directory=f"{tmp_path}/none"))
    assert answer["msg"] == f"there is no directory {tmp_path}/none, in which the command is to run"
    assert image.read_text() == "kept"


@needs_loops
def test_image_is_removed_with_its_record(tmp_path: Path) -> None:
    modules.run("mkfs", inputs(tmp_path))
    for check, changed, left in ((True, True, 2), (False, True, 0), (False, False, 0)):
        answer = modules.run("mkfs", inputs(tmp_path, state="absent"), check=check)
        assert (answer["failed"], answer["changed"]) == (False, changed)
        assert len(list((tmp_path / "new").iterdir())) == left


BOTH = 'printf a >"$DEVICE"; printf b >"$SECOND_DEVICE"'


@needs_loops
def test_second_device_is_another_image_beside_the_first(tmp_path: Path) -> None:
    """It is made, formatted and removed with the first one, and made anew when its size is another one."""
    image, second = tmp_path / "new" / "device.img", tmp_path / "new" / "device.img.second"
    for size, changed in ((3, True), (3, False), (2, True)):
        answer = modules.run("mkfs", inputs(tmp_path, command=BOTH, second_size_mb=size))
        assert (answer["failed"], answer["changed"]) == (False, changed), answer
        assert (second.stat().st_size, image.read_bytes()[:1], second.read_bytes()[:1]) == (size << 20, b"a", b"b")
    second.unlink()
    assert modules.run("mkfs", inputs(tmp_path, command=BOTH, second_size_mb=2))["changed"]
    assert (attached(image), attached(second)) == ("", "")
    assert modules.run("mkfs", inputs(tmp_path, command=MADE))["changed"]
    assert not second.exists()
    modules.run("mkfs", inputs(tmp_path, command=BOTH, second_size_mb=2))
    modules.run("mkfs", inputs(tmp_path, state="absent"))
    assert list((tmp_path / "new").iterdir()) == []


@needs_loops
def test_second_image_that_is_attached_is_refused(tmp_path: Path) -> None:
    second = tmp_path / "device.img.second"
    second.write_bytes(b"kept".ljust(1 << 20))
    subprocess.run(["losetup", "-f", second], check=True)
    answer = modules.run("mkfs", inputs(tmp_path, image=f"{tmp_path}/device.img", command=BOTH, second_size_mb=1))
    assert answer["msg"].startswith(f"{second} is not formatted: it is attached to loop"), answer["msg"]
    assert second.read_bytes()[:4] == b"kept"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"second_size_mb": 8}, "the filesystem has a second device, and none is named; nothing is formatted."),
        ({"second_device": "/dev/disk/by-id/vexlab-b", "second_serial": "S2"}, "there is no such device"),
    ],
)
def test_second_device_must_be_named_and_free(tmp_path: Path, second: dict[str, Any], said: str) -> None:
    more = {"device": "/dev/disk/by-id/vexlab-a", "serial": "S1", "command": "touch ran"} | second
    answer = modules.run("mkfs", inputs(tmp_path, **more), check=True)
    assert said in answer["msg"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("check", [True, False])
def test_device_is_refused_before_anything_runs(tmp_path: Path, check: bool) -> None:
    device = "/dev/disk/by-id/vexlab-nothing"
    answer = modules.run("mkfs", inputs(tmp_path, device=device, serial="S1", command="touch ran"), check=check)
    expected = (
        f"{device} is not formatted: there is no such device." if check else f"{device}: No such file or directory"
    )
    assert (answer["msg"], (tmp_path / "ran").exists()) == (expected, False)
