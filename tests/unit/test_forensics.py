"""What is kept of a guest that died: which lines of its console belong to the stage, and which function is to blame."""

from __future__ import annotations

from pathlib import Path

from vexlab.guest import forensics
from vexlab.guest.symbols import Symbols

NOWHERE = Symbols(Path("/nonexistent"), "toyfs", "/nonexistent")


def test_guess_is_no_evidence() -> None:
    """A frame with a question mark is a word that was on the stack."""
    trace = [
        "[   41.000001] Call Trace:",
        "[   41.000002]  ? toyfs_innocent+0x1/0x2 [toyfs]",
        "[   41.000003][  T812]  ? toyfs_either+0x1/0x2 [toyfs]",
        "[   41.000004]  toyfs_guilty+0x3/0x4 [toyfs]",
    ]
    assert forensics.with_place("it hangs", trace, NOWHERE) == "it hangs, under toyfs_guilty+0x3/0x4 [toyfs]"
    assert forensics.with_place("it hangs", trace[:3], NOWHERE) == "it hangs"


def test_log_of_a_stage_is_the_kernels_own(tmp_path: Path) -> None:
    """From the marker of this run on, each line from the kernel's stamp on, without what programs write there."""
    console = tmp_path / "console.log"
    console.write_text(
        "[   10.000000] vexlab: stage mount begins, taint 0, run 0123\n"
        "[   11.000000] earlier\n"
        "vexlab login: [   20.000000] vexlab: stage mount begins, taint 0, run 4567\r\n"
        "\x1b[!p[   21.000000] toyfs: mounted\r\n"
        "BUG: says a program\n"
        "[   22.000000] vexlab: stage mount begins, taint 0, run 4567\n"
    )
    (tmp_path / "marker").write_text("4567\n")
    assert forensics.stage_log(console, "mount", forensics.token_of(tmp_path)) == [
        "[   21.000000] toyfs: mounted",
        "[   22.000000] vexlab: stage mount begins, taint 0, run 4567",
    ]
    assert forensics.stage_log(console, "mount", forensics.token_of(tmp_path / "missing")) == []
