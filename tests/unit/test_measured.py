"""What a run that claims everything shows of a filesystem: claims that hold, those that don't, and limits."""

from __future__ import annotations

from tests.unit.example_runs import a_run
from vexlab.config import check_list
from vexlab.results import measured
from vexlab.results.model import Check, Run, Stage, Verdict

PASSED, FAILED, PANICKED, SKIPPED = Verdict.PASSED, Verdict.FAILED, Verdict.PANICKED, Verdict.SKIPPED
CLAIMED = ("read-write", "directories", "rename", "hard-links", "timestamps", "truncate", "mmap")


def run_of(checks: dict[str, Verdict], advice: str = "") -> Run:
    """A run whose stage mount had these checks."""
    made = tuple(Check(name, verdict, 0.1, f"{name} said so", advice) for name, verdict in checks.items())
    return a_run({}, stages=(Stage("mount", FAILED, checks=made),))


def test_claim_holds_when_each_check_of_it_passed() -> None:
    run = run_of({"files.error_is_told[x]": PASSED, "truncate.length_and_content_at_once[x]": PASSED,
                  "data.mapped_memory_reaches_the_disk": PANICKED})  # fmt: skip
    found = measured.of_run(run, CLAIMED)
    assert found.claims == ("read-write",)
    assert found.why_not["mmap"] == (
        "mount/data.mapped_memory_reaches_the_disk: data.mapped_memory_reaches_the_disk said so"
    )
    assert found.why_not["hard-links"] == "no check that was run is about it"


def test_what_does_not_work_at_all_takes_the_blame_for_what_needs_it() -> None:
    """Without link(2), checks of times and renames that need it fail as well, and say nothing of times and renames."""
    run = run_of({
        "rename.inode_stays": PASSED, "rename.parent_follows": PASSED, "directories.error_is_told": PASSED,
        "links.link_over_a_name_is_refused": FAILED, "renaming.names_of_one_file_both_stay": FAILED,
    })  # fmt: skip
    found = measured.of_run(run, CLAIMED)
    assert found.claims == ("read-write", "directories", "rename")
    assert found.why_not["hard-links"].startswith("mount/links.link_over_a_name_is_refused: ")


def test_one_failure_costs_the_rarest_claim_alone() -> None:
    """A rename that loses a file is no reason to doubt directories, on which a hundred checks rest."""
    run = run_of({
        "rename.inode_stays": FAILED, "rename.parent_follows": PASSED, "directories.error_is_told": PASSED,
        "directories.parent_and_self_are_right": PASSED,
    })  # fmt: skip
    found = measured.of_run(run, CLAIMED)
    assert (found.claims, found.demanded) == (("read-write", "directories"), ())


def test_what_is_demanded_of_all_costs_no_claim_and_is_told() -> None:
    run = run_of({"files.error_is_told[x]": PASSED, "files.deleted_file_stays_deleted": FAILED})
    found = measured.of_run(run, CLAIMED)
    assert found.claims == ("read-write",)
    assert [check.name for check in found.demanded] == ["files.deleted_file_stays_deleted"]


def test_checks_that_demand_more_of_a_claim_are_there() -> None:
    assert set(measured._ALSO) <= {check.full_name for check in check_list.checks()}
    found = measured.of_run(run_of({"inodes.handle_finds_the_file_again[file]": FAILED}), ("file-handles",))
    assert found.why_not["file-handles"].startswith("mount/inodes.handle_finds_the_file_again[file]: ")


def test_what_was_skipped_says_nothing() -> None:
    found = measured.of_run(run_of({"rename.inode_stays": SKIPPED}), CLAIMED)
    assert found.claims == ()


def test_limits_are_those_that_checks_met() -> None:
    advice = "a name has 28 bytes; to demand that, name it: vexlab_limits has name_bytes: 28"
    found = measured.of_run(run_of({"files.error_is_told[x]": PASSED}, advice), CLAIMED)
    assert found.limits == {"name_bytes": 28}
