"""Matrices: which cells there are, what is expected of each, and how what was found is told."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from rich.console import Console

from vexlab.cli.main import cli
from vexlab.config import installation, settings, user_directories
from vexlab.config.settings import Options
from vexlab.errors import HostProblem, UsageProblem
from vexlab.matrix import archive, builder, cells, choice, expectation
from vexlab.matrix.cells import Cell
from vexlab.report import matrix as report
from vexlab.results import matrix as records
from vexlab.results.matrix import CellRecord, Finding, HostRecord, MatrixRecord, Tier
from vexlab.results.model import Verdict

ROOT = Path(__file__).parents[2]
ERROR = "/src/super.c:7:1: error: incompatible pointer type"
BUILT = Finding(Verdict.PASSED, release="6.12.9-amd64", seconds=4.2)
BROKEN = Finding(Verdict.FAILED, release="7.3.4-amd64", seconds=3.0, error=ERROR, details=f"{ERROR}\n  7 | x\n")
OLD: dict[str, Any] = {"fails": "build", "kernels": ">=7.2", "reason": "the VFS changed", "error": "incompatible"}


def plan(**given: Any) -> list[Cell]:
    """The cells of the bundled target, or of what is given."""
    wanted: dict[str, Any] = {"targets": [], "kernels": ["6.12"], "variants": [], "base": Options()} | given
    return cells.plan(*wanted.values())


# ---------------------------------------------------------------- planning


def test_targets_kernels_and_variants_are_multiplied() -> None:
    nodev = str(ROOT / "examples/targets/nodev.yml")
    found = plan(targets=[str(ROOT / "examples/targets/vexfs.yml"), nodev], kernels=["6.1", "7.3"])
    assert [(cell.settings.target_name, cell.kernel, cell.variant) for cell in found] == [
        ("vexfs", "6.1", "c-only"), ("vexfs", "6.1", "full"), ("vexfs", "7.3", "c-only"), ("vexfs", "7.3", "full"),
        ("nodev", "6.1", "c-only"), ("nodev", "7.3", "c-only"),
    ]  # fmt: skip


def test_variant_that_only_one_target_has_is_of_that_target() -> None:
    nodev = str(ROOT / "examples/targets/nodev.yml")
    found = plan(targets=[str(ROOT / "examples/targets/vexfs.yml"), nodev], variants=["full"])
    assert [(cell.settings.target_name, cell.variant) for cell in found] == [("vexfs", "full")]


def test_unknown_variant_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageProblem, match="unknown variant 'fully'") as caught:
        plan(variants=["fully"])
    assert caught.value.hint == "known: c-only, full"


def test_module_of_the_kernel_itself_has_no_matrix() -> None:
    with pytest.raises(UsageProblem, match="target ext4 is the kernel's own module, and nothing is built"):
        plan(targets=[str(ROOT / "examples/targets/controls/ext4.yml")])


def test_name_of_a_cell_is_that_of_a_lab_and_its_own(tmp_path: Path) -> None:
    debs = tmp_path / "A Directory_of" / "Kernels"
    debs.mkdir(parents=True)
    words = ["6.12", "6.1", "trixie-backports", "7.3.4+deb13-amd64", str(debs)]
    names = [cell.name for cell in plan(kernels=words)] + [cell.name for cell in plan(base=Options(source="/usr/src"))]
    assert [settings.check_lab_name(name) for name in names] == names
    assert len(set(names)) == 2 * len(words) + 2


def test_kernel_that_is_given_twice_is_one_cell() -> None:
    assert len(plan(kernels=["6.12", "6.12"], variants=["full"])) == 1


def test_suites_without_any_headers_are_no_matrix_of_nothing(tmp_path: Path) -> None:
    """It would end with 0, and nothing was seen."""
    lists = tmp_path / "kernels" / "lists"
    lists.mkdir(parents=True)
    package = {"name": "hello", "version": "1", "sha256": "0", "size": 1, "depends": []}
    (lists / "odd.json").write_text(json.dumps({"fetched": 0, "packages": [package]}))
    contract = {"vexlab_cache_directory": str(tmp_path), "vexlab_kernel_suites": ["odd"]}
    with pytest.raises(HostProblem, match="none of odd has a kernel with headers"):
        choice.all_series(contract, pytest.fail)


def test_command_runs_the_cell_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (cell,) = plan(targets=["examples/targets/nodev.yml"])
    assert cell.command(Tier.LOAD) == (
        "vexlab matrix --load --target examples/targets/nodev.yml --kernel 6.12 --variant c-only"
    )


def test_command_of_a_cell_has_the_options_that_the_matrix_was_given() -> None:
    """Else the job of a workflow has another kernel than was asked for, and passes."""
    words = [
        "matrix",
        "--test",
        "--format=github",
        "--kernel=6.12",
        "--variant=full",
        f"--source={ROOT}/examples/vexfs",
    ]
    given = ["--debug", "slab", "--cold", "--vmcore", "--quick"]
    done = CliRunner(catch_exceptions=False).invoke(cli, [*words, *given], standalone_mode=False)
    [cell] = json.loads(done.stdout)["include"]
    assert cell["command"] == (
        f"vexlab matrix --test --source {ROOT}/examples/vexfs --quick --debug slab --cold --vmcore --kernel 6.12 "
        "--variant full"
    )


def test_matrix_of_a_workflow_names_each_cell_and_its_command() -> None:
    document = json.loads(json.dumps(cells.include(plan(variants=["full"]), Tier.BUILD)))
    (entry,) = document["include"]
    assert entry == {
        "name": "vexfs 6.12 full", "cell": plan(variants=["full"])[0].name, "target": "", "kernel": "6.12",
        "variant": "full", "command": "vexlab matrix --build --kernel 6.12 --variant full",
    }  # fmt: skip


# ---------------------------------------------------------------- what is built


def test_build_is_told_what_the_role_would_be_told() -> None:
    """THE map has it once; a second one here would be wrong some day."""
    (cell,) = plan(variants=["full"])
    inputs = builder.inputs_of(cell.contract)
    assert inputs["command"] == cell.contract["vexlab_build_command"]
    assert (inputs["variant"], inputs["module_file"]) == ("full", "vexfs.ko")
    assert inputs["exclude"] == cell.contract["vexlab_exclude"]
    assert inputs["tree"] == cell.settings.source
    assert inputs["source"] == "/var/lib/vexlab/source"
    assert inputs["deadline"] == 840


def test_inputs_that_need_more_than_the_contract_are_left_to_ansible() -> None:
    given = installation.inputs_of_role("vexfs_build", settings.of_target(None) | {"vexlab_lab_directory": "/l"})
    assert given["vexfs_build_sandbox_work"] == "/l/build"
    assert not {"vexfs_build_builder", "vexfs_build_sandbox_root", "vexfs_build_sandbox_ssh"} & set(given)


# ---------------------------------------------------------------- what is expected


@pytest.mark.parametrize(
    ("entry", "tier", "release", "fails"),
    [
        ({}, "build", "7.3.4-amd64", "build"),
        ({}, "build", "6.12.9", None),
        ({}, "test", "7.3.4", "build"),
        ({"fails": "load"}, "build", "7.3.4", None),  # a build can't show it
        ({"fails": "load"}, "load", "7.3.4", "load"),
        ({"fails": "load"}, "test", "7.3.4", "load"),
        ({"fails": "test"}, "load", "7.3.4", None),
        ({"variants": ["full"]}, "build", "7.3.4", None),
        ({"variants": ["c-only"]}, "build", "7.3.4", "build"),
        ({"kernels": ""}, "build", "5.10.0", "build"),
        ({}, "build", "", None),  # of a kernel that could not be had nothing is known
    ],
)
def test_which_cells_an_entry_is_about(entry: dict[str, Any], tier: str, release: str, fails: str | None) -> None:
    found = expectation.of_cell([OLD | entry], Tier(tier), "c-only", release)
    assert found.fails == fails


def test_first_tier_of_which_it_is_said_counts() -> None:
    found = expectation.of_cell([OLD | {"fails": "load", "reason": "later"}, OLD], Tier.TEST, "c-only", "7.3")
    assert str(found) == "doesn't build: the VFS changed"


@pytest.mark.parametrize(
    ("fails", "found", "met", "said"),
    [
        (None, BUILT, True, ""),
        (None, BROKEN, False, ""),
        (None, Finding(problem="no mirror"), False, ""),
        ("build", BROKEN, True, ""),
        ("build", BUILT, False, "it should fail at build: the VFS changed"),
        (
            "build",
            replace(BROKEN, error="x.c:1: error: no such field", details=""),
            False,
            "another one than 'incompat",
        ),
        ("build", Finding(problem="no mirror"), False, ""),
        ("build", replace(BROKEN, tier=Tier.LOAD), False, "it should fail at build: the VFS changed"),
        ("load", BROKEN, False, "it should get to load, and fail there: the VFS changed"),
        ("load", replace(BROKEN, tier=Tier.LOAD), True, ""),
        ("load", replace(BROKEN, tier=Tier.LOAD, verdict=Verdict.PANICKED), True, ""),
    ],
)
def test_whether_what_was_found_was_expected(fails: str | None, found: Finding, met: bool, said: str) -> None:
    tier = Tier.BUILD if fails is None else Tier(fails)
    entries = [] if fails is None else [OLD | {"fails": fails}]
    expected = expectation.of_cell(entries, tier, "c-only", "7.3.4")
    assert expected.is_met(found) is met
    assert said in expectation.difference(expected, found)
    assert bool(said) == bool(expectation.difference(expected, found))


def test_built_cell_is_no_loaded_one() -> None:
    """A cell that never got to its guest has not passed the tier that was asked for."""
    assert not expectation.of_cell([], Tier.LOAD, "c-only", "6.12").is_met(BUILT)


# ---------------------------------------------------------------- how it is told


def record(*found: CellRecord) -> MatrixRecord:
    return MatrixRecord(
        "m", Tier.BUILD, "0", "2026-11-28T10:00:00+00:00", "2026-11-28T10:00:20+00:00", 20.0, 2,
        all(cell.as_expected for cell in found), found,
    )  # fmt: skip


def cell_record(kernel: str, found: Finding, **changes: Any) -> CellRecord:
    command = f"vexlab matrix --build --kernel {kernel} --variant full"
    return CellRecord(f"v-{kernel}", "vexfs", "", "/src", kernel, "full", command, "builds", found=found, **changes)


GOOD = cell_record("6.12", BUILT, as_expected=True, kept=True)
BAD = cell_record("7.3", BROKEN)
AWAY = cell_record("5.10", Finding(problem="Debian's mirror can't be reached", hint="apt-get update", exit_code=3))
KNOWN = replace(cell_record("7.2", BROKEN, as_expected=True), expected="doesn't build: the VFS changed")
SURPRISE = cell_record("6.1", BUILT, unexpected="it should fail at build: the VFS changed")


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        (GOOD, "✔ vexfs 6.12 full: builds, kept (4.2 s)"),
        (BAD, f"✘ vexfs 7.3 full: doesn't build (3.0 s): {ERROR}"),
        (AWAY, "! vexfs 5.10 full: not tried: Debian's mirror can't be reached"),
        (KNOWN, "✔ vexfs 7.2 full: doesn't build, as expected (3.0 s): the VFS changed"),
        (SURPRISE, "✘ vexfs 6.1 full: builds (4.2 s): it should fail at build: the VFS changed"),
        (
            cell_record("6.1", replace(BUILT, tier=Tier.TEST, verdict=Verdict.HUNG, error="x")),
            "✘ vexfs 6.1 full: doesn't pass, hung (4.2 s): x",
        ),
        (replace(GOOD, found=replace(BUILT, warnings=1)), "✔ vexfs 6.12 full: builds, 1 warning, kept (4.2 s)"),
    ],
)
def test_line_of_a_cell(cell: CellRecord, line: str) -> None:
    assert report.line(cell) == line


def test_table_has_a_row_for_each_cell_and_what_it_is_at() -> None:
    console = Console(width=200)
    waiting = cell_record("7.9", Finding())
    with console.capture() as captured:
        console.print(report.table([GOOD, BAD, waiting], {waiting.name: "fetching, 3.0 s"}))
    heading, *rows = captured.get().splitlines()
    assert heading.split() == list(report.HEADINGS)
    assert [row.split()[1] for row in rows] == ["6.12", "7.3", "7.9"]
    assert ERROR.removeprefix("/src/") in rows[1]
    assert "/src/" not in rows[1], "a row has little room"
    assert "fetching, 3.0 s" in rows[2]


def test_path_in_a_table_is_text_whatever_is_in_it() -> None:
    """A kernel is as a person wrote it, and brackets in a path are no markup."""
    console = Console(width=200)
    odd = cell_record("/tmp/[bold]/[/x]", BUILT, host="big[red]")
    with console.capture() as captured:
        console.print(report.table([odd], {}))
    assert "/tmp/[bold]/[/x]" in captured.get()
    assert "big[red]" in captured.get()


def test_markdown_has_the_first_error_and_the_command() -> None:
    text = report.markdown(record(GOOD, BAD, AWAY))
    assert "| vexfs | 6.12 | 6.12.9-amd64 | full | ✔ builds, kept | 4.2 s |  |" in text
    assert "**vexfs 7.3 full**: `vexlab matrix --build --kernel 7.3 --variant full`" in text
    assert f"```text\n{ERROR}\n  7 | x\n```" in text
    assert "1 of 3 cells as expected, in 20.0 s on 2 CPUs; kept, since nothing changed: vexfs 6.12 full." in text


def test_host_of_a_cell_is_told_where_there_are_hosts() -> None:
    done = replace(GOOD, host="big1")
    assert report.line(done).endswith("builds, kept (4.2 s) on big1")
    console = Console(width=200)
    with console.capture() as captured:
        console.print(report.table([done, BAD], {}))
    assert captured.get().splitlines()[0].split() == [*report.HEADINGS, report.HOST]
    whole = replace(record(done, AWAY), hosts=(HostRecord("big1", 1), HostRecord("small1", 0, "its disk is full")))
    text = report.markdown(whole)
    assert text.splitlines()[0] == "| target | kernel | release | variant | result | time | host | |"
    assert "| 4.2 s | big1 |  |" in text
    assert "in 20.0 s on 1 hypervisor;" in text


def test_what_was_not_tried_is_no_failure_of_the_source() -> None:
    whole = record(GOOD, BAD, AWAY)
    assert report.not_as_expected(whole) == [BAD]
    assert report.not_tried(whole) == [AWAY]


def test_every_cell_that_is_not_as_expected_counts() -> None:
    """One that nothing is known of too: the exit code is 0 for what was seen alone."""
    silent = cell_record("7.9", Finding())
    assert report.not_tried(record(GOOD, silent)) == [silent]


def test_github_gets_a_summary_and_an_annotation_for_each(tmp_path: Path) -> None:
    assert report.tell_github(record(BAD), {}) == ""
    summary = tmp_path / "summary"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(tmp_path)}
    (tmp_path / "super.c").write_text("x")
    broken = replace(BAD, found=replace(BROKEN, error=f"{tmp_path}/super.c:7:1: error: no"))
    said = report.tell_github(record(GOOD, broken), environment)
    assert said.startswith("::error file=super.c,line=7,title=vexfs 7.3 full::")
    assert summary.read_text().startswith("### vexlab matrix\n\n| target |")


@pytest.mark.parametrize("cells", [(), (GOOD, BAD, AWAY, KNOWN, SURPRISE)])
def test_document_is_what_its_schema_says(cells: tuple[CellRecord, ...]) -> None:
    schema = json.loads((ROOT / "docs" / "matrix.schema.json").read_text(encoding="utf-8"))
    assert schema == records.schema(), "run python -m vexlab.results.matrix >docs/matrix.schema.json"
    jsonschema.validate(json.loads(records.encode(record(*cells))), schema)


# ---------------------------------------------------------------- what is kept


def test_oldest_matrices_go_and_the_cells_that_no_other_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = [archive.new_directory(Tier.BUILD) for _ in range(archive.KEPT + 1)]
    for path, names in ((made[0], ("gone", "stays", "busy")), (made[1], ("stays",))):
        cells = [replace(cell_record("6.1", Finding()), name=name) for name in names]  # none of them has ended yet
        (path / records.RESULTS).write_text(records.encode(record(*cells)))
    there = user_directories.cells_directory()
    for name in ("gone", "stays", "busy"):
        (there / name / "work").mkdir(parents=True)
    descriptor = os.open(there / "busy" / "work", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        archive.prune()
    finally:
        os.close(descriptor)
    assert not made[0].exists()
    assert all(path.exists() for path in made[1:])
    assert sorted(path.name for path in there.iterdir()) == ["busy", "stays"]
