"""What a check did to a filesystem that it shares with others isn't found by the next one."""

from __future__ import annotations

from pathlib import Path

from tests.unit.test_guest_conftest import run_stage

# A filesystem is a number here, which says how many were made before; what is done in the guest is counted.
SHARED = """
import pytest
from vexlab.guest.testing import guest as judged, renewal

class Guest:
    orders, unfit = 0, ""
    made = removed = 0
    def do(self, unfit=""):
        self.orders, self.unfit = self.orders + 1, unfit
    def new_notes(self):
        return []
    def close(self):
        pass

@pytest.fixture(scope="session")
def guest(request):
    return request.config.stash.setdefault(judged.GUEST, Guest())

@pytest.fixture(autouse=True)
def _no_new_splat():
    yield

@pytest.fixture(scope="module")
def scratch(request, guest):
    guest.made += 1
    guest.name = renewal.of_session(request.config).name("scratch")
    yield guest.made
    guest.removed += 1
    if guest.stuck:
        raise OSError(16, "Device or resource busy")

Guest.stuck = False

@pytest.fixture(scope="module")
def looked(guest, scratch):
    guest.do()
    return scratch
"""

FAILS = """
def test_a(scratch): assert scratch == 1, "1"
def test_b(guest, looked):
    guest.do()
    assert False, "wrong data"
@pytest.mark.requires("nothing")
def test_skipped(scratch): pass
def test_c(guest, scratch, looked): assert (scratch, looked, guest.removed) == (2, 2, 1), f"{scratch} {looked}"
def test_d(looked): assert looked == 2, "2"
"""


def test_check_after_one_that_failed_gets_a_fresh_filesystem(tmp_path: Path) -> None:
    """With all that was looked up on the old one, and only once."""
    _, found = run_stage(tmp_path, [], text=SHARED + FAILS)
    assert found == {
        "rename.a": ("passed", ""),
        "rename.b": ("failed", "wrong data"),
        "rename.skipped": ("skipped", "target toy does not claim: nothing"),
        "rename.c": ("passed", "it got a fresh filesystem: rename.b failed on the one before"),
        "rename.d": ("passed", ""),
    }


LOOKED_ONLY = """
@pytest.mark.parametrize("case", [1, 2])
def test_a(looked, case): assert False, "what was looked up is wrong"
def test_b(scratch): assert scratch == 1, "it was made anew"
"""


def test_check_that_did_nothing_itself_spoils_nothing(tmp_path: Path) -> None:
    """Of many cases that were tried at once each may fail, and what they were tried on stays."""
    _, found = run_stage(tmp_path, [], text=SHARED + LOOKED_ONLY)
    assert found["rename.b"] == ("passed", "")
    assert found["rename.a[2]"][0] == "failed"


FIXTURE_FAILS = """
@pytest.fixture(scope="module")
def tried(guest, scratch):
    guest.do()
    assert False, f"attempt {guest.orders}"

@pytest.mark.parametrize("case", [1, 2])
def test_a(tried, case): pass
def test_b(scratch): assert scratch == 2, "it is the old one"
"""


def test_attempt_that_failed_for_several_checks_is_made_once(tmp_path: Path) -> None:
    """One that takes two minutes to fail must not take them again for each check that waits for it."""
    _, found = run_stage(tmp_path, [], text=SHARED + FIXTURE_FAILS)
    assert found["rename.a[1]"] == found["rename.a[2]"] == ("failed", "attempt 1")
    assert found["rename.b"] == ("passed", "it got a fresh filesystem: rename.a[1] failed on the one before")


UNFIT = """
@pytest.fixture(scope="module")
def mounted(request, guest, scratch):
    guest.do("{}")
    renewal.of_session(request.config).is_usual(guest.unfit)
    return scratch

def test_a(guest, mounted): guest.do("with 7 bytes of room")
def test_b(guest, mounted):
    guest.do("with 8 bytes of room")
    assert mounted == {}, f"{{mounted}}"
def test_c(guest, mounted): assert mounted == {}, f"{{mounted}}"
"""


def test_check_after_one_that_left_it_full_gets_a_fresh_filesystem(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [], text=SHARED + UNFIT.format("", 2, 3))
    told = "it got a fresh filesystem: rename.a left the one before with 7 bytes of room"
    assert found["rename.b"] == ("passed", told)
    assert found["rename.c"] == ("passed", told.replace("a left", "b left").replace("7", "8"))


def test_filesystem_that_is_full_as_made_is_kept(tmp_path: Path) -> None:
    """An image that mkfs fills has no room on the next one either."""
    _, found = run_stage(tmp_path, [], text=SHARED + UNFIT.format("with 9 bytes of room", 1, 1))
    assert found["rename.b"] == found["rename.c"] == ("passed", "")


STUCK = """
def test_a(guest, scratch):
    guest.do()
    Guest.stuck = True
    assert False, "wrong data"
def test_b(guest, scratch):
    Guest.stuck = False
    assert guest.name == "scratch-2", guest.name
"""


def test_filesystem_that_can_not_be_taken_down_is_left_where_it_is(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [], text=SHARED + STUCK)
    verdict, said = found["rename.b"]
    assert (verdict, "can't be taken down ([Errno 16] Device or resource busy)" in said) == ("passed", True), said
