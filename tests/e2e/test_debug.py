"""A check that a person debugs, at a terminal: a shell where it fails, gdb before it, gdb on a guest that is dead."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pexpect
import pytest
import yaml

from tests.e2e.harness import VEXFS, Vexlab
from tests.faults.fault_site import small_target
from tests.mutants import catalogue

PATIENCE = 900  # seconds for a guest that has to be brought up from nothing
PROMPT = r"\(gdb\) "
RELOADS = "persistence.tree_is_the_same_after_the_module_was_reloaded"
needs_gdb = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")


class Terminal:
    """`vexlab debug` at a terminal, with a person who types."""

    opened: ClassVar[list[Terminal]] = []

    def __init__(self, vexlab: Vexlab, *arguments: str) -> None:
        program, *words = vexlab.command("debug", *arguments)
        self.said = pexpect.spawn(
            program, words, cwd=vexlab.home, env=vexlab.environment | {"TERM": "dumb"}, encoding="utf-8",
            timeout=PATIENCE, dimensions=(60, 200),
        )  # fmt: skip

        self.opened.append(self)

    def until(self, pattern: str | type[pexpect.EOF]) -> str:
        """Wait for words; returns what came before them, and them."""
        self.said.expect(pattern)
        return f"{self.said.before}{self.said.after}"

    def gdb(self, command: str) -> str:
        """What gdb answers, up to its next prompt."""
        self.said.sendline(command)
        return self.until(rf"\r\n{PROMPT}")

    def leave(self, word: str) -> int:
        """Leave gdb, or the shell; returns the exit code of the command."""
        self.said.sendline(word)
        self.until(pexpect.EOF)
        self.said.close()
        return int(self.said.exitstatus or 0)


@pytest.fixture(autouse=True)
def _terminals_are_left() -> Iterator[None]:
    """A command that a failed test left running would keep its lab from being destroyed."""
    yield
    while Terminal.opened:
        said = Terminal.opened.pop().said
        if said.isalive():
            said.kill(signal.SIGTERM)
            said.expect(pexpect.EOF)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A filesystem with a bug, where a test plants one."""
    copy = tmp_path_factory.mktemp("source") / "vexfs"
    shutil.copytree(VEXFS, copy)
    yield copy


def line_of(source: Path, name: str, text: str) -> int:
    """The line of a source file that has this text."""
    [line] = [number for number, each in enumerate((source / name).read_text().splitlines(), 1) if text in each]
    return line


@needs_gdb
def test_a_breakpoint_in_the_module_is_hit(vexlab: Vexlab) -> None:
    """And a variable read; where the module is loaded again, the breakpoint is there as well."""
    terminal = Terminal(vexlab, f"mount/{RELOADS}", "--gdb")
    assert "vexlab: vexfs is at 0x" in terminal.until(PROMPT)
    terminal.gdb("break vexfs_fill_super")
    stopped = terminal.gdb("continue")
    assert "Breakpoint 1, vexfs_fill_super (sb=0xff" in stopped
    assert "static int vexfs_fill_super(struct super_block *sb, struct fs_context *fc)" in terminal.gdb("list")
    assert '"vexfs"' in terminal.gdb("print sb->s_type->name")
    terminal.gdb("break vexfs_init")
    loaded = terminal.gdb("continue")
    assert "vexlab: vexfs is at 0x" in loaded, f"it had stopped before with: {stopped}"
    assert "Breakpoint 2, vexfs_init () at " in loaded
    assert "Breakpoint 1, vexfs_fill_super" in terminal.gdb("continue")
    terminal.gdb("delete")
    terminal.said.sendline("continue")
    terminal.until(rf"vexlab: {re.escape(RELOADS)} passed")
    terminal.said.sendintr()
    terminal.until(PROMPT)
    assert terminal.leave("quit") == 0
    assert not vexlab.processes()


@pytest.mark.thorough
class TestShell:
    """A link that isn't counted."""

    CHECK = "mount/links.hard_link_is_the_same_file"

    @pytest.fixture(scope="class")
    def broken(self, source: Path) -> Path:
        catalogue.named("link-is-not-counted").plant(source)
        return source

    def test_where_it_fails(self, vexlab: Vexlab, broken: Path) -> None:
        terminal = Terminal(vexlab, self.CHECK, "--source", str(broken))
        assert f"{self.CHECK} failed: " in terminal.until("a shell in the guest")
        terminal.until("# ")
        terminal.said.sendline("echo $(pwd) $(losetup --noheadings --output BACK-FILE)")
        terminal.until(r"\n/var/lib/vexlab/scratch .*/var/lib/vexlab/scratch\.img")
        assert terminal.leave("exit") == 1
        assert not vexlab.processes()

    def test_before_it(self, vexlab: Vexlab, broken: Path) -> None:
        terminal = Terminal(vexlab, self.CHECK, "--before", "--keep")
        assert f"stopped before {self.CHECK}" in terminal.until("a shell in the guest")
        terminal.until("# ")
        assert terminal.leave("exit") == 0
        assert vexlab.record()["state"] == "ready"

    def test_the_guest_that_is_up(self, vexlab: Vexlab, broken: Path) -> None:
        terminal = Terminal(vexlab)
        terminal.until("# ")
        terminal.said.sendline("echo $(pwd) $(cat /sys/module/vexfs/initstate)")
        terminal.until("/mnt/vexlab live")
        assert terminal.leave("exit") == 0
        assert vexlab("down").code == 0

    def test_one_that_passes(self, vexlab: Vexlab, broken: Path) -> None:
        done = vexlab("debug", "mount/files.file_is_appended_to")
        assert done.code == 0
        assert "mount/files.file_is_appended_to passed" in done.stderr
        assert "a shell" not in done.stderr


@needs_gdb
@pytest.mark.thorough
def test_a_null_dereference_is_looked_at_live(vexlab: Vexlab, source: Path) -> None:
    """The guest is left as it died, and gdb begins where it did."""
    mutant = catalogue.named("oops-at-first-write")
    mutant.plant(source)
    line = line_of(source, "kernel/file.c", "*(volatile int *)NULL = 1;")
    done = vexlab(
        "test", "--source", str(source), "--keep-on-failure", "--check", f"{mutant.stage}/{mutant.check}", "--json"
    )
    assert done.code == 1
    assert "vexlab debug --gdb" in done.stderr
    assert vexlab("status", "--json").document[0]["guest"]["state"] == "guest-panicked"
    refused = vexlab("debug")
    assert (refused.code, "guest-panicked" in refused.stderr) == (4, True)
    terminal = Terminal(vexlab, "--gdb")
    begun = terminal.until(PROMPT)
    assert "the guest's kernel has died" in begun
    assert re.search(rf"vexfs_write_begin \(.*\) at .*kernel/file.c:{line}\r\n", begun)
    assert re.search(r"= \d+", terminal.gdb("print pos"))
    assert f"{line}\t\t*(volatile int *)NULL = 1;" in terminal.gdb("list")
    assert terminal.leave("quit") == 0
    assert vexlab.record()["state"] == "ready"
    vexlab("down")


@pytest.mark.thorough
def test_a_check_that_failed_takes_nothing_down(vexlab: Vexlab, source: Path) -> None:
    catalogue.named("link-is-not-counted").plant(source)
    done = vexlab("test", "--source", str(source), "--keep-on-failure", "--check", TestShell.CHECK, "--json")
    assert done.code == 1
    assert done.stage("mount")["verdict"] == "failed"
    assert "vexlab debug looks at the guest" in done.stderr
    disks = vexlab("ssh", "losetup --noheadings --output BACK-FILE")
    assert "/var/lib/vexlab/scratch.img" in disks.stdout
    vexlab("down")


@pytest.mark.thorough
def test_until_failure_ends_when_the_time_is_over(vexlab: Vexlab) -> None:
    done = vexlab("test", "--check", "load/load.initstate_is_live", "--until-failure=5", "--json")
    assert done.code == 0
    assert re.search(r"all has passed [2-9] times within 5 s; what still fails does so in less than \d+ %", done.stderr)


@pytest.mark.thorough
def test_until_failure_ends_with_the_failure(vexlab: Vexlab, tmp_path: Path) -> None:
    """A check that fails each third time: its verdict is that of the run, and the numbers count on with --rerun."""
    count = "n=$(cat /run/times 2>/dev/null || echo 0); echo $((n + 1)) >/run/times; [ $(((n + 1) % 3)) != 0 ]"
    own = {"vexlab_checks": [{"name": "moody", "stage": "mount", "command": count}]}
    target = tmp_path / "target.yml"
    target.write_text(yaml.safe_dump(small_target(VEXFS) | own | {"vexlab_target_name": "moody"}))
    words = ("--check", "mount/own.of_the_target[moody]", "--until-failure", "--rerun", "3", "--json")
    done = vexlab("test", "--target", str(target), "--name", "moody", *words)
    assert done.code == 1
    assert done.document["reruns"] == {"check": "mount/own.of_the_target[moody]", "of": 6, "failed": 2}
    assert "flaky (2 of 6, a rate of" in done.stage("mount")["reason"]
    [check] = done.stage("mount")["checks"]
    assert check["verdict"] == "failed"
