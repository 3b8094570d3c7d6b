"""A compiler's errors as it told them, but with paths that the user has, each once, the first one first."""

from __future__ import annotations

from pathlib import Path

import pytest

from vexlab.results.model import Verdict
from vexlab.run import tracker
from vexlab.run.events import STAGE, RunEnded, TaskEnded, TaskStarted
from vexlab.run.replan import Plan
from vexlab.run.stage_judge import StageJudge
from vexlab.run.tracker import PlannedStage, State
from vexlab.source import compiler_errors

BUILD = "/var/lib/vexlab/build"
# As kbuild and gcc 14 wrote it: an error in a header that two files include, and a make in a directory of its own.
LOG = f"""$ make module
make -C /lib/modules/6.12/build M={BUILD} modules
make[1]: Entering directory '/usr/src/linux-headers-6.12'
  CC [M]  {BUILD}/kernel/super.o
  CC [M]  {BUILD}/kernel/alloc.o
In file included from {BUILD}/kernel/alloc.c:3:
{BUILD}/kernel/toy.h:7:9: error: unknown type name 'u65'
    7 |         u65 wide;
      |         ^~~
{BUILD}/kernel/super.c: In function 'toy_check_super':
{BUILD}/kernel/super.c:157:22: error: 'stats' undeclared (first use in this function); did you mean 'state'?
  157 |         sbi->state = stats;
      |                      ^~~~~
      |                      state
{BUILD}/kernel/super.c:157:22: note: each undeclared identifier is reported only once for each function it appears in
{BUILD}/kernel/super.c:160:1: warning: label 'out' defined but not used [-Wunused-label]
  160 | out:
      | ^~~
In file included from {BUILD}/kernel/super.c:5:
{BUILD}/kernel/toy.h:7:9: error: unknown type name 'u65'
    7 |         u65 wide;
      |         ^~~
make[3]: *** [scripts/Makefile.build:234: {BUILD}/kernel/super.o] Error 1
make[1]: Leaving directory '/usr/src/linux-headers-6.12'
make[1]: Entering directory '{BUILD}/mkfs'
main.c:12:3: fatal error: nowhere.h: No such file or directory
   12 | #include <nowhere.h>
      |          ^~~~~~~~~~~
compilation terminated.
make[1]: *** [Makefile:4: mkfs.toy] Error 1
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "my own: fs"
    for name in ("kernel/super.c", "kernel/alloc.c", "kernel/toy.h", "mkfs/main.c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    return tree


def test_errors_are_those_of_the_users_tree(tmp_path: Path) -> None:
    tree = tmp_path / "fs"
    (tree / "kernel").mkdir(parents=True)
    for name in ("super.c", "alloc.c", "toy.h"):
        (tree / "kernel" / name).touch()
    (tree / "mkfs").mkdir()
    (tree / "mkfs" / "main.c").touch()
    errors = compiler_errors.find(LOG, BUILD, tree)
    assert [(error.file, error.line) for error in errors] == [
        (f"{tree}/kernel/toy.h", 7), (f"{tree}/kernel/super.c", 157), (f"{tree}/mkfs/main.c", 12),
    ]  # fmt: skip
    assert errors[0].lines == (
        f"In file included from {tree}/kernel/alloc.c:3:",
        f"{tree}/kernel/toy.h:7:9: error: unknown type name 'u65'",
        "    7 |         u65 wide;",
        "      |         ^~~",
    )
    assert errors[1].lines[0] == f"{tree}/kernel/super.c: In function 'toy_check_super':"
    assert errors[1].lines[-1].startswith(f"{tree}/kernel/super.c:157:22: note: each undeclared")
    assert errors[1].headline.startswith(f"{tree}/kernel/super.c:157:22: error: 'stats' undeclared")
    assert not any("warning" in line or "make" in line for error in errors for line in error.lines)


def test_directory_of_any_name(source: Path) -> None:
    text = compiler_errors.shown(compiler_errors.find(LOG, BUILD, source), "vexlab logs build")
    assert f"{source}/kernel/super.c:157:22: error: 'stats' undeclared" in text
    assert "of 3 errors" not in text


def test_path_that_the_user_has_not_stays_as_it_was_told(tmp_path: Path) -> None:
    for tree in (tmp_path, None):
        [first, *_] = compiler_errors.find(LOG, BUILD, tree)
        assert first.headline.startswith(f"{BUILD}/kernel/toy.h:7:9: error: ")


def test_few_are_shown_of_many(source: Path) -> None:
    lines = [f"{BUILD}/kernel/super.c:{number}:1: error: no {number}" for number in range(1, 24)]
    text = compiler_errors.shown(compiler_errors.find("\n".join(lines), BUILD, source), "vexlab logs build --name x")
    assert text.splitlines()[0] == f"{source}/kernel/super.c:1:1: error: no 1"
    assert text.splitlines()[5:] == ["5 of 23 errors; `vexlab logs build --name x` for all"]


@pytest.mark.parametrize(
    "log", ["", "make: *** no rule\n", "error: there is no rustc\n", "a.c:1: warning: x\n  1 | a\n"]
)
def test_what_is_no_error_of_a_compiler(log: str) -> None:
    assert compiler_errors.find(log, BUILD, None) == []


@pytest.mark.parametrize("role", ["vexfs_build", "vexfs_structure"])
def test_stage_that_failed_tells_what_the_compiler_said(tmp_path: Path, source: Path, role: str) -> None:
    """Of a role that has no compiler, an old log says nothing."""
    run = tmp_path / "20261101-000000-default"
    run.mkdir()
    (run / "build.log").write_text(LOG)
    failed = TaskEnded(2.0, "failed", role, message="`make` failed with exit code 2")
    state = State((PlannedStage("build"),))
    for event in (TaskStarted(1.0, "", STAGE), failed, RunEnded(3.0)):
        state = tracker.advance(state, event)
    stage = StageJudge(Plan("up", ("build",)), run, run, BUILD, source).judge(state, "build")
    assert stage.verdict is Verdict.FAILED
    if role == "vexfs_build":
        assert stage.reason == f"{source}/kernel/toy.h:7:9: error: unknown type name 'u65'"
        assert stage.details.count("error: ") == 3
        assert "      |                      ^~~~~" in stage.details
    else:
        assert (stage.reason, stage.details) == (failed.message, "")
