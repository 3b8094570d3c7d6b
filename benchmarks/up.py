"""`vexlab up`: from nothing but the image, against the floor; from a checkpoint; unchanged; after an edit."""

from __future__ import annotations

import json
import shlex
import shutil

from benchmarks.bare import BareGuest
from benchmarks.builders import UTILS, sandbox_inputs
from benchmarks.labs import ROOT, Bench, mebibytes_of
from benchmarks.measure import BenchmarkError, Command, Contestant, interleave, run
from benchmarks.table import Row, at_most, mebibytes, ratio, seconds

LAB, OTHER_LAB = "up", "up-again"
FIRST, UNCHANGED, EDITED, FLOOR = "up, fresh lab", "up, nothing changed", "up, one file edited", "the floor"
BEFORE = "up, fresh lab, checked before"
EDITED_FILE = "kernel/super.c"


class Up:
    """A lab that is brought up, left alone, edited and removed, run after run."""

    def __init__(self, bench: Bench) -> None:
        """Make the source that will be edited."""
        self.bench = bench
        self.source = bench.source("edited")
        self.edits = 0
        self.module = ""
        self.stages: dict[str, list[float]] = {}
        self.lab_size: list[float] = []
        self.run_size: list[float] = []

    def first(self) -> float:
        """Bring it up with nothing there but the image; the lab of the round before goes first."""
        if self.bench.lab(LAB).exists():
            self.bench.vexlab("destroy", "--name", LAB)
        finished, document = self.bench.stages("up", "--name", LAB, "--source", str(self.source), "--clean")
        if not document["guest"]["warm"]:
            raise BenchmarkError("the guest was booted, and not restored")
        self.module = document["module"]["sha256"]
        for stage in document["stages"]:
            self.stages.setdefault(stage["name"], []).append(float(stage["seconds"]))
        self.lab_size.append(mebibytes_of(self.bench.lab(LAB)))
        self.run_size.append(mebibytes_of(self.bench.lab(LAB).parent.parent / "runs" / document["run"]))
        return finished.seconds

    def checked_before(self) -> float:
        """Another lab of the same inputs."""
        finished, document = self.bench.stages("up", "--name", OTHER_LAB, "--source", str(self.source))
        if document["module"]["sha256"] != self.module:
            raise BenchmarkError("another module is in the guest, so its time says nothing")
        self.bench.vexlab("destroy", "--name", OTHER_LAB)
        return finished.seconds

    def unchanged(self) -> float:
        """The same command once more."""
        finished, document = self.bench.stages("up", "--name", LAB)
        if document["module"]["sha256"] != self.module:
            raise BenchmarkError("the module was built again, though nothing had changed")
        return finished.seconds

    def edited(self) -> float:
        """Another line in one C file, and the verdict on it."""
        self.edits += 1
        with (self.source / EDITED_FILE).open("a") as file:
            file.write(f"static const int benchmark_{self.edits} __attribute__((used)) = {self.edits};\n")
        finished, document = self.bench.stages("up", "--name", LAB)
        if document["module"]["sha256"] == self.module:
            raise BenchmarkError("the edit is not in the module, so its time says nothing")
        self.module = document["module"]["sha256"]
        return finished.seconds


class Floor:
    """What floor.sh needs: the bare guest's directory with the builder and the target's words in it."""

    def __init__(self, bench: Bench) -> None:
        """Make them; nothing of this is timed."""
        self.bench = bench
        source = bench.source("still")
        self.guest = BareGuest(bench, source)
        self.work = self.guest.directory / "work"
        contract = bench.contract
        for name in ("sandbox.py", "build.py"):
            shutil.copy(UTILS / name, self.guest.directory)
        (self.guest.directory / "build.json").write_text(json.dumps(sandbox_inputs(bench, source, self.work)))
        words = {
            "SHARE": contract["vexlab_share_directory"], "POINT": contract["vexlab_mount_point"],
            "MODULE_FILE": contract["vexlab_module_file"], "SIZE_MB": contract["vexlab_device_size_mb"],
            "MKFS": contract["vexlab_mkfs_command"], "LABEL": "vexlab", "TYPE": contract["vexlab_filesystem_type"],
            "READ_ONLY": contract["vexlab_mount_options_ro"], "READ_WRITE": contract["vexlab_mount_options_rw"],
        }  # fmt: skip
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in words.items()]
        (self.guest.directory / "variables.sh").write_text("".join(lines))

    def run(self) -> float:
        """Restore, build, and the filesystem's life."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        self.guest.make_ready()
        script: Command = ["sh", ROOT / "benchmarks" / "floor.sh", self.guest.directory]
        try:
            return run(script, env=self.bench.environment).seconds
        finally:
            self.guest.end()


def measure(bench: Bench, runs: int) -> list[Row]:
    """`up` three ways, against the floor."""
    up, floor = Up(bench), Floor(bench)
    contestants = [
        Contestant(FIRST, up.first), Contestant(BEFORE, up.checked_before), Contestant(FLOOR, floor.run),
        Contestant(UNCHANGED, up.unchanged), Contestant(EDITED, up.edited),
    ]  # fmt: skip
    times = interleave(contestants, runs)
    bench.vexlab("destroy", "--name", LAB)
    floor.guest.remove()
    whole = times[FIRST]
    before = [total - sum(stages) for total, *stages in zip(whole, *up.stages.values(), strict=True)]
    return [
        seconds("`vexlab up`, warm, nothing cached but the image", whole, at_most(30)),
        seconds("of it before the first stage and after the last", before),
        *(seconds(f"of it stage {name}", samples) for name, samples in up.stages.items()),
        seconds("the floor: the same life cycle by one script, no checks", times[FLOOR]),
        ratio("`vexlab up` ÷ the floor", whole, times[FLOOR], at_most(2.5)),
        seconds("`vexlab up`, new lab of inputs that were checked before", times[BEFORE], at_most(6)),
        seconds("`vexlab up`, nothing changed", times[UNCHANGED], at_most(5)),
        seconds("edit one C file → verdict through `mount`", times[EDITED], at_most(20)),
        mebibytes("disk of a lab after `up`", up.lab_size),
        mebibytes("disk of a run's evidence", up.run_size),
    ]
