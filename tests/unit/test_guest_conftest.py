"""How the checks of a stage are chosen and recorded: known failures, and what a run leaves out or runs alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vexlab.config import kernel_range
from vexlab.results import results_file
from vexlab.results.model import Verdict
from vexlab.run import examination

STAGES = Path(__file__).parents[1] / "stages"

# Stands in for the tests of a stage; conftest.py, which expects and records, is the real one.
CHECKS = """
import pytest

@pytest.fixture
def guest():
    return None

@pytest.fixture(autouse=True)
def _no_new_splat(request):
    yield
    assert "splat" not in request.node.name, "the kernel reported a bug: BUG"

def test_good(): pass
def test_splat(): pass
@pytest.mark.parametrize("part", ["a b", "c"])
def test_bad(part): assert part == "c", "the old name is back"
def test_own_reason(): pytest.skip("not claimed")
"""


@pytest.mark.parametrize(
    ("kernels", "release", "applies"),
    [
        ("", "6.12.48+deb13-amd64", True),
        (">=6.1,<6.13", "6.12.48+deb13-amd64", True),
        (">=6.1, <6.13", "6.13.0-rc1", False),
        (">=6.1,<6.13", "6.1.0-40-amd64", True),
        (">=6.2", "6.1.0-40-amd64", False),
        ("<6.2", "6.12.48", False),
        ("<=6.12", "6.12.48", True),
        (">6.12", "6.12.48", False),
        (">6.12", "7.0", True),
        ("==6.12", "6.12.48", True),
        ("==6.12.4", "6.12.48", False),
        (">=6", "5.10.0", False),
    ],
)
def test_range_of_kernels(kernels: str, release: str, applies: bool) -> None:
    assert kernel_range.applies(kernels, release) is applies


def run_stage(
    tmp_path: Path,
    known: list[dict[str, Any]],
    choice: dict[str, list[str]] | None = None,
    text: str = CHECKS,
    before: tuple[str, ...] = (),
    *,
    claims: str = "label",
    environ: dict[str, str] | None = None,
) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run checks as stage mount with the real conftest: pytest's exit code, what was recorded. `text` has others."""
    record = tmp_path / "run" / "stages" / "mount" / "checks.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    if choice is not None:
        record.with_name("choice.json").write_text(json.dumps({"only": [], "leave_out": []} | choice))
    checks = tmp_path / "test_rename.py"
    checks.write_text(text)
    host: dict[str, Any] = {
        "ansible_connection": "local",
        "vexlab_target_name": "toy",
        "vexlab_capabilities": [claims],
        "vexlab_device": "",
        "vexlab_phase": 0,
        "vexlab_debug": "none",
        "vexlab_debug_kinds": {"none": {"arguments": "", "slower": 1}},
    }
    host["vexlab_known_failures"] = known
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": host}}}))
    command = [
        *before, sys.executable, "-m", "pytest", "-q", f"--config-file={STAGES}/pytest.ini", f"--confcutdir={STAGES}",
        "-p", "conftest", f"--rootdir={tmp_path}", "--hosts=ansible://here",
        f"--ansible-inventory={tmp_path}/inventory.yml", "--stage=mount", f"--run-directory={tmp_path}/run",
        str(checks),
    ]  # fmt: skip
    environment = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(STAGES)} | (environ or {})
    done = subprocess.run(command, env=environment, check=False)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    return done.returncode, {line["name"]: (line["verdict"], line["message"] or line["advice"]) for line in lines}


# What a check may call beside assert, and the ways in which a guest goes away.
FIXTURES = """
import pytest
from vexlab.guest.testing.connection import HungError, LostError

@pytest.fixture(scope="session")
def lab():
    class Lab:
        capabilities = ["label"]
        phase = 0
        scratch_is_on_device = False
    return Lab()

@pytest.fixture
def guest():
    return None

@pytest.fixture(autouse=True)
def _no_new_splat():
    yield

"""
TASTE = """
def test_advised(claim):
    claim("alias", False, "no alias")
    claim("other", True, "never told")

def test_claimed(claim):
    claim("label", False, "no label")

def test_kept(claim):
    claim("label", True, "no label")
"""


WORDS = """
def test_errno(): assert False, "writer 2: [Errno 28] No space left on device: 'x'"
def test_broken(): {}["x"]
"""


def test_words_of_a_failure_are_none_of_pythons(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [], text=FIXTURES + WORDS)
    assert found["rename.errno"][1] == "writer 2: ENOSPC, No space left on device: 'x'"
    assert found["rename.broken"][1] == "the check could not go on with what it saw ('x')"


REMOUNTS = """
def test_kept(): assert False, "it has 59 bytes after a remount"
def test_read_only(): assert False, "after a remount read-only was done, it still wrote"
"""


@pytest.mark.parametrize(
    ("claims", "more"),
    [("persistent", ""), ("label", " (it was not remounted, since the target does not claim persistent)")],
)
def test_remount_that_was_not_done_is_told(tmp_path: Path, claims: str, more: str) -> None:
    """A filesystem that keeps nothing is looked at in the same mount; a remount to read-only is another matter."""
    _, found = run_stage(tmp_path, [], text=FIXTURES + REMOUNTS, claims=claims)
    assert found["rename.kept"][1] == f"it has 59 bytes after a remount{more}"
    assert found["rename.read_only"][1] == "after a remount read-only was done, it still wrote"


def test_matter_of_taste_is_advice_unless_it_is_claimed(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [], text=FIXTURES + TASTE)
    verdict, message = found.pop("rename.claimed")
    assert (verdict, message.splitlines()[0]) == ("failed", "no label; the target claims label")
    assert found == {"rename.advised": ("passed", "no alias"), "rename.kept": ("passed", "")}


@pytest.mark.parametrize(
    ("problem", "code"), [("HungError('stuck')", 20), ("LostError('gone')", 20), ("AssertionError('wrong')", 1)]
)
def test_exit_code_tells_a_guest_that_can_not_go_on(tmp_path: Path, problem: str, code: int) -> None:
    """The playbook goes on with the next stage after failed checks, but not on a guest that is none any more."""
    text = f"{FIXTURES}\ndef test_before(): pass\ndef test_gone(): raise {problem}\ndef test_after(): pass\n"
    assert run_stage(tmp_path, [], text=text)[0] == code


def test_expected_failure_is_recorded_with_its_reason(tmp_path: Path) -> None:
    checks = {"mount/rename.bad[a b]": "issue 7", "mount/rename.splat": "issue 8", "load/x.y": "of another stage"}
    code, found = run_stage(tmp_path, [{"check": check, "reason": reason} for check, reason in checks.items()])
    assert code == 0
    verdict, message = found["rename.bad[a b]"]
    assert (verdict, message.splitlines()[0]) == ("xfailed", "issue 7")
    assert "the old name is back" in message
    verdict, message = found["rename.splat"]
    assert (verdict, message.splitlines()[:2]) == ("xfailed", ["issue 8", "the kernel reported a bug: BUG"])
    assert found["rename.good"] == ("passed", "")


def test_unexpected_pass_is_a_failure_that_says_so(tmp_path: Path) -> None:
    code, found = run_stage(tmp_path, [{"check": "mount/rename.good", "reason": "issue 7"}])
    assert code == 1
    said = "it passed, and vexlab_known_failures says that it fails: issue 7"
    assert found["rename.good"] == ("failed", said)
    assert found["rename.bad[a b]"][0] == "failed"


def test_skipped_check_stays_skipped(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [{"check": "mount/rename.own_reason", "reason": "issue 7"}])
    assert found["rename.own_reason"] == ("skipped", "not claimed")


def test_a_star_means_several_of_which_one_has_to_fail(tmp_path: Path) -> None:
    entry = {"check": "mount/rename.bad[*]", "reason": "no rename", "issue": "https://example.org/7"}
    code, found = run_stage(tmp_path, [entry, {"check": "mount/rename.splat", "reason": "issue 8"}])
    assert code == 0
    verdict, message = found["rename.bad[a b]"]
    assert (verdict, message.splitlines()[0]) == ("xfailed", "no rename (https://example.org/7)")
    assert found["rename.bad[c]"] == ("passed", "")
    whole = {"check": "mount/rename.*", "reason": "a whole module"}
    code, found = run_stage(tmp_path, [whole])
    assert (code, found["rename.good"]) == (0, ("passed", ""))


def test_a_star_whose_checks_pass_is_out_of_date(tmp_path: Path) -> None:
    text = f"{FIXTURES}\ndef test_one(): pass\ndef test_other(): pass\n"
    code, found = run_stage(tmp_path, [{"check": "mount/rename.o*", "reason": "old"}], text=text)
    said = "vexlab_known_failures: mount/rename.o*: each of its checks passed; take it off the list"
    assert (code, found["known_failures"]) == (1, ("failed", said))
    choice = {"leave_out": ["rename.other"]}  # what did not run says nothing
    code, found = run_stage(tmp_path, [{"check": "mount/rename.o*", "reason": "old"}], choice, text=text)
    assert (code, sorted(found)) == (0, ["rename.one"])


def test_what_fails_now_and_then_may_do_either(tmp_path: Path) -> None:
    flaky: dict[str, Any] = {"check": "mount/rename.*", "reason": "a race", "sometimes": True}
    code, found = run_stage(tmp_path, [flaky])
    assert (code, found["rename.good"], found["rename.bad[a b]"][0]) == (0, ("passed", ""), "xfailed")
    assert found["rename.bad[a b]"][1].splitlines()[0] == "fails now and then: a race"


def test_unknown_check_is_named_and_nothing_runs(tmp_path: Path) -> None:
    code, found = run_stage(tmp_path, [{"check": "mount/rename.bda[c]", "reason": "issue 7", "kernels": "<1.0"}])
    assert code == 4
    said = "mount/rename.bda[c] is no check of stage mount; did you mean mount/rename.bad[c]?"
    assert found == {"known_failures": ("failed", f"vexlab_known_failures: {said}")}


def planned(tmp_path: Path) -> list[str]:
    return (tmp_path / "run" / "stages" / "mount" / "planned").read_text().splitlines()


def test_without_a_choice_all_are_planned_by_name(tmp_path: Path) -> None:
    _, found = run_stage(tmp_path, [])
    assert planned(tmp_path) == list(found)
    assert "rename.bad[a b]" in found


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        ({"only": ["rename.bad[a b]"]}, ["rename.bad[a b]"]),
        ({"only": ["rename.bad"]}, ["rename.bad[a b]", "rename.bad[c]"]),
        ({"only": ["rename.*b*", "rename.good"]}, ["rename.good", "rename.bad[a b]", "rename.bad[c]"]),
        ({"only": ["rename"], "leave_out": ["rename.good", "rename.bad[c]"]}, ["rename.splat", "rename.bad[a b]"]),
        ({"leave_out": ["rename.bad[a b]", "rename.splat"]}, ["rename.good", "rename.bad[c]", "rename.own_reason"]),
        ({"leave_out": ["rename.bad"]}, ["rename.good", "rename.splat", "rename.own_reason"]),
        ({"leave_out": ["rename.", "other.x"]}, []),
        ({"leave_out": ["ren.", "rename.goo"]}, ["rename.good", "rename.splat", "rename.bad[a b]", "rename.bad[c]"]),
    ],
    ids=[
        "only",
        "each parameter",
        "a star",
        "the rest of what was chosen",
        "leave out",
        "a whole function",
        "a whole module",
        "parts of names are no names",
    ],
)
def test_choice_is_kept(tmp_path: Path, choice: dict[str, list[str]], left: list[str]) -> None:
    """A known failure that is left out is no unknown one."""
    code, found = run_stage(tmp_path, [{"check": "mount/rename.bad[a b]", "reason": "issue 7"}], choice)
    assert list(found)[: len(left) or None] == left == planned(tmp_path)[: len(left) or None]
    assert code == (5 if not left else 1 if "rename.splat" in left else 0)


def test_what_a_choice_leaves_out_is_counted(tmp_path: Path) -> None:
    """By whoever chose; what a crash had left out is in the results all the same."""
    left_out = tmp_path / "run" / "stages" / "mount" / "left_out"
    run_stage(tmp_path, [], {"leave_out": ["rename.good"]})
    assert not left_out.exists()
    run_stage(tmp_path, [], {"only": ["rename.bad"], "leave_out": ["rename.bad[c]"]})
    assert left_out.read_text() == "3\n"


def test_name_that_chooses_nothing_is_an_error(tmp_path: Path) -> None:
    """Less would be run than was asked for."""
    code, found = run_stage(tmp_path, [], {"only": ["rename.good", "rename.bad[d]"]})
    assert code == 4
    assert found == {"choice": ("failed", "no check of stage mount is meant by mount/rename.bad[d]")}


def test_python_without_assertions_judges_nothing(tmp_path: Path) -> None:
    """Every check would pass."""
    code, found = run_stage(tmp_path, [], environ={"PYTHONOPTIMIZE": "1"})
    said = "this Python leaves assertions out: unset PYTHONOPTIMIZE, and don't call it with -O"
    assert (code, found) == (4, {"python": ("failed", said)})


def test_deadlines_of_checks_are_their_own(tmp_path: Path) -> None:
    """What a person has set for another pytest would fail a check that is only slow."""
    text = f"{FIXTURES}\nimport time\ndef test_slow(): time.sleep(0.5)\n"
    code, found = run_stage(tmp_path, [], text=text, environ={"PYTEST_TIMEOUT": "0.1"})
    assert (code, found["rename.slow"][0]) == (0, "passed")


# The check in the middle finds the guest unusable, and says so through the class that is put in.
UNUSABLE = """
from vexlab.guest.testing import connection
import pytest

@pytest.fixture
def guest():
    return None

@pytest.fixture(autouse=True)
def _no_new_splat():
    yield

def test_before(): pass
def test_finds_out(): raise connection.{}("the words")
def test_after(): pass
"""


@pytest.mark.parametrize(
    ("problem", "verdict"), [("HungError", "hung"), ("LostError", "lost"), ("FullError", "not_run")]
)
@pytest.mark.parametrize("known", [[], [{"check": "mount/rename.finds_out", "reason": "issue 7"}]], ids=["", "known"])
def test_an_unusable_guest_ends_the_stage(
    tmp_path: Path, problem: str, verdict: str, known: list[dict[str, str]]
) -> None:
    """It is no check that failed, and what comes after it didn't run. That a check is known to fail excuses nothing."""
    code, found = run_stage(tmp_path, known, text=UNUSABLE.format(problem))
    assert code == 20  # beyond pytest's own: the play must not go on
    assert found == {"rename.before": ("passed", ""), "rename.finds_out": (verdict, "the words")}
    assert planned(tmp_path) == ["rename.before", "rename.finds_out", "rename.after"]
    record = tmp_path / "run" / "stages" / "mount" / "checks.jsonl"
    assert results_file.read_checks(record)[-1].verdict is Verdict(verdict)


def test_a_record_that_can_not_be_written_is_no_verdict(tmp_path: Path) -> None:
    """The disk of whoever judges is full: the exit code says so, which vexlab knows, and no check has failed."""
    record = tmp_path / "run" / "stages" / "mount" / "checks.jsonl"
    record.parent.mkdir(parents=True)
    record.touch()  # what the checks see in its place is on a disk of their own
    bwrap, dd = shutil.which("bwrap"), shutil.which("dd")
    fill = f'{dd} if=/dev/zero of="$0/all" bs=4096 status=none 2>/dev/null; exec "$@"'
    small = (str(bwrap), "--dev-bind", "/", "/", "--size", "65536", "--tmpfs", str(record.parent))
    code, found = run_stage(tmp_path, [], before=(*small, "/bin/sh", "-c", fill, str(record.parent)))
    assert (code, found) == (examination.MACHINE_EXIT, {})
