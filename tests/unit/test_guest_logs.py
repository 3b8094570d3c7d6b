"""What a guest makes QEMU write doesn't fill the disk: begin and end stay, and offsets stay what they were."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import console, keeper, ssh
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import GuestError, LabFiles

from tests.unit.test_warm_key import INPUTS
from vexlab.guest import console_log
from vexlab.guest.forensics import stage_log
from vexlab.guest.watch import explain_console
from vexlab.results.model import Verdict

LINE = b"%015d\n"


def flood(path: Path, size: int) -> None:
    """Numbered lines at the end of a file, as QEMU appends them."""
    with path.open("ab") as log:
        for number in range(log.tell() // 16, (log.tell() + size) // 16):
            log.write(LINE % number)


def test_what_is_kept_is_read_and_copied_without_the_hole(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    flood(log, 100 << 20)
    console.cut(log)
    text = console_log.read(log)
    lines = text.splitlines()
    assert len(text) < console.BEGIN + console.END + (1 << 20)
    assert "\0" not in text
    assert (lines[0], lines[-1]) == ("0" * 15, f"{(100 << 20) // 16 - 1:015d}")
    cuts = [line for line in lines if console_log.CUT_LINE.match(line)]
    assert cuts == [console_log.CUT.format((100 << 20) - console.BEGIN - console.END)]
    console_log.copy(log, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == text
    assert room(tmp_path / "copy") < console.BEGIN + console.END + (1 << 20)


def test_offset_of_a_watch_stays_right(tmp_path: Path) -> None:
    """It reads from where it began, which is after the beginning that is kept, or in the hole."""
    log = tmp_path / "console.log"
    flood(log, 100 << 20)
    console.cut(log)
    begin = console_log.read(log, 16 * 1000).splitlines()[0]
    assert begin == f"{1000:015d}"
    in_the_hole = console_log.read(log, 50 << 20).splitlines()
    assert console_log.CUT_LINE.match(in_the_hole[1])
    assert in_the_hole[-1] == f"{(100 << 20) // 16 - 1:015d}"


@pytest.mark.parametrize("begins", ["before", "after"])
def test_cause_of_a_death_after_a_flood_is_found(tmp_path: Path, begins: str) -> None:
    """The stage's marker may be in what was not kept; the words of the kernel are at the end."""
    log = tmp_path / "console.log"
    marker = b"[    1.000000] vexlab: stage mount begins, taint 0, run abc\n"
    log.write_bytes(b"\n" * (9 << 20) + (marker if begins == "before" else b""))
    flood(log, 90 << 20)
    with log.open("ab") as file:
        file.write((marker if begins == "after" else b"") + b"[    2.000000] Kernel panic - not syncing: ouch\n")
    console.cut(log)
    assert stage_log(log, "mount", "abc") == ["[    2.000000] Kernel panic - not syncing: ouch"]
    death = explain_console(console_log.read(log, 1000), Verdict.PANICKED, "otherwise")
    assert death.reason == "Kernel panic - not syncing: ouch"


def test_kernel_that_dies_while_it_starts_is_noticed_after_a_flood(tmp_path: Path) -> None:
    lab = LabFiles(INPUTS | {"directory": str(tmp_path)})
    flood(lab.console, 50 << 20)
    console.cut(lab.console)
    ssh.see_that_it_lives(lab, lambda: True)
    with lab.console.open("ab") as file:
        file.write(b"[    2.000000] Kernel panic - not syncing: ouch\n")
    with pytest.raises(GuestError, match="kernel died while it started"):
        ssh.see_that_it_lives(lab, lambda: True)


def room(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_begin_and_end_of_a_flood_stay(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    flood(log, 100 << 20)
    console.cut(log)
    assert room(log) <= console.BEGIN + console.END + (1 << 20)
    assert log.stat().st_size == 100 << 20
    with log.open("rb") as file:
        begin = file.read(console.BEGIN)
        assert begin == b"".join(LINE % number for number in range(console.BEGIN // 16))
        file.seek(-console.END, os.SEEK_END)
        assert file.read(16) == LINE % ((100 << 20) - console.END >> 4)
    flood(log, 40 << 20)
    console.cut(log)
    assert room(log) <= console.BEGIN + console.END + (1 << 20)


def test_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    flood(log, 20 << 20)
    before = log.read_bytes()
    console.cut(log)
    assert log.read_bytes() == before


def test_keeper_works_while_the_process_lives_and_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.touch()
    guest = subprocess.Popen(["sleep", "300"])
    try:
        keeper.start(guest.pid, [log, tmp_path / "missing"], {"PATH": os.environ["PATH"]})
        flood(log, 100 << 20)
        wait_until(lambda: room(log) <= console.BEGIN + console.END + console.SLACK)
        assert keepers(log)
    finally:
        guest.kill()
        guest.wait()
    wait_until(lambda: not keepers(log))


def keepers(log: Path) -> list[str]:
    """Processes that have the log on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(log).encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def wait_until(condition: object) -> None:
    began = time.monotonic()
    while not condition():  # type: ignore[operator]
        if time.monotonic() - began > 30:
            pytest.fail("it didn't come to be within 30 s")
        time.sleep(0.1)
