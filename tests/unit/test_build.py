"""Module build: its copy of the source, when it builds again, and what it says of a build that failed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.build import (
    LISTING,
    BuildError,
    copy_source,
    first_errors,
    killed_in,
    products,
    stamp,
)

from tests.unit import modules
from tests.unit.odd_files import NAMES, OTHERS
from vexlab.guest.lab import started


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "source" / "kernel").mkdir(parents=True)
    (tmp_path / "source" / "kernel" / "a.c").write_text("int a;")
    return {
        "source": str(tmp_path / "source"), "destination": str(tmp_path / "build"),
        "record": str(tmp_path / "build.json"), "directory": ".", "before": [], "command": "make",
        "variant": "c-only", "module_file": "x.ko", "kernel_release": "6.12.0", "clean": False, "jobs": 1,
        "deadline": 10,
    }  # fmt: skip


@pytest.fixture
def corruptible(tmp_path: Path) -> Path:
    """A file outside of the build directory, which stays."""
    path = tmp_path / "outside" / "a.c"
    path.parent.mkdir()
    path.write_text("kept")
    return path


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_any_name_is_copied_and_removed(inputs: dict[str, Any], tmp_path: Path, name: bytes) -> None:
    source, copy = (tmp_path / place / os.fsdecode(name) for place in ("source", "build"))
    source.mkdir()
    (source / "a").write_text("content")
    before = stamp(inputs, "6.12.0")
    copy_source(inputs)
    assert (copy / "a").read_text() == "content"
    shutil.rmtree(source)
    copy_source(inputs)
    assert not (copy / "a").exists()
    assert (tmp_path / "build" / "kernel" / "a.c").read_text() == "int a;"
    assert stamp(inputs, "6.12.0") != before


def test_directory_whose_name_ends_a_line_removes_nothing_outside(
    inputs: dict[str, Any], tmp_path: Path, corruptible: Path
) -> None:
    odd = tmp_path / "source" / f"q\n{corruptible}"
    odd.parent.mkdir(parents=True)
    odd.write_text("copied")
    copy_source(inputs)
    shutil.rmtree(tmp_path / "source" / "q\n")
    copy_source(inputs)
    assert corruptible.read_text() == "kept"


def test_link_in_the_place_of_a_directory_is_not_followed(
    inputs: dict[str, Any], tmp_path: Path, corruptible: Path
) -> None:
    """Neither when a file is removed, nor when it is copied: the link is replaced."""
    copy_source(inputs)
    shutil.rmtree(tmp_path / "build" / "kernel")
    (tmp_path / "build" / "kernel").symlink_to(corruptible.parent)
    (tmp_path / "source" / "kernel" / "a.c").rename(tmp_path / "source" / "kernel" / "b.c")
    copy_source(inputs)
    assert corruptible.read_text() == "kept"
    assert sorted(path.name for path in corruptible.parent.iterdir()) == ["a.c"]
    assert (tmp_path / "build" / "kernel" / "b.c").read_text() == "int a;"


def test_file_and_directory_take_each_others_place(inputs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "source" / "one").mkdir()
    (tmp_path / "source" / "one" / "x").write_text("x")
    (tmp_path / "source" / "two").write_text("two")
    copy_source(inputs)
    shutil.rmtree(tmp_path / "source" / "one")
    (tmp_path / "source" / "one").write_text("one")
    (tmp_path / "source" / "two").unlink()
    (tmp_path / "source" / "two").mkdir()
    (tmp_path / "source" / "two" / "y").write_text("y")
    copy_source(inputs)
    assert (tmp_path / "build" / "one").read_text() == "one"
    assert (tmp_path / "build" / "two" / "y").read_text() == "y"


@pytest.mark.parametrize("name", ["../outside/a.c", "kernel/../../outside/a.c", "", "/etc/passwd", "a//b", "."])
def test_list_that_names_what_is_outside_is_refused(
    inputs: dict[str, Any], tmp_path: Path, corruptible: Path, name: str
) -> None:
    """The build's own commands could have written it."""
    copy_source(inputs)
    (tmp_path / "build" / LISTING).write_text(json.dumps([name]))
    with pytest.raises(BuildError, match="is not a name below"):
        copy_source(inputs)
    assert corruptible.read_text() == "kept"


def test_damaged_list_is_refused(inputs: dict[str, Any], tmp_path: Path) -> None:
    copy_source(inputs)
    (tmp_path / "build" / LISTING).write_text("{")
    with pytest.raises(BuildError, match="is damaged; build with"):
        copy_source(inputs)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_neither_file_nor_link_is_named(inputs: dict[str, Any], tmp_path: Path, kind: str) -> None:
    OTHERS[kind](tmp_path / "source" / "kernel" / "odd")
    with pytest.raises(BuildError, match="'kernel/odd' in the source is neither"):
        stamp(inputs, "6.12.0")
    with pytest.raises(BuildError, match="'kernel/odd' in the source is neither"):
        copy_source(inputs)


def test_fifo_in_the_build_is_not_waited_for(inputs: dict[str, Any], tmp_path: Path) -> None:
    copy_source(inputs)
    (tmp_path / "build" / "kernel" / "a.c").unlink()
    os.mkfifo(tmp_path / "build" / "kernel" / "a.c")
    copy_source(inputs)
    assert (tmp_path / "build" / "kernel" / "a.c").read_text() == "int a;"


def built(inputs: dict[str, Any], directory: Path) -> None:
    """What a build leaves: its products, and the record of them."""
    copy_source(inputs)
    (directory / "build" / "mkfs.x").write_text("mkfs")
    (directory / "build" / "x.ko").write_text("module")
    (directory / "build" / "link").symlink_to("x.ko")
    record = {"stamp": stamp(inputs, "6.12.0"), "module": {}, "products": products(directory / "build")}
    (directory / "build.json").write_text(json.dumps(record))


def plan(inputs: dict[str, Any]) -> bool:
    answer = modules.run("build", inputs, check=True)
    assert (answer["failed"], answer["changed"]) == (False, answer["rebuilt"])
    rebuilt: bool = answer["rebuilt"]
    return rebuilt


def test_untouched_build_is_current(inputs: dict[str, Any], tmp_path: Path) -> None:
    built(inputs, tmp_path)
    (tmp_path / "build" / "left by a test").touch()
    assert plan(inputs) is False


@pytest.mark.parametrize("what", ["mkfs.x", "x.ko", "kernel/a.c", "link"])
@pytest.mark.parametrize("how", ["replaced", "removed", "fifo"])
def test_touched_product_is_built_again(inputs: dict[str, Any], tmp_path: Path, what: str, how: str) -> None:
    built(inputs, tmp_path)
    path = tmp_path / "build" / what
    path.unlink()
    if how == "replaced":
        path.symlink_to("/bin/true")
    elif how == "fifo":
        os.mkfifo(path)
    assert plan(inputs) is True


def test_record_of_a_former_version_is_no_record(inputs: dict[str, Any], tmp_path: Path) -> None:
    built(inputs, tmp_path)
    record = json.loads((tmp_path / "build.json").read_text())
    del record["products"]
    (tmp_path / "build.json").write_text(json.dumps(record))
    assert plan(inputs) is True


@pytest.mark.parametrize(
    ("log", "quoted"),
    [
        (
            "  CC [M]  a.o\na.c:7:2: error: unknown type name 'x'\nmake[1]: *** [Makefile:1: a.o] Error 1\n",
            ["a.c:7:2: error: unknown type name 'x'"],
        ),
        (
            "  RUSTC   a.o\nerror[E0425]: cannot find value `x` in this scope\n  --> a.rs:7:2\n   |\n7 |     x\n"
            "make[1]: *** [Makefile:1: a.o] Error 1\n",
            ["error[E0425]: cannot find value `x` in this scope", "--> a.rs:7:2"],
        ),
        (
            "error: there is no rustc\nmake[1]: *** [Makefile:1: a.o] Error 127\n",
            ["error: there is no rustc"],
        ),
        ("make: *** No rule to make target 'x'.  Stop.\n", ["make: *** No rule to make target 'x'.  Stop."]),
        ("one\n\ntwo\n", ["one", "two"]),
    ],
    ids=["gcc", "rustc", "message of a makefile", "make", "no error in sight"],
)  # fmt: skip
def test_first_errors_are_those_of_the_compiler(log: str, quoted: list[str]) -> None:
    assert first_errors(log) == quoted


@pytest.mark.parametrize(
    "line",
    [
        "gcc: fatal error: Killed signal terminated program cc1",
        "x86_64-linux-gnu-gcc-14: fatal error: Killed signal terminated program cc1",
        "/usr/bin/clang-19: error: unable to execute command: Killed",
        "  process didn't exit successfully: `rustc --crate-name vexfs_core` (signal: 9, SIGKILL: kill)",
        "make[2]: *** [scripts/Makefile.build:287: /var/lib/vexlab/build/kernel/a.o] Error 137",
        "make: *** [Makefile:2: all] Killed",
    ],
)
def test_killed_compiler_is_told(line: str) -> None:
    said = "a program of the build was killed, for want of memory or by somebody: "
    assert killed_in(f"  CC [M]  kernel/a.o\n{line}\ncompilation terminated.\n") == said + line.strip()


@pytest.mark.parametrize(
    "line",
    [
        "kernel/a.c:3:2: error: #error gcc: fatal error: Killed signal terminated program cc1",
        "kernel/a.c:3:2: error: Killed signal terminated program cc1",
        "make[2]: *** [scripts/Makefile.build:287: /var/lib/vexlab/build/kernel/a.o] Error 1",
        "gcc: fatal error: no input files",
    ],
)
def test_source_that_speaks_of_killing_is_none(line: str) -> None:
    assert killed_in(f"{line}\n") == ""


class TestModule:
    """The module, on kernels of its own, with commands in the place of a compiler and of modinfo."""

    HERE = (
        "import sys; from pathlib import Path; from ansible_collections.vexfs.vexlab.plugins.module_utils import build;"
        f"build.KERNELS = Path(sys.argv.pop()); from {modules.PLACE}.build import main; main()"
    )

    @pytest.fixture
    def inputs(self, inputs: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "kernels" / "6.12.0" / "build").mkdir(parents=True)
        program = tmp_path / "bin" / "modinfo"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho x\n")
        program.chmod(0o755)
        return inputs | {"command": "cp kernel/a.c x.ko", "deadline": 100}

    def start(self, inputs: dict[str, Any], *, check: bool = False) -> subprocess.Popen[str]:
        kernels = Path(inputs["record"]).with_name("kernels")
        path = f"{kernels.with_name('bin')}:{os.environ['PATH']}"
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", self.HERE, str(kernels)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | {"PATH": path},
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(modules.arguments(inputs, check=check))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, inputs: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        said, complaint = self.start(inputs, check=check).communicate(timeout=60)
        assert said, complaint
        answer: dict[str, Any] = json.loads(said)
        return answer

    def test_builds_once(self, inputs: dict[str, Any], tmp_path: Path) -> None:
        assert self.run(inputs, check=True)["changed"] is True
        assert not (tmp_path / "build").exists()
        first, second = (self.run(inputs) for _ in range(2))
        assert (first["changed"], first["rebuilt"], first["log_written"]) == (True, True, True)
        assert (second["changed"], second["rebuilt"], second["module"]) == (False, False, first["module"])
        assert self.run(inputs, check=True)["changed"] is False

    def test_says_what_failed_and_whether_there_is_a_log(self, inputs: dict[str, Any]) -> None:
        command = "printf 'a.c:7:2: %s: unknown type\\n' error; exit 3"
        answer = self.run(inputs | {"command": command})
        assert answer["msg"] == f"`{command}` failed with exit code 3:\na.c:7:2: error: unknown type"
        assert answer["log_written"] is True
        answer = self.run(inputs | {"kernel_release": "none"})
        assert answer["msg"].startswith("there are no headers for kernel none")
        assert answer["log_written"] is False

    def test_killed_compiler_is_not_the_sources_fault(self, inputs: dict[str, Any]) -> None:
        said = "gcc: fatal error: Killed signal terminated program cc1"
        answer = self.run(inputs | {"command": f"echo '{said}'; exit 4"})
        assert answer["guest_problem"].endswith(f"killed, for want of memory or by somebody: {said}")
        assert "guest_problem" not in self.run(inputs | {"command": "echo 'a.c:1:1: error: x'; exit 4"})

    def test_commands_end_with_the_module(self, inputs: dict[str, Any], tmp_path: Path) -> None:
        process = self.start(inputs | {"command": f"sleep 300 & echo $! >{tmp_path}/pid; wait"})
        began = time.monotonic()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            assert time.monotonic() - began < 60
            time.sleep(0.02)
        process.terminate()
        said, complaint = process.communicate(timeout=30)
        assert json.loads(said)["msg"] == "the build was ended by SIGTERM", complaint
        while started(int((tmp_path / "pid").read_text())):
            assert time.monotonic() - began < 90
            time.sleep(0.02)
