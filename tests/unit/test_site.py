"""The site of all runs, and pages of one question: whole, linked, never half, and only what changed is written."""

from __future__ import annotations

import errno
import re
import shutil
import threading
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from tests.unit.made_runs import FAILED, Made, document, keep
from vexlab.cli.main import cli
from vexlab.config import atomic_file, user_directories
from vexlab.errors import HostProblem, UsageProblem
from vexlab.report import site
from vexlab.results import results_file

BROKEN = "mount/rename.over"
NASTY = "mount/<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "public" / "site"


def kept(number: int, made: Made | None = None) -> Path:
    """A run with a page and a log of its own."""
    path = keep(number, made or Made())
    run = results_file.read(path / "results.json")
    results_file.write(path / "results.json", replace(run, evidence={"console": "console.log", "gone": "gone.log"}))
    (path / "console.log").write_text(f"console {number}\n")
    (path / "report.html").write_text(f"<html>the page of {number}</html>")
    return path


def links(page: Path) -> list[Path]:
    """Where the links of a page lead."""
    found = re.findall(r'(?:href|src)="([^"]+)"', page.read_text())
    assert not [link for link in found if "//" in link]
    return [(page.parent / link).resolve() for link in found if not link.startswith(("#", "data:"))]


def times(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): path.stat().st_mtime_ns for path in directory.rglob("*.html")}


def test_every_link_leads_somewhere_and_everything_is_linked_to(home: Path) -> None:
    for number in range(3):
        kept(number, Made({BROKEN: FAILED} if number == 2 else {}))
    keep(3, Made({BROKEN: FAILED}))
    keep(4, Made(changes={"finished": None}))
    assert site.write(home, {"20261101-000001-default": "results.json was edited"}, {}) == (5, 5)
    pages = list(home.rglob("*.html"))
    for page in (home / "index.html", home / "checks.html", *(home / "compare").iterdir()):
        assert all(path.is_file() for path in links(page)), page
    reached = {path for page in (home / "index.html", *(home / "compare").iterdir()) for path in links(page)}
    assert {path.resolve() for path in pages} - {home.resolve() / "index.html"} <= reached
    assert (home / "runs" / "20261101-000001-default" / "console.log").read_text() == "console 1\n"
    without = [(home / "runs" / f"20261101-00000{number}-default" / "report.html").read_text() for number in (3, 4)]
    assert "rename.over: it came to failed" in without[0]
    assert [site.NO_END in text for text in without] == [False, True]
    assert "✔✔✘✘\u00a0" not in (home / "checks.html").read_text()
    assert "✔✔✘✘✔" in (home / "checks.html").read_text()
    text = (home / "index.html").read_text()
    assert "20261101-000001-default is not as it was when it ended: results.json was edited" in text
    assert "20261101-000004-default" in text
    assert "1 new failure;" in (home / "compare" / "20261101-000002-default.html").read_text()


def test_only_what_changed_is_written(home: Path) -> None:
    paths = [kept(number) for number in range(3)]
    assert site.write(home, {}, {}) == (3, 3)
    before = times(home)
    assert site.write(home, {}, {}) == (3, 0)
    changed = {name for name, time in times(home).items() if before[name] != time}
    assert changed == {"index.html", "checks.html"}
    kept(3)
    shutil.rmtree(paths[0])
    assert site.write(home, {}, {}) == (3, 1)
    after = times(home)
    names = [f"20261101-{number:06d}-default" for number in range(4)]
    assert {name for name in after if before.get(name) != after[name]} == {
        "index.html", "checks.html", f"runs/{names[3]}/report.html", f"compare/{names[3]}.html",
    }  # fmt: skip
    assert not (home / "runs" / names[0]).exists()
    assert not (home / "compare" / f"{names[1]}.html").exists()
    (paths[1] / "report.html").write_text("<html>anew</html>")
    assert site.write(home, {}, {}) == (3, 1)
    assert (home / "runs" / names[1] / "report.html").read_text() == "<html>anew</html>"


def test_reader_sees_whole_pages_and_no_link_to_nothing(home: Path) -> None:
    """While runs are added, and each is in the site at once."""
    kept(0)
    site.write(home, {}, {})
    over, seen, wrong = threading.Event(), [0], []

    def read() -> None:
        while not over.is_set():
            seen[0] += 1
            text = (home / "index.html").read_text()
            if not text.endswith("</html>\n") or not all(path.is_file() for path in links(home / "index.html")):
                wrong.append(text[-200:])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 6):
            kept(number)
            site.write(home, {}, {})
    finally:
        over.set()
        reader.join()
    assert seen[0] > 5
    assert wrong == []
    assert not list(home.rglob("*.tmp"))


def test_what_is_no_site_is_not_touched(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "thesis.txt").write_text("mine")
    with pytest.raises(UsageProblem, match=r"holds thesis\.txt, and is no site"):
        site.write(home, {}, {})
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageProblem, match="is not a directory"):
        site.write(home / "thesis.txt", {}, {})


def test_two_do_not_write_at_once(home: Path) -> None:
    kept(0)
    site.write(home, {}, {})
    with filelock.FileLock(home / ".lock"), pytest.raises(HostProblem, match="another command writes"):
        site.write(home, {}, {})


def test_site_that_can_not_be_written_says_so_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the index, which would be asked once more."""
    kept(0)
    site.write(home, {}, {})
    kept(1)
    tried: list[Path] = []

    def full(path: Path, _: str) -> None:
        tried.append(path)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(atomic_file, "replace_file", full)
    with pytest.raises(HostProblem, match="No space left on device"):
        site.write(home, {}, {})
    assert len(tried) == 1


def test_nothing_outside_of_a_run_and_nothing_huge_is_published(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "LARGEST", 1000)
    path = keep(0, Made())
    (tmp_path / "secret").write_text("secret")
    (path / "link").symlink_to(tmp_path / "secret")
    (path / "huge").write_text("x" * 1001)
    run = document(0, Made(changes={"evidence": {"a": "../../../../secret", "b": "link", "c": "huge", "d": "\0"}}))
    results_file.write(path / "results.json", run)
    site.write(home, {}, {})
    assert [each.name for each in home.rglob("*") if each.name in ("secret", "link")] == []
    [instead] = home.rglob("huge")
    assert (
        instead.read_text()
        == f"[{run.run}/huge has 0 MiB, and this site has no file above 0 MiB: see the run itself]\n"
    )


def test_of_a_large_log_the_end_is_published_with_the_reason(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of the run links to it: what is there instead says why."""
    monkeypatch.setattr(site, "LARGEST", 1000)
    monkeypatch.setattr(site, "END", 100)
    path = kept(0)
    (path / "console.log").write_text("".join(f"line {number:04}\n" for number in range(200)))
    site.write(home, {}, {})
    first, second, *rest = (home / "runs" / path.name / "console.log").read_text().splitlines()
    assert first.startswith(f"[{path.name}/console.log has 0 MiB")
    assert (second, rest[-1], len(rest)) == ("[its end:]", "line 0199", 9)


def test_pages_escape_what_a_guest_says(home: Path) -> None:
    checks = {"mount": (NASTY.partition("/")[2], "rename.loop")}
    kept(0, Made(checks=checks))
    kept(1, Made({NASTY: FAILED}, checks=checks, kernel="<b>6.12", branch='"><i>', commit="ab" * 20))
    site.write(home, {}, {"20261101-000001-default": "<u>"})
    runner = CliRunner()
    questions = (
        ["compare", "--html", "-"],
        ["history", "mount/*", "--html", "-"],
        ["history", NASTY, "--html", "-"],
        ["runs", "--html", "-"],
    )
    texts = [runner.invoke(cli, words).stdout for words in questions]
    texts += [path.read_text() for path in (home / "index.html", home / "checks.html", *(home / "compare").iterdir())]
    for text in texts:
        assert text.startswith("<!DOCTYPE html>")
        assert text.endswith("</html>\n")
        assert not re.search(r"<script>alert|<b>|<i>|<u>", text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in texts[0]


@pytest.mark.parametrize("words", [["compare"], ["history", "mount/*"], ["runs"]], ids=lambda words: words[0])
def test_page_of_a_question_in_a_file(tmp_path: Path, words: list[str]) -> None:
    """As the page of a run: the path is printed, and `-` is stdout."""
    kept(0)
    kept(1)
    done = CliRunner().invoke(cli, [*words, "--html", str(tmp_path / "page.html")])
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/page.html\n")
    assert (tmp_path / "page.html").read_text() == CliRunner().invoke(cli, [*words, "--html", "-"]).stdout


def test_command_says_where_the_site_is(home: Path) -> None:
    kept(0)
    done = CliRunner().invoke(cli, ["report", "--site", str(home)])
    assert (done.exit_code, done.stdout.strip()) == (0, str(home / "index.html"))
    assert "1 runs, 1 of them new or changed" in done.stderr
    for words in (["report", "20261101-000000", "--site", str(home)], ["runs", "--json", "--html", "-"]):
        assert isinstance(CliRunner().invoke(cli, words).exception, UsageProblem)
    shutil.rmtree(user_directories.runs_directory())
    assert CliRunner().invoke(cli, ["report", "--site", str(home)]).exit_code == 0
    assert "0 runs" in (home / "index.html").read_text()
