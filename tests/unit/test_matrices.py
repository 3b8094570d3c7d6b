"""Two matrices compared, cell by cell, and the pages that a site has of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.unit.made_runs import Made, keep
from vexlab.cli.main import cli
from vexlab.config import user_directories
from vexlab.errors import UsageProblem, VexlabError
from vexlab.history import matrices
from vexlab.history.changes import Class
from vexlab.report import site
from vexlab.results import matrix
from vexlab.results.matrix import CellRecord, Finding, MatrixRecord, Tier
from vexlab.results.model import Verdict

PASSED, FAILED, NOT_RUN = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_RUN
ERROR = "super.c:12:3: error: too few arguments <b>"


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def cell(kernel: str, verdict: Verdict = PASSED, *, as_expected: bool | None = None, **found: Any) -> CellRecord:
    error = ERROR if verdict is FAILED else ""
    return CellRecord(
        name=f"toy-{kernel}", target="toy", target_file="", source="/src", kernel=kernel, variant="c-only",
        command=f"vexlab matrix --build --kernel {kernel}", expected="builds",
        as_expected=verdict is PASSED if as_expected is None else as_expected,
        found=Finding(verdict=verdict, error=error, details=error, seconds=2.5, **found),
    )  # fmt: skip


def a_matrix(number: int, *cells: CellRecord, tier: Tier = Tier.BUILD, finished: bool = True) -> MatrixRecord:
    """A matrix, in its place among those of this home."""
    record = MatrixRecord(
        name=f"20261128-10000{number}-{tier}", tier=tier, vexlab="0.1.0", started="2026-11-28T10:00:00+00:00",
        finished="2026-11-28T10:01:00+00:00" if finished else "", seconds=60.0, cpus=2,
        as_expected=all(one.as_expected for one in cells), cells=cells,
    )  # fmt: skip
    path = user_directories.matrices_directory() / record.name / matrix.RESULTS
    path.parent.mkdir(parents=True)
    path.write_text(matrix.encode(record))
    return record


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    record = a_matrix(1, cell("6.1"), cell("7.3", FAILED))
    path = user_directories.matrices_directory() / record.name / matrix.RESULTS
    assert matrix.read(path) == record
    for text in ("", "[]", '{"schema": 9}', path.read_text().replace('"passed"', '"good"')):
        path.write_text(text)
        with pytest.raises(VexlabError, match=re.escape(str(path))):
            matrix.read(path)


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (cell("7.3"), cell("7.3", FAILED), Class.REGRESSION),
        (cell("7.3", NOT_RUN), cell("7.3", FAILED), Class.NEW_FAILURE),
        (cell("7.3", FAILED), cell("7.3", FAILED), Class.STILL_FAILING),
        (cell("7.3", FAILED), cell("7.3"), Class.FIXED),
        (cell("7.3", NOT_RUN), cell("7.3"), Class.NEW_PASS),
        (cell("7.3"), cell("7.3", NOT_RUN), Class.DISAPPEARED),
        (cell("7.3"), cell("7.3", as_expected=False), Class.REGRESSION),
    ],
)
def test_cell_is_in_the_class_of_what_became_of_it(before: CellRecord, now: CellRecord, kind: Class) -> None:
    """One that builds though its target expects that it doesn't is wrong as well."""
    same = cell("6.1")
    found = matrices.compare(a_matrix(1, same, before), a_matrix(2, same, now))
    assert [(change.check, change.kind) for change in found.changes] == [("toy 7.3 c-only", kind)]
    assert bool(found.new_failures) is (kind in (Class.REGRESSION, Class.NEW_FAILURE))


def test_cell_that_fails_as_expected_is_nothing_new() -> None:
    wrong = cell("7.3", FAILED, as_expected=True)
    assert matrices.compare(a_matrix(1, wrong), a_matrix(2, wrong)).new_failures == []


def test_cell_that_begins_to_fail_as_expected_is_a_known_failure() -> None:
    """The kernel took something away, and the target file says so by now: nobody has to look at it."""
    old, new = a_matrix(1, cell("7.3")), a_matrix(2, cell("7.3", FAILED, as_expected=True))
    [change] = matrices.compare(old, new).changes
    assert change.explained.startswith("a known failure: ")
    done = run("compare", old.name, new.name)
    assert done.exit_code == 0
    assert "no new failures, 1 explained" in done.stdout


def test_cells_that_are_new_or_gone_are_told_and_another_kernel_of_the_same_word() -> None:
    old = a_matrix(1, cell("5.10"), cell("7.3", release="7.3.1-amd64"))
    new = a_matrix(2, cell("7.3", release="7.3.2-amd64"), cell("7.4"))
    found = matrices.compare(old, new)
    assert [(change.check, change.kind) for change in found.changes] == [
        ("toy 7.4 c-only", Class.APPEARED), ("toy 5.10 c-only", Class.DISAPPEARED),
    ]  # fmt: skip
    [other] = found.differences
    assert (other.what, other.old, other.new) == ("toy 7.3 c-only, kernel", "7.3.1-amd64", "7.3.2-amd64")
    assert found.common == 1


def test_matrices_without_a_cell_in_common_are_refused() -> None:
    with pytest.raises(UsageProblem, match="no cell in common"):
        matrices.compare(a_matrix(1, cell("6.1")), a_matrix(2, cell("7.3")))


def test_command_compares_what_is_named() -> None:
    """By a name or its beginning; with the last of the tier where one is named alone."""
    old, other = a_matrix(1, cell("7.3")), a_matrix(2, cell("7.3"), tier=Tier.LOAD)
    new = a_matrix(3, cell("7.3", FAILED))
    a_matrix(4, cell("7.3"), finished=False)
    done = run("compare", old.name, new.name[:15])
    assert done.exit_code == 1, done.output
    assert "1 new failure" in done.stdout
    assert ERROR in " ".join(done.stdout.split())
    alone = run("compare", old.name, "--json")
    document = json.loads(alone.stdout)
    assert (document["new"], document["new_failures"]) == (new.name, ["toy 7.3 c-only"])
    assert run("compare", new.name, new.name).exit_code == 0
    for words, said in (
        ((other.name,), "is the last matrix of tier load"), ((new.name,), "is the last matrix of tier build"),
        ((old.name, "nothing"), "'nothing' is no matrix"), (("nothing", old.name), "'nothing' is no matrix"),
    ):  # fmt: skip
        refused = run("compare", *words).exception
        assert isinstance(refused, UsageProblem)
        assert said in refused.message


def test_page_of_a_comparison_has_what_is_new(tmp_path: Path) -> None:
    old, new = a_matrix(1, cell("7.3")), a_matrix(2, cell("7.3", FAILED))
    page = tmp_path / "new.html"
    assert run("compare", old.name, new.name, "--html", str(page)).exit_code == 1
    text = page.read_text()
    assert "regression" in text
    assert "too few arguments &lt;b&gt;" in text
    assert "<b>" not in text


def test_site_has_the_matrices(tmp_path: Path) -> None:
    """Each on a page that leads to its runs, to what was before it, and back; what is gone goes."""
    run_directory = keep(1, Made())
    (run_directory / "report.html").write_text("<html></html>")
    old = a_matrix(1, cell("6.1"), cell("7.3"))
    new = a_matrix(2, cell("6.1", run=run_directory.name), cell("7.3", FAILED))
    home = tmp_path / "site"
    site.write(home, {}, {})
    index = (home / "index.html").read_text()
    assert f'href="matrices/{new.name}.html"' in index
    page = (home / "matrices" / f"{new.name}.html").read_text()
    for link in (f"../runs/{run_directory.name}/report.html", f"{old.name}.html", "../index.html"):
        assert f'href="{link}"' in page
        assert (home / "matrices" / link).resolve().is_file()
    assert "regression: toy 7.3 c-only" in page
    assert "too few arguments &lt;b&gt;" in page
    written = (home / "matrices" / f"{old.name}.html").stat().st_mtime_ns
    (user_directories.matrices_directory() / new.name / matrix.RESULTS).unlink()
    site.write(home, {}, {})
    assert [path.name for path in (home / "matrices").iterdir()] == [f"{old.name}.html"]
    assert (home / "matrices" / f"{old.name}.html").stat().st_mtime_ns == written
