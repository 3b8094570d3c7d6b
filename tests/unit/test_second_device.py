"""The second device of a target that has one: beside each image, under the name of its first device, gone with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit import loop_devices
from tests.unit.test_recover_module import needs_loops
from vexlab.guest.inside import foreign, images, second_device
from vexlab.guest.inside.attempts import shell
from vexlab.guest.inside.damage import restore
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.target import Target

SIZE = 1 << 20
NAMES_BOTH = 'echo "$DEVICE ${SECOND_DEVICE-none}"'


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be somewhere that is left again: what runs in the guest goes to the root directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(second_device, "LINKS", tmp_path / "links")
    monkeypatch.setattr(second_device, "SIZE", tmp_path / "links" / "size")
    yield
    loop_devices.detach_below(tmp_path)


def filesystem(directory: Path, **more: Any) -> Filesystem:
    usual: dict[str, Any] = {
        "image": f"{directory}/image", "point": f"{directory}/point", "device": "", "kind": "toy", "options": "rw",
        "read_only_options": "ro", "persistent": True, "shape": "block", "source": "", "disk": [],
    }  # fmt: skip
    return Filesystem(**usual | {"second_size": SIZE} | more)


def write_both(device: str, first: bytes, second: bytes) -> None:
    for path, content in ((device, first), (second_device.of(device), second)):
        with Path(path).open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file)


@needs_loops
def test_each_device_has_its_own_second_one(tmp_path: Path) -> None:
    """A script that is about a device knows what belongs to it; what was made of the two goes as a whole."""
    one, two = filesystem(tmp_path), filesystem(tmp_path, image=f"{tmp_path}/other", point=f"{tmp_path}/there")
    first, other = one.create(2 * SIZE), two.create(2 * SIZE)
    seconds = [second_device.of(device) for device in (first, other)]
    assert len({os.path.realpath(path) for path in (first, other, *seconds)}) == 4
    assert [images.size_of(path) for path in seconds] == [SIZE, SIZE]
    assert shell(second_device.exports(first) + NAMES_BOTH) == f"{first} {seconds[0]}"
    assert second_device.of("/dev/null") in seconds
    on = Path("/sys/block", Path(seconds[0]).readlink().name, "loop")
    assert on.exists()
    one.remove()
    assert not on.exists()
    assert [path.name for path in tmp_path.glob("image*")] == []
    assert second_device.of("/dev/null") == seconds[1]
    two.remove()


@needs_loops
def test_target_without_one_has_none(tmp_path: Path) -> None:
    """Whatever a target with one has left behind in the same guest."""
    filesystem(tmp_path).create(SIZE)
    fs = filesystem(tmp_path, second_size=0)
    device = fs.create(SIZE)
    assert shell(second_device.exports(device) + NAMES_BOTH) == f"{device} none"
    assert not (tmp_path / "image.second").exists()
    fs.remove()


@needs_loops
def test_both_are_kept_put_back_and_compared(tmp_path: Path) -> None:
    fs = filesystem(tmp_path)
    device = fs.create(2 * SIZE)
    write_both(device, b"first", b"second")
    fs.keep(f"{tmp_path}/master")
    whole, alone = fs.digest(), fs.first_digest()
    write_both(device, b"first", b"SECOND")
    assert (fs.digest() == whole, fs.first_digest() == alone) == (False, True)
    restore(device, f"{tmp_path}/master")
    assert fs.digest() == whole
    device = fs.create(2 * SIZE, master=f"{tmp_path}/master")
    assert Path(second_device.of(device)).read_bytes()[:6] == b"second"
    cut = foreign.cut(f"{tmp_path}/master", f"{tmp_path}/cut", SIZE)
    assert (images.size_of(cut), Path(second_device.of(cut)).read_bytes()[:6]) == (SIZE, b"second")
    foreign.remove(f"{tmp_path}/cut")
    twin = filesystem(tmp_path, image=f"{tmp_path}/twin", point=f"{tmp_path}/elsewhere")
    images.copy_to_device(fs.image, twin.create(2 * SIZE))
    assert twin.digest() == whole
    twin.remove()
    fs.remove()


@needs_loops
def test_it_is_blank_when_all_is_made_anew(tmp_path: Path) -> None:
    fs = filesystem(tmp_path)
    write_both(fs.create(SIZE), b"old", b"old")
    device = fs.create(SIZE)
    assert Path(second_device.of(device)).read_bytes() == bytes(SIZE)
    fs.remove()


@pytest.mark.parametrize(("size", "second"), [(0, ""), (8, "/dev/loop3")])
def test_mkfs_is_told_of_it(size: int, second: str) -> None:
    fields = {"module_source": "kernel", "mkfs_command": "mkfs", "target_name": "toy", "second_device_size_mb": size}
    target = Target({f"vexlab_{name}": value for name, value in fields.items()})
    said = f"export SECOND_DEVICE={second_device.link_of(second)}; " if second else ""
    assert target.mkfs("/dev/loop3") == f"cd /; export DEVICE=/dev/loop3; export LABEL=vexlab; {said}mkfs"
    about_nothing = target.mkfs("/nothing", second_of="/dev/loop3")
    assert about_nothing == f"cd /; export DEVICE=/nothing; export LABEL=vexlab; {said}mkfs"
