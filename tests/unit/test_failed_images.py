"""A check that fails leaves the image of its filesystem; ssh is a program here that runs the script on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.test_guest_conftest import run_stage

SSH = """#!/bin/sh
for last; do :; done
exec sh -c "$last"
"""
CHECKS = """
import pytest
from vexlab.guest.testing import guest as judged
from vexlab.guest.testing.scratch import Scratch

class Guest:
    variables = {{"ansible_host": "guest"}}
    orders, unfit = 0, ""
    def new_notes(self):
        return []
    def close(self):
        pass

class Made(Scratch):
    def __init__(self, image):
        self.image, self.device = image, ""

@pytest.fixture(scope="session")
def guest(request):
    return request.config.stash.setdefault(judged.GUEST, Guest())

@pytest.fixture(autouse=True)
def _no_new_splat():
    yield

@pytest.fixture(scope="session", autouse=True)
def _device_is_given_back():
    yield

@pytest.fixture(scope="module")
def scratch(guest):
    return Made("{directory}/scratch.img")

@pytest.fixture(scope="module")
def mounted(scratch):
    return "what is made of it"

def test_right(scratch): pass
def test_known(scratch): assert False
def test_skipped(scratch): pytest.skip("not here")
@pytest.mark.parametrize("number", ["a/b", "2"])
def test_wrong(scratch, number): assert False
def test_without(guest): assert False
def test_fourth(mounted): assert False
"""
OF_SCRATCH, OF_LAB = b"scratch" * 1000, b"lab" * 1000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with two images, and an ssh in `bin`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(SSH)
    (tmp_path / "bin" / "ssh").chmod(0o755)
    (tmp_path / "scratch.img").write_bytes(OF_SCRATCH)
    (tmp_path / "device.img").write_bytes(OF_LAB)
    return tmp_path


def kept(place: Path, **more: Any) -> dict[str, bytes]:
    """What images are kept of the checks of stage mount."""
    known = [{"check": "mount/rename.known", "reason": "it is known"}]
    host = {"vexlab_device_kind": "block", "vexlab_work_directory": str(place)} | more
    (place / "host_vars").mkdir()
    (place / "host_vars" / "here.yml").write_text(yaml.safe_dump(host))
    ssh = ("/usr/bin/env", f"PATH={place}/bin:{Path(sys.executable).parent}:/usr/bin:/bin")
    code, recorded = run_stage(place, known, text=CHECKS.format(directory=place), before=ssh)
    assert code == 1
    assert [verdict for verdict, _ in recorded.values()].count("failed") == 4
    return {path.name: path.read_bytes() for path in (place / "run" / "stages" / "mount").glob("*.img*")}


def test_first_three_that_fail_leave_their_image(place: Path) -> None:
    """Of the lab's own filesystem where a check has no other; none of what is right, known or skipped."""
    assert kept(place) == {
        "rename.wrong-a-b.img": OF_SCRATCH, "rename.wrong-2.img": OF_SCRATCH, "rename.without.img": OF_LAB,
    }  # fmt: skip


def test_image_that_is_gone_leaves_none_and_the_next_is_kept(place: Path) -> None:
    (place / "device.img").unlink()
    assert sorted(kept(place)) == ["rename.fourth.img", "rename.wrong-2.img", "rename.wrong-a-b.img"]


def test_disk_of_a_person_is_not_copied(place: Path) -> None:
    assert kept(place, vexlab_device="/dev/disk/by-id/mine") == {}


def test_without_a_device_there_is_none(place: Path) -> None:
    assert kept(place, vexlab_device_kind="none") == {}
