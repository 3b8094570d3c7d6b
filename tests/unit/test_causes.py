"""What of many failures a person reads first, and that one cause is told once."""

from __future__ import annotations

from vexlab.report.terminal import further
from vexlab.results.causes import causes
from vexlab.results.judging import judge_stage
from vexlab.results.model import Check, Stage, Verdict


def failed(name: str, message: str, promise: str = "") -> Check:
    return Check(name, Verdict.FAILED, 1.0, message, promise=promise)


ERRNO = failed("files.a", "write of 4 bytes: EIO, expected done")
DATA = failed("files.b", "4096 bytes were written to a file, 0 read after a remount")
ENDLESS = failed("files.c", "Write 20 MiB: it did not end within 120 s; python3 in x")
KERNEL = failed("files.d", "the kernel reported a bug: BUG: kernel NULL pointer dereference")
UNREACHED = Check("files.e", Verdict.NOT_RUN, 0.0, "it was not reached")
HANGS = Check("files.f", Verdict.HUNG, 1.0, "the guest did not answer within 90 s")
PASSED = Check("files.g", Verdict.PASSED, 1.0)


def test_the_most_telling_comes_first_and_not_the_first() -> None:
    order = [UNREACHED, ERRNO, PASSED, DATA, ENDLESS, KERNEL, HANGS]
    assert [cause.lead.name[-1] for cause in causes(order)] == ["f", "d", "c", "b", "a", "e"]


def test_one_cause_is_told_once() -> None:
    """Numbers and the case that was tried are no other cause; another errno is."""
    checks = [
        failed("links.size[59]", "symlink of 59 bytes: ENOSPC"),
        failed("links.size[60]", "symlink of 60 bytes: ENOSPC"),
        failed("truncate.grown[cut and grown]", "a file cut and grown: EIO"),
        failed("truncate.grown[with a hole]", "a file with a hole: EIO"),
        failed("links.size[255]", "symlink of 255 bytes: ENAMETOOLONG"),
    ]
    found = causes(checks)
    assert [[cause.lead.name, *(check.name for check in cause.others)] for cause in found] == [
        ["links.size[59]", "links.size[60]"],
        ["truncate.grown[cut and grown]", "truncate.grown[with a hole]"],
        ["links.size[255]"],
    ]
    assert found[0].line == "2 checks, first links.size[59]: symlink of 59 bytes: ENOSPC"


def test_line_begins_with_what_the_check_is_there_for() -> None:
    promise = "Databases and linkers write that way; and more of it (mmap(2))."
    line = causes([failed("data.mapped", 'read(2) gives "x"\nmore', promise)])[0].line
    assert line == 'data.mapped: Databases and linkers write that way. read(2) gives "x"'


def test_reason_of_a_stage_and_what_stands_below_it() -> None:
    twice = failed("files.z", ERRNO.message)
    stage = judge_stage(
        "mount", began=True, role_ok=True, role_reason="", tests_ok=False, checks=[ERRNO, twice, DATA],
        interruption=None, interruption_reason="", seconds=1.0,
    )  # fmt: skip
    assert stage.reason == f"files.b: {DATA.message}"
    assert further(stage) == [f"2 checks, first files.a: {ERRNO.message} (files.z)"]
    assert further(Stage("mount", checks=(ERRNO, twice))) == ["as well: files.z"]
    many = tuple(failed(f"x.{letter}", f"{letter}: wrong") for letter in "abcdefgh")
    assert further(Stage("mount", checks=many))[-1] == "and 2 further causes: vexlab report"
    assert further(Stage("mount", checks=(PASSED, UNREACHED))) == []
