"""What is asked for is on stdout, how far it is on stderr; lines fit a terminal, and are whole elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.table import Table

from tests.unit import gate_evidence
from vexlab.cli.options import as_typed
from vexlab.report import terminal
from vexlab.report.screen import Screen
from vexlab.report.terminal import Progress
from vexlab.results import results_file
from vexlab.results.model import Stage, Verdict

ROOT = Path(__file__).parents[2]
REASON = "rename.tree_is_right[file over file]: after a remount there is a/b/c/d " * 4
ESCAPE = "\x1b"


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    usual = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "TERM")}
    return usual | home | {"TERM": "xterm-256color"} | more


def vexlab(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *arguments], capture_output=True, text=True, timeout=60, check=False,
        env=environment(tmp_path, **more), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def at_a_terminal(tmp_path: Path, *words: str, columns: int = 80, more: dict[str, str] | None = None) -> str:
    """What a command shows at a terminal of so many columns."""
    controller, terminal_ = pty.openpty()
    environment_ = environment(tmp_path, COLUMNS=str(columns), **(more or {}))
    with subprocess.Popen(words, stdin=terminal_, stdout=terminal_, stderr=terminal_, env=environment_) as process:
        os.close(terminal_)
        shown = b""
        while select.select([controller], [], [], 60)[0]:
            try:
                data = os.read(controller, 65536)
            except OSError:  # the last one at it has gone
                break
            shown += data
        process.wait(60)
    os.close(controller)
    return shown.decode().replace("\r\n", "\n")


def plain(shown: str) -> str:
    """What is read of it: without colours."""
    return re.sub(rf"{ESCAPE}\[[0-9;]*m", "", shown)


def a_run(tmp_path: Path) -> str:
    """A run that failed, whose first cause is long."""
    stages = list(gate_evidence.a_run().stages)
    stages[4] = Stage("mount", Verdict.FAILED, 2.0, REASON, stages[4].checks)
    run = gate_evidence.a_run("20261128-100000-toy", stages=tuple(stages), verdict=Verdict.FAILED)
    directory = tmp_path / "state" / "vexlab" / "runs" / run.run
    directory.mkdir(parents=True)
    results_file.write(directory / "results.json", run)
    (directory / "lab").write_text("toy\n")
    return run.run


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("doctor",), "accelerator"),
        (("checks", "--stage", "load"), "load/load.module_is_live"),
        (("image", "list"), "key"),
        (("gate", "--name", "toy"), "All VM tests pass without errors"),
        (("report",), "Testing Report"),
        (("target", "check", str(ROOT / "examples/targets/vexfs.yml")), "not looked at:"),
    ],
)
def test_what_is_asked_for_is_on_stdout(tmp_path: Path, command: tuple[str, ...], said: str) -> None:
    a_run(tmp_path)
    done = vexlab(tmp_path, *command)
    assert said in done.stdout
    assert said not in done.stderr
    assert ESCAPE not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command", [("doctor",), ("gate", "--name", "toy"), ("target", "check", "vexfs"), ("image", "list"), ("report",)]
)
def test_json_is_all_that_is_on_stdout(tmp_path: Path, command: tuple[str, ...]) -> None:
    a_run(tmp_path)
    words = [str(ROOT / "examples/targets/vexfs.yml") if word == "vexfs" else word for word in command]
    assert json.loads(vexlab(tmp_path, *words, "--json").stdout) is not None


def test_without_a_terminal_no_line_is_wrapped_or_cut(tmp_path: Path) -> None:
    a_run(tmp_path)
    done = vexlab(tmp_path, "gate", "--name", "toy", COLUMNS="60")
    row = next(line for line in done.stdout.splitlines() if "All VM tests pass" in line)
    assert row.endswith("there is no run that counts")
    assert "…" not in done.stdout


def test_at_a_terminal_no_word_is_broken(tmp_path: Path) -> None:
    """A path that is too long for the line stays one, to be copied."""
    path = "/tmp/" + "/".join(["directory-of-a-long-name"] * 5) + "/target.yml"
    shown = at_a_terminal(tmp_path, sys.executable, "-m", "vexlab", "target", "check", path, columns=60)
    assert path in plain(shown)
    shown = plain(at_a_terminal(tmp_path, sys.executable, "-m", "vexlab", "checks", "--stage", "load"))
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.split() == vexlab(tmp_path, "checks", "--stage", "load").stdout.split()


SHOWS = """
import sys
from vexlab.cli.common import stderr, verdict_table
from vexlab.results import results_file
from pathlib import Path
stderr.table(verdict_table(results_file.read(Path(sys.argv[1]))))
"""


def test_reason_is_cut_where_the_screen_ends(tmp_path: Path) -> None:
    """One line per stage; the report has the whole of it."""
    run = a_run(tmp_path)
    path = tmp_path / "state/vexlab/runs" / run / "results.json"
    lines = plain(at_a_terminal(tmp_path, sys.executable, "-c", SHOWS, str(path))).splitlines()
    [row] = [line for line in lines if "mount" in line]
    assert len(row) <= 80
    assert row.endswith("…")
    assert len(lines) == 8
    assert REASON.strip() in vexlab(tmp_path, "report", run).stdout.replace("\\", "")


ENDS = """
import sys
from pathlib import Path
from vexlab.cli.common import stderr
from vexlab.report import terminal
from vexlab.results import results_file
for stage in results_file.read(Path(sys.argv[1])).stages:
    if stage.name == "mount":
        terminal.Progress(stderr).stage(stage)
"""


def test_first_cause_of_a_stage_is_not_cut(tmp_path: Path) -> None:
    """It has lines of its own where the stage's line has no room; the counts alone would be no help."""
    path = tmp_path / "state/vexlab/runs" / a_run(tmp_path) / "results.json"
    shown = plain(at_a_terminal(tmp_path, sys.executable, "-c", ENDS, str(path)))
    assert REASON.strip() in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    wide = plain(at_a_terminal(tmp_path, sys.executable, "-c", ENDS, str(path), columns=400))
    [line] = [line for line in wide.splitlines() if "✘" in line]
    assert REASON.strip() in line


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_where_nobody_wants_them(tmp_path: Path, name: str, value: str) -> None:
    command = (sys.executable, "-m", "vexlab", "up", "--target", "/nowhere.yml")
    colour = re.compile(rf"{ESCAPE}\[[0-9;]*3[0-9]")
    assert colour.search(at_a_terminal(tmp_path, *command))
    assert not colour.search(at_a_terminal(tmp_path, *command, more={name: value}))


RUNS = """
import time
from vexlab.report import terminal
from vexlab.cli.common import stderr
terminal.PLAIN_EVERY = terminal.LONG = 0.2
with terminal.Progress(stderr) as progress:
    progress.begin("build", lambda: "making")
    for _ in range(8):
        time.sleep(0.1)
        progress.tick()
    progress.end("build", "done")
"""


def test_dumb_terminal_gets_lines_and_no_drawing(tmp_path: Path) -> None:
    assert ESCAPE in at_a_terminal(tmp_path, sys.executable, "-c", RUNS)
    shown = at_a_terminal(tmp_path, sys.executable, "-c", RUNS, more={"TERM": "dumb"})
    assert ESCAPE not in shown
    assert shown.startswith("build: begins\n")


def test_step_that_takes_long_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that nobody has to type anything; one that says something new is no such step."""
    monkeypatch.setattr(terminal, "PLAIN_EVERY", 0.3)
    monkeypatch.setattr(terminal, "LONG", 0.2)
    with Progress(Screen(stderr=True)) as progress:
        progress.wait_for("ending the guest", lambda: "Unmount the filesystem")
        progress.tick()
        assert capsys.readouterr().err == ""
        time.sleep(0.25)
        progress.tick()
        assert capsys.readouterr().err == "ending the guest: 0.3 s, Unmount the filesystem\n"
        time.sleep(0.35)
        progress.tick()
        assert capsys.readouterr().err == "ending the guest: 0.6 s, Unmount the filesystem, it needs no input\n"


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("Unpacking udev (257.13-1)", 25, "Unpacking udev (257.13-1)"),
        ("Unpacking udev (257.13-1)", 24, "Unpacking udev …"),
        ("/a/path/that/is/too/long", 10, "/a/path/t…"),
        ("", 10, ""),
    ],
)
def test_what_is_too_long_is_cut_between_words(text: str, columns: int, shown: str) -> None:
    assert terminal.fitting(text, columns) == shown


def test_detail_gives_way_to_that_nobody_has_to_type_anything(tmp_path: Path) -> None:
    waits = """
import time
from vexlab.report import terminal
from vexlab.report.screen import Screen
terminal.LONG = 0.2
with terminal.Progress(Screen(stderr=True)) as progress:
    progress.begin("build", lambda: "Build " + "a very large module " * 5)
    time.sleep(1)
"""
    shown = plain(at_a_terminal(tmp_path, sys.executable, "-c", waits, columns=60))
    assert re.search(r"a very …, it needs no input$", shown, re.M)


def test_quiet_is_for_all_but_what_went_wrong(tmp_path: Path) -> None:
    """And the exit code, of course."""
    loud = vexlab(tmp_path, "up", "--target", "/nowhere.yml")
    quiet = vexlab(tmp_path, "up", "-q", "--target", "/nowhere.yml")
    assert quiet.stderr == loud.stderr
    assert quiet.returncode == 2
    screen = Screen(stderr=True)
    screen.quiet = True
    assert not screen.is_live


def test_progress_for_programs_is_an_object_per_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(stderr=True)
    screen.for_programs = True
    with Progress(screen) as progress:
        progress.begin("mount")
        progress.say("going on")
        screen.verbatim("int x\n    ^")
        screen.table(Table())
        progress.stage(Stage("mount", Verdict.FAILED, 2.0, "why"))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["begin", "say", "say", "stage"]
    assert (events[3]["stage"], events[3]["verdict"], events[3]["reason"]) == ("mount", "failed", "why")
    done = vexlab(tmp_path, "up", "--progress", "json", "--target", "/nowhere.yml")
    [problem] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (problem["event"], problem["exit_code"]) == ("problem", 2)


@pytest.mark.parametrize("for_programs", [False, True])
def test_part_of_a_stage_is_no_verdict(capsys: pytest.CaptureFixture[str], for_programs: bool) -> None:
    """Other guests judge the rest: who counts the events of stages has each stage once."""
    screen = Screen(stderr=True)
    screen.for_programs = for_programs
    with Progress(screen) as progress:
        progress.part(Stage("mount", Verdict.FAILED, 2.0, "why"))
    said = capsys.readouterr().err
    if for_programs:
        assert [json.loads(line)["event"] for line in said.splitlines()] == ["end"]
    else:
        assert said.split() == ["✘", "mount", "2.0", "s", "in", "this", "guest:", "failed:", "why"]


def test_log_is_shown_while_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "ansible.log"
    log.write_text("before\n")
    with Progress(Screen(stderr=True), follows=True) as progress:
        progress.follow(log)
        with log.open("a") as file:
            file.write("TASK [build]\n")
        progress.tick()
        assert capsys.readouterr().err == "TASK [build]\n"
        with log.open("a") as file:
            file.write("ok\n")
    assert capsys.readouterr().err == "ok\n"


ASKS = """
import sys
import click
from vexlab import __main__
from vexlab.cli import main
@main.cli.command()
def ask():
    click.confirm("remove 3 runs?", abort=True, err=True)
sys.argv = ["vexlab", "ask"]
__main__.main()
"""


def test_question_at_the_end_of_the_input_is_told(tmp_path: Path) -> None:
    """It isn't an interruption, which nobody made."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS], input="", capture_output=True, text=True, check=False,
        env=environment(tmp_path), timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the question was not answered: the input is at its end" in done.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no free port; name another vexlab_ssh_port", "no free port; name another --ssh-port"),
        ("listing is damaged; build with vexfs_build_clean", "listing is damaged; build with --clean"),
        ("a running guest needs vexlab_guest_memory_mb", "a running guest needs --memory"),
        ("its serial number in vexfs_mkfs_serial", "its serial number in --serial"),
        ("to destroy that, name it in vexfs_mkfs_overwrite", "to destroy that, name it in --overwrite"),
        ("unknown kernel in vexlab_image_kernel", "unknown kernel in --kernel"),
        ("vexlab_known_failures: it passed", "vexlab_known_failures: it passed"),
        ("vexfs_mkfs needs a device", "vexfs_mkfs needs a device"),
    ],
)
def test_option_is_named_as_it_was_typed(said: str, told: str) -> None:
    """A role names its inputs, which whoever types a command has never seen."""
    assert as_typed(said) == told
