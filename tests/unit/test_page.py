"""The page of a run: whole without a script, the first cause first, and nothing in it but what is meant to be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.unit import gate_evidence
from tests.unit.example_runs import ALL_PASSED, NASTY, a_run, cut_short, with_known_failure, with_last
from vexlab.config import user_directories
from vexlab.guest.lab import started
from vexlab.report import again, facts, markdown, page
from vexlab.results import results_file
from vexlab.results.model import Check, DeviceRecord, Machine, Run, SourceRecord, Stage, Verdict
from vexlab.run import timeline

ROOT = Path(__file__).parents[2]
STREAMS = Path(__file__).with_name("streams")
HOSTILE = "</pre><script>document.title = 'taken'</script>\"'><img src=//evil/x onerror=alert(1)>" + NASTY
VOID = {"meta", "link", "input", "br"}


class Parsed(HTMLParser):
    """A page as a reader of it sees it: each element with its attributes and the text in it."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[list[str]] = []
        self._open: list[int] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        for each in self._open:
            self.texts[each].append(data)

    def found(self, tag: str, **wanted: str) -> Iterator[tuple[dict[str, str | None], str]]:
        """Yield the attributes and the text of each such element; `class_` is one of its classes."""
        for (name, attributes), text in zip(self.elements, self.texts, strict=True):
            of = dict(attributes)
            classes = (of.get("class") or "").split()
            fits = all(of.get(key) == value or (key == "class_" and value in classes) for key, value in wanted.items())
            if name == tag and fits:
                yield of, "".join(text)

    def text(self, tag: str, **wanted: str) -> str:
        return "\n".join(text for _, text in self.found(tag, **wanted))


def shown(run: Run, directory: Path, **around: object) -> Parsed:
    return Parsed(page.render(run, directory, page.Around(**around)))  # type: ignore[arg-type]


def failing(message: str, **changes: object) -> Run:
    """A run in which one check of stage mount failed with this message."""
    check = Check("files.one", Verdict.FAILED, 0.5, message)
    stage = Stage("mount", Verdict.FAILED, 3.0, f"files.one: {message}", (check,), "stages/mount/kernel.log")
    return replace(a_run({}, stages=(stage,), selected=("mount",), verdict=Verdict.FAILED), **changes)


def test_first_screen_says_what_came_of_what(tmp_path: Path) -> None:
    parsed = shown(with_last(Verdict.FAILED), tmp_path)
    head = parsed.text("header")
    for fact in ("FAILED", "vexfs", "6.12.0-amd64", "abababababab", "tcg", "2026-11-22"):
        assert fact in head
    assert "stage stress failed" in parsed.text("section", class_="first")
    assert "stress.three: it broke" in parsed.text("section", class_="first")


def test_source_that_was_tested_is_told_by_its_commit(tmp_path: Path) -> None:
    run = replace(ALL_PASSED, source=SourceRecord("ab" * 32, "0123456789abcdef", "<main>", 2))
    told = "commit 0123456789ab of branch <main>, 2 files edited: tree abababababab"
    assert told in shown(run, tmp_path).text("header")
    assert told.replace("<main>", "\\<main\\>") in markdown.render_markdown(run)
    unknown = replace(ALL_PASSED, source=SourceRecord("ab" * 32))
    assert "tree abababababab, no commit is known" in shown(unknown, tmp_path).text("header")


def test_page_tells_the_facts_that_the_report_tells(tmp_path: Path) -> None:
    for run in (ALL_PASSED, with_last(Verdict.FAILED), cut_short(), with_known_failure()):
        told, parsed = facts.of(run), shown(run, tmp_path)
        text = parsed.text("html")
        assert told["headline"] in text
        assert told["risk"].meaning in text
        assert f"{told['totals']['passed']} passed, {told['totals']['failed']} failed" in text
        assert [of["data-verdict"] for of, _ in parsed.found("li") if "data-verdict" in of] == [
            check.verdict for stage in run.stages for check in stage.checks
        ]
        for name, check in told["known"]:
            assert f"{name}/{check.name}" in text


def test_text_from_a_guest_is_text(tmp_path: Path) -> None:
    """Whatever stands in names, messages, reasons, promises, advice, logs and traces."""
    checks = (
        Check(HOSTILE, Verdict.FAILED, 1.0, HOSTILE, HOSTILE, "", HOSTILE),
        Check("b", Verdict.SKIPPED, 0.0, HOSTILE),
        Check(f"c{HOSTILE}", Verdict.XFAILED, 0.0, HOSTILE),
    )
    stage = Stage("mount", Verdict.FAILED, 1.0, HOSTILE, checks, "stages/mount/kernel.log", details=HOSTILE)
    log = tmp_path / "stages" / "mount" / "kernel.log"
    log.parent.mkdir(parents=True)
    log.write_text(HOSTILE, encoding="utf-8", errors="replace")
    log.with_name("trace.txt").write_text(HOSTILE, encoding="utf-8", errors="replace")
    run = a_run(
        {}, stages=(stage,), selected=("mount",), verdict=Verdict.FAILED, target=HOSTILE, kernel=HOSTILE,
        evidence={HOSTILE: HOSTILE}, chosen=(HOSTILE,), started=HOSTILE,
    )  # fmt: skip
    parsed, usual = shown(run, tmp_path, doubts=[HOSTILE]), shown(failing("it broke"), tmp_path)
    counts = Counter(tag for tag, _ in parsed.elements)
    assert counts["script"] == counts["style"] == 1
    assert not set(counts) - set(Counter(tag for tag, _ in usual.elements)) - {"b"}
    attributes = {name for _, of in parsed.elements for name in of}
    assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert not [value for _, of in parsed.elements for value in of.values() if value and value.startswith("javascript")]
    assert "document.title = 'taken'" in parsed.text("pre")


def test_page_of_megabytes_is_bounded(tmp_path: Path) -> None:
    long = "y" * 10_000_000
    log = tmp_path / "stages" / "mount" / "kernel.log"
    log.parent.mkdir(parents=True)
    log.write_text(long)
    log.with_name("trace.txt").write_text(long)
    run = failing(long, evidence={long: long}, target=long)
    assert len(page.render(run, tmp_path, page.Around(doubts=[long]))) < 250_000


def test_links_lead_to_files_beside_the_page_and_nowhere_else(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (tmp_path / "outside").write_text("secret")
    (directory / "console.log").write_text("booted")
    (directory / 'a <b> & "c"?.log').write_text("odd")
    (directory / "javascript:alert(1)").write_text("odd")
    (directory / "link").symlink_to(tmp_path / "outside")
    outside = ("../outside", str(tmp_path / "outside"), "link", "gone.log", "", ".", "\0", "x" * 5000)
    there = ("console.log", 'a <b> & "c"?.log', "javascript:alert(1)")
    run = replace(ALL_PASSED, evidence={f"e{number}": path for number, path in enumerate((*outside, *there))})
    links = [str(of["href"]) for of, _ in shown(run, directory).found("a") if not str(of["href"]).startswith("#")]
    assert sorted(links) == ["./a%20%3Cb%3E%20%26%20%22c%22%3F.log", "./console.log", "./javascript%3Aalert%281%29"]


@pytest.mark.parametrize("log", ["../outside", "{tmp_path}/outside", "link", "fifo"])
def test_kernel_messages_are_those_of_the_run(tmp_path: Path, log: str) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (tmp_path / "outside").write_text("secret")
    (directory / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(directory / "fifo")
    run = failing("it broke")
    stages = (replace(run.stages[0], kernel_log=log.format(tmp_path=tmp_path)),)
    assert "secret" not in shown(replace(run, stages=stages), directory).text("html")


def source_of(tmp_path: Path, message: str, *, written: float = 0.0) -> tuple[str, str]:
    """What a page shows of the source for a message: the lines, and what is said of them."""
    tree, directory = tmp_path / "tree", tmp_path / "run"
    for path in (tree, directory):
        path.mkdir(exist_ok=True)
    (directory / "contract.json").write_text(f'{{"vexlab_source": "{tree}"}}')
    (tree / "super.c").write_text("".join(f"line {number} <here>\n" for number in range(1, 100)))
    os.utime(tree / "super.c", (written, written))
    [first] = [text for _, text in shown(failing(message), directory).found("section", class_="first")]
    lines = shown(failing(message), directory).text("pre", class_="source")
    return lines, first


def test_source_line_has_its_surroundings(tmp_path: Path) -> None:
    lines, told = source_of(tmp_path, "BUG: NULL pointer in toy_read+0x14/0x40 [toy] (super.c:50)")
    assert "50line 50 <here>" in lines
    assert "45line 45 <here>" in lines
    assert "55line 55 <here>" in lines
    assert "line 56" not in lines
    assert "may be another line" not in told


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("at (super.c:5000)", "has no such line any more"),
        ("at (gone.c:5)", "gone.c is gone"),
        ("at (../secret.c:1)", "it is outside of the source"),
        ("at (link.c:1)", "it is outside of the source"),
        ("at (/etc/passwd.h:1)", "it is outside of the source"),
    ],
)
def test_source_that_is_not_there_is_said(tmp_path: Path, message: str, said: str) -> None:
    (tmp_path / "secret.c").write_text("secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link.c").symlink_to(tmp_path / "secret.c")
    lines, told = source_of(tmp_path, message)
    assert said in told
    assert "secret" not in lines


def test_check_that_failed_is_shown_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    lines = (ROOT / "tests/stages/mount/test_times.py").read_text().splitlines()
    begin = next(number for number, line in enumerate(lines, start=1) if line.startswith("def test_"))
    check = Check("times.one", Verdict.FAILED, 0.1, "it broke", "", f"tests/stages/mount/test_times.py:{begin}")
    stage = Stage("mount", Verdict.FAILED, 1.0, "it broke", (check,))
    run = a_run({}, stages=(stage,), selected=("mount",), verdict=Verdict.FAILED)
    [first] = [text for _, text in shown(run, tmp_path).found("section", class_="first")]
    assert lines[begin - 1] in first
    assert lines[begin] in first
    assert lines[begin - 2 if lines[begin - 2] else begin - 4] not in first
    assert "the checks are of another version than the run's" in first


def test_place_in_the_guest_is_what_called_the_helper(tmp_path: Path) -> None:
    inside = "vexlab/guest/inside"
    message = f"OSError, in longest ({inside}/names.py:20), write ({inside}/system.py:69), x ({inside}/filesystem.py:2)"
    lines = shown(failing(message), tmp_path).text("pre", class_="source")
    assert f"20{(ROOT / 'vexlab/guest/inside/names.py').read_text().splitlines()[19]}" in lines
    assert "vexlab/guest/inside/names.py:20" in shown(failing(message), tmp_path).text("section", class_="first")


def test_source_that_was_written_since_is_said(tmp_path: Path) -> None:
    _, told = source_of(tmp_path, "at (super.c:50)", written=4e9)
    assert "written after this run began, so this may be another line" in told


def test_what_is_no_source_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "key").write_text("secret")
    lines, told = source_of(tmp_path, "at (key:1)")
    assert "secret" not in lines + told
    assert "Source" not in told
    (tmp_path / "tree" / "key.c").symlink_to("key")
    lines, told = source_of(tmp_path, "at (key.c:1)")
    assert "secret" not in lines + told


def test_cause_is_told_once_with_the_checks_that_share_it(tmp_path: Path) -> None:
    checks = tuple(Check(f"names.kept[{name}]", Verdict.FAILED, 0.1, "ENOENT") for name in ("a1", "b2", "c3"))
    stage = Stage("mount", Verdict.FAILED, 1.0, "ENOENT", (*checks, Check("other", Verdict.FAILED, 0.1, "EIO")))
    run = a_run({}, stages=(stage,), selected=("mount",), verdict=Verdict.FAILED)
    causes = [text for _, text in shown(run, tmp_path).found("details", class_="cause")]
    assert len(causes) == 2
    assert "3 checks say this. The others: names.kept[b2], names.kept[c3]" in causes[0]


def test_every_row_is_there_without_a_script(tmp_path: Path) -> None:
    parsed = shown(cut_short(), tmp_path)
    rows = [of for of, _ in parsed.found("li") if "data-verdict" in of]
    assert len(rows) == sum(len(stage.checks) for stage in cut_short().stages)
    assert not [of for of in rows if "hidden" in of]
    [(form, _)] = parsed.found("form")
    assert "hidden" in form


def with_events(tmp_path: Path, stream: str, cut: int | None = None) -> Path:
    text = (STREAMS / f"{stream}.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(text[:cut])
    return tmp_path


def test_timeline_shows_when_the_stages_ran(tmp_path: Path) -> None:
    [execution] = timeline.read(with_events(tmp_path, "passed"))
    assert [bar.stage for bar in execution.bars] == ["structure", "build", "load", "mkfs", "mount"]
    assert all(bar.verdict is Verdict.PASSED for bar in execution.bars)
    times = [at for bar in execution.bars for at in (bar.began, bar.checks_began or 0.0, bar.ended)]
    assert times == sorted(times)
    assert execution.fresh
    assert execution.began < (execution.ready or 0.0) < execution.bars[0].began
    parsed = shown(ALL_PASSED, tmp_path, executions=[execution])
    assert len(list(parsed.found("line", class_="saved"))) == 1
    assert "mount: passed" in parsed.text("svg")
    assert "was not kept" not in parsed.text("section")


def test_timeline_shows_a_death(tmp_path: Path) -> None:
    [execution] = timeline.read(with_events(tmp_path, "panic-in-a-check"))
    assert execution.death is not None
    assert execution.death.verdict is Verdict.PANICKED
    assert [bar.verdict for bar in execution.bars] == [Verdict.PANICKED]
    svg = shown(with_last(Verdict.PANICKED), tmp_path, executions=[execution]).text("svg", class_="timeline")
    assert "✘ panicked at" in svg


def test_timeline_of_a_run_that_was_cut_off_ends_there(tmp_path: Path) -> None:
    text = (STREAMS / "passed.jsonl").read_bytes()
    cut = text.index(b'"announced":"load"') + 400
    [execution] = timeline.read(with_events(tmp_path, "passed", cut))
    assert [bar.stage for bar in execution.bars] == ["structure", "build", "load"]
    assert execution.bars[-1].ended == execution.ended
    assert execution.bars[-1].verdict is Verdict.NOT_RUN


def test_each_guest_has_a_row(tmp_path: Path) -> None:
    with_events(tmp_path, "panic-in-a-role")
    (tmp_path / "part-2").mkdir()
    with_events(tmp_path / "part-2", "passed")
    parsed = shown(with_last(Verdict.PANICKED), tmp_path, executions=timeline.read(tmp_path))
    lanes = [text for _, text in parsed.found("text", class_="lane")]
    assert len(lanes) == 2
    assert lanes[0].startswith("guest 1 ✘ panicked at ")
    assert lanes[1] == "guest 2 (booted), part 2"  # how the first one came up is in no record


@pytest.mark.parametrize("name", ["panicked", "without-contract"])
def test_run_of_an_earlier_version_has_a_page(tmp_path: Path, name: str) -> None:
    run = results_file.read(Path(__file__).with_name("former") / f"{name}.json")
    parsed = shown(run, tmp_path)
    assert facts.of(run)["headline"] in parsed.text("h1")
    assert "When what began was not kept" in parsed.text("section")


@pytest.mark.parametrize("run", [a_run({}, module=None, guest=None, evidence={}, started="then", finished="now")])
def test_empty_run_has_a_page(run: Run, tmp_path: Path) -> None:
    assert "which is not a pass" in shown(run, tmp_path).text("section", class_="first")


@pytest.mark.parametrize(
    ("run", "command"),
    [
        (with_last(Verdict.FAILED), "vexlab verify --stage structure --stage build --stage load"),
        (replace(ALL_PASSED, applied=True), "vexlab test"),
        (replace(ALL_PASSED, applied=True, chosen=("mount/a b*",)), "vexlab test --check 'mount/a b*'"),
        (replace(ALL_PASSED, applied=True, selected=ALL_PASSED.selected[:5]), "vexlab up"),
        (replace(ALL_PASSED, applied=True, selected=("mount",)), "vexlab test --stage mount"),
        (
            replace(ALL_PASSED, machine=Machine.HARDWARE, device=DeviceRecord("/dev/disk/by-id/x", "S 1", 2)),
            "vexlab device test --inventory FILE --device /dev/disk/by-id/x --serial 'S 1' --phase 2 --backup FILE",
        ),
    ],
)
def test_page_has_the_command_that_runs_it_again(run: Run, command: str, tmp_path: Path) -> None:
    if "verify" in command:
        run = replace(run, selected=("structure", "build", "load"))
    assert again.whole(run, " --name other").removesuffix(" --name other") == command
    assert command in shown(run, tmp_path).text("code")


def test_what_failed_can_be_run_again_with_its_seed(tmp_path: Path) -> None:
    (tmp_path / "stages" / "stress").mkdir(parents=True)
    (tmp_path / "stages" / "stress" / "seed").write_text("42\n")
    check = Check("churn.random[$HOME]", Verdict.FAILED, 0.5, "it broke")
    stage = Stage("stress", Verdict.FAILED, 3.0, "it broke", (check,))
    run = replace(gate_evidence.a_run(), stages=(stage,))
    assert again.failed(run, stage, tmp_path, "") == "vexlab test --check 'stress/churn.random[$HOME]' --seed 42"


# --- the command


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def reported(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vexlab", "report", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def written(run: str) -> Parsed:
    """The page of a run on stdout."""
    done = reported(run, "--html", "-")
    assert done.returncode == 0, done.stderr
    return Parsed(done.stdout)


def test_page_in_another_file_links_to_the_evidence_where_it_is(state: Path) -> None:
    """Its path is all that is printed."""
    directory = gate_evidence.sealed(gate_evidence.a_run())
    done = reported(directory.name, "--html", str(state / "page.html"))
    assert (done.returncode, done.stdout) == (0, f"{state}/page.html\n")
    links = re.findall(r'href="([^"#]+)"', (state / "page.html").read_text())
    assert f"{directory.as_uri()}/console.log" in links
    assert not [link for link in links if link.startswith("./")]


def test_file_that_can_not_be_written_is_told(state: Path) -> None:
    gate_evidence.sealed(gate_evidence.a_run())
    done = reported("--html", str(state / "none" / "page.html"))
    assert done.returncode == 1
    assert "none/page.html can't be written: No such file or directory" in done.stderr


def test_what_is_no_file_is_written_to_and_not_replaced(state: Path) -> None:
    """Root could replace /dev/null."""
    gate_evidence.sealed(gate_evidence.a_run())
    os.mkfifo(state / "fifo")
    with subprocess.Popen(["cat", str(state / "fifo")], stdout=subprocess.PIPE, text=True) as reader:
        assert reported("--html", str(state / "fifo")).returncode == 0
        assert reader.communicate(timeout=30)[0].startswith("<!DOCTYPE html>")
    assert (state / "fifo").is_fifo()


@pytest.mark.usefixtures("state")
def test_page_is_written_anew_and_is_no_edit_of_the_evidence() -> None:
    directory = user_directories.runs_directory() / "run-1"
    directory.mkdir(parents=True)
    (directory / page.PAGE).write_text("as it was when the run was sealed")
    gate_evidence.sealed(gate_evidence.a_run())
    assert not written("run-1").text("p", class_="warning")
    assert not written("run-1").text("p", class_="warning")


@pytest.mark.usefixtures("state")
def test_edited_evidence_is_shown_with_a_warning() -> None:
    directory = gate_evidence.sealed(gate_evidence.a_run())
    (directory / "stages" / "mount" / "kernel.log").write_text("nothing happened here\n")
    warning = written("run-1").text("p", class_="warning")
    assert "this run's evidence isn't as it was sealed: stages/mount/kernel.log was edited" in warning


@pytest.mark.usefixtures("state")
def test_results_that_claim_too_much_are_not_believed() -> None:
    directory = gate_evidence.sealed(gate_evidence.a_run(verdicts={"mount": Verdict.FAILED}))
    text = (directory / "results.json").read_text().replace('"verdict": "failed"', '"verdict": "passed"', 2)
    (directory / "results.json").write_text(text)
    parsed = written("run-1")
    assert "no verdict is taken" in parsed.text("p", class_="warning")
    assert "passed" not in parsed.text("h1").lower()


def left(state: Path) -> Path:
    """What a run left that was killed in stage mount."""
    directory = state / "vexlab" / "runs" / "20261101-120000-toy"
    stage = directory / "stages" / "mount"
    stage.mkdir(parents=True)
    (directory / "lab").write_text("toy\n")
    (directory / "contract.json").write_text('{"vexlab_target_name": "toyfs"}')
    good = '{"name": "a.good", "verdict": "passed", "seconds": 1.0}\n'
    bad = '{"name": "a.bad", "verdict": "failed", "seconds": 1.0, "message": "EIO"}\n'
    (stage / "checks.jsonl").write_text(good + bad + '{"name": "a.ha')
    (stage / "planned").write_text("a.good\na.bad\na.half\na.last\n")
    (stage / "running").write_text("a.half\n")
    return directory


def test_run_that_was_cut_off_before_it_had_results_has_a_page(state: Path) -> None:
    directory = left(state)
    parsed = written(directory.name)
    assert "CUT OFF" in parsed.text("h1")
    assert "toyfs" in parsed.text("h1")
    assert "results.json can't be read" in parsed.text("p", class_="warning")
    rows = {str(of["data-verdict"]): text for of, text in parsed.found("li") if "data-verdict" in of}
    assert sorted(rows) == ["failed", "not_run", "passed"]
    assert "stage mount failed" in parsed.text("section", class_="first")


def test_run_that_was_cut_off_shows_the_stage_that_went_on(state: Path) -> None:
    directory = left(state)
    run = a_run(
        {}, run=directory.name, finished=None, verdict=Verdict.NOT_RUN, selected=("build", "mount"),
        stages=(Stage("build", Verdict.PASSED, 1.0, "", (Check("b", Verdict.PASSED, 1.0),)), Stage("mount")),
    )  # fmt: skip
    results_file.write(directory / "results.json", run)
    parsed = written(directory.name)
    warnings = parsed.text("p", class_="warning")
    assert "this run was cut off: whatever was going on then has no verdict" in warnings
    assert "the run was cut off during it" in parsed.text("li", **{"data-verdict": "not_run"})
    assert "a.bad: EIO" in parsed.text("section", class_="first")


def test_run_that_goes_on_is_not_told_as_cut_off(state: Path) -> None:
    directory = left(state)
    (directory / "process").write_text(f"{os.getpid()} {started(os.getpid())}\n")
    stages = (Stage("structure"), Stage("mount"))
    run = a_run({}, run=directory.name, finished=None, verdict=Verdict.NOT_RUN, selected=("mount",), stages=stages)
    results_file.write(directory / "results.json", run)
    parsed = written(directory.name)
    assert "IN PROGRESS" in parsed.text("h1")
    assert "this run goes on" in parsed.text("p", class_="warning")
    assert "cut off" not in parsed.text("html")


def test_page_is_opened_where_there_is_something_to_open_it(state: Path) -> None:
    gate_evidence.sealed(gate_evidence.a_run())
    programs = state / "programs"
    programs.mkdir()

    def opens() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "vexlab", "report", "--open"]
        environment = os.environ | {"PATH": str(programs)}
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)

    alone = opens()
    assert alone.returncode == 1
    assert "no browser could be opened" in alone.stderr
    assert f"open {alone.stdout.strip()} in one" in " ".join(alone.stderr.split())
    (programs / "xdg-open").write_text(f'#!/bin/sh\necho "$1" >{state}/opened\n')
    (programs / "xdg-open").chmod(0o755)
    assert opens().returncode == 0
    for _ in range(100):  # what opens it is not waited for
        if (state / "opened").is_file() and (state / "opened").read_text().strip():
            break
        time.sleep(0.1)
    assert (state / "opened").read_text().strip() == alone.stdout.strip()


@pytest.mark.usefixtures("state")
def test_page_and_another_form_at_once_are_refused() -> None:
    done = reported("--html", "-", "--json")
    assert done.returncode == 2


# --- a browser


def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), "")


def opened(document: str, tmp_path: Path) -> Parsed:
    """A page as it is in a browser after its script ran."""
    path = tmp_path / "page.html"
    path.write_text(document, encoding="utf-8")
    words = [browser(), "--headless", "--disable-gpu", f"--user-data-dir={tmp_path}/browser", "--dump-dom"]
    words += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*words, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    return Parsed(done.stdout)


@pytest.mark.skipif(not browser(), reason="neither Chromium nor Chrome is installed")
def test_browser_runs_the_script_of_the_page_and_no_other(tmp_path: Path) -> None:
    document = page.render(failing(HOSTILE, target="toy"), tmp_path, page.Around())
    parsed = opened(document, tmp_path)
    assert parsed.text("title").startswith("toy failed")
    [(form, text)] = parsed.found("form")
    assert "hidden" not in form
    assert "1 of 1 checks are shown" in text
    forged = document.replace("</main>", "<script>document.title = 'taken'</script></main>")
    assert opened(forged, tmp_path).text("title").startswith("toy failed")


@pytest.mark.skipif(not browser(), reason="neither Chromium nor Chrome is installed")
@pytest.mark.parametrize(
    ("field", "value", "shown_rows"),
    [
        ("verdict", "failed", ["stress.three"]),
        ("stage", "mkfs", ["mkfs.one", "mkfs.two"]),
        ("text", "NOT CLAIMED stre", ["stress.two"]),
        ("text", "nothing has this", []),
    ],
)
def test_browser_filters_the_checks(tmp_path: Path, field: str, value: str, shown_rows: list[str]) -> None:
    document = page.render(with_last(Verdict.FAILED), tmp_path, page.Around())
    person = (  # a page lets no other script be used, so this one has no policy
        f"<script>const field = document.forms[0].elements.{field}; field.value = '{value}';"
        " field.dispatchEvent(new Event('input', {bubbles: true}))</script></body>"
    )
    document = document.replace("Content-Security-Policy", "x").replace("</body>", person)
    parsed = opened(document, tmp_path)
    rows = [(of, text) for of, text in parsed.found("li") if "data-verdict" in of]
    assert [text.split()[2] for of, text in rows if "hidden" not in of] == shown_rows
    assert f"{len(shown_rows)} of {len(rows)} checks are shown" in parsed.text("form")
    groups = [of for of, _ in parsed.found("details") if "data-group" in of and "hidden" not in of]
    assert len(groups) == len({name.partition(".")[0] for name in shown_rows})
