"""A filesystem that nobody here wrote: its target file is all that the lab is told of it."""

from __future__ import annotations

import pytest

from tests.e2e.harness import ROOT, Done, Vexlab

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def run(vexlab: Vexlab) -> Done:
    return vexlab("up", "--target", str(ROOT / "examples" / "targets" / "apfs.yml"), "--json")


def test_every_stage_passes(run: Done) -> None:
    assert run.code == 0, run.stderr
    assert {run.stage(name)["verdict"] for name in run.document["selected"]} == {"passed"}


def test_what_it_does_not_claim_is_skipped_with_the_reason(run: Done) -> None:
    skipped = [check for stage in run.document["stages"] for check in stage["checks"] if check["verdict"] == "skipped"]
    assert skipped
    assert all(check["message"] for check in skipped)


def test_it_is_what_is_mounted(vexlab: Vexlab, run: Done) -> None:
    assert run.code == 0
    assert vexlab("ssh", "findmnt -n -o FSTYPE --mountpoint /mnt/vexlab").stdout.strip() == "apfs"
