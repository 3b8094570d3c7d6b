"""The scripts of the roles, run as the roles run them: with JSON, on real files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROLES = Path(__file__).parents[2] / "roles"


def run(script: str, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a role's script."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", script.removesuffix(".py").replace("/", "."), *arguments],
        cwd=ROLES.parent, capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return done.returncode, answer


class TestLoad:
    """roles/vexfs_load/files/load.py, with a program in place of insmod."""

    def load(self, directory: Path, sha256: str, insmod: str) -> subprocess.CompletedProcess[str]:
        """Have `directory/toy.ko` loaded with one parameter; `insmod` is a shell script."""
        (directory / "bin").mkdir()
        program = directory / "bin" / "insmod"
        program.write_text(f"#!/bin/sh\n{insmod}\n")
        program.chmod(0o755)
        environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "OUT": str(directory)}
        script = ROLES / "vexfs_load/files/load.py"
        command = [sys.executable, "-B", "-I", str(script), str(directory / "toy.ko"), sha256, "debug=1"]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def test_what_is_loaded_is_what_was_hashed(self, tmp_path: Path) -> None:
        """Somebody writes to the file after it was hashed, and insmod is given what was there before."""
        (tmp_path / "toy.ko").write_bytes(b"good")
        told = (
            'echo evil >"$OUT/toy.ko"; cp "$1" "$OUT/loaded"; stat -c %a "$(dirname "$1")" >"$OUT/mode"; '
            'echo "$2" >"$OUT/with"'
        )
        done = self.load(tmp_path, hashlib.sha256(b"good").hexdigest(), told)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "loaded").read_bytes() == b"good"
        assert (tmp_path / "mode").read_text() == "700\n"
        assert (tmp_path / "with").read_text() == "debug=1\n"

    def test_another_file_than_the_one_that_was_looked_at_is_not_loaded(self, tmp_path: Path) -> None:
        (tmp_path / "toy.ko").write_bytes(b"evil")
        done = self.load(tmp_path, hashlib.sha256(b"good").hexdigest(), 'touch "$OUT/loaded"')
        assert done.returncode == 1
        assert "toy.ko changed after it was looked at" in done.stderr
        assert not (tmp_path / "loaded").exists()

    def test_words_of_insmod_are_about_the_file_that_people_know(self, tmp_path: Path) -> None:
        (tmp_path / "toy.ko").write_bytes(b"good")
        told = 'echo "insmod: ERROR: could not insert module $1: Unknown symbol" >&2; exit 1'
        done = self.load(tmp_path, hashlib.sha256(b"good").hexdigest(), told)
        file = tmp_path / "toy.ko"
        assert done.returncode == 1
        assert done.stderr == (
            f"`insmod {file} debug=1` failed: insmod: ERROR: could not insert module {file}: Unknown symbol\n"
        )


class TestLook:
    """roles/vexfs_load/files/look.py and roles/vexfs_mount/files/look.py"""

    # What a file can say of itself: quotes, keys of JSON, ends of lines, and the same word twice.
    CRAFTED = 'AB", "sha256": "00", "x": "\nsha256: 00'

    @pytest.fixture
    def module(self, tmp_path: Path) -> Path:
        words = f"name=toy\0srcversion={self.CRAFTED}\0srcversion=SECOND\0vermagic=6.1 SMP\0"
        (tmp_path / "words").write_text(words)
        (tmp_path / "toy.c").write_text("int nothing;\n")
        subprocess.run(["gcc", "-c", "toy.c", "-o", "toy.o"], cwd=tmp_path, check=True)
        add = ["objcopy", "--add-section", ".modinfo=words", "--set-section-flags", ".modinfo=alloc,readonly"]
        subprocess.run([*add, "toy.o", "toy.ko"], cwd=tmp_path, check=True)
        return tmp_path / "toy.ko"

    def test_crafted_words_are_words(self, module: Path) -> None:
        code, seen = run("roles/vexfs_load/files/look.py", "toy", str(module), "toyfs")
        assert code == 0
        assert seen["sha256"] == hashlib.sha256(module.read_bytes()).hexdigest()
        assert (seen["srcversion"], seen["file_name"], seen["vermagic"]) == (self.CRAFTED, "toy", "6.1 SMP")
        assert (seen["file_there"], seen["loaded"], seen["release"]) == (True, False, os.uname().release)

    def test_file_that_is_not_there(self, tmp_path: Path) -> None:
        code, seen = run("roles/vexfs_load/files/look.py", "toy", str(tmp_path / "toy.ko"), "proc")
        assert (code, seen["file_there"], seen["sha256"], seen["registered"]) == (0, False, "", True)

    def test_part_of_the_kernel_has_no_module(self) -> None:
        code, seen = run("roles/vexfs_load/files/look.py", "", "", "toyfs")
        assert (code, seen["loaded"], seen["users"], seen["registered"]) == (0, False, 0, False)

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"no module", "it is no 64-bit ELF file"),
            (b"\x7fELF\x02\x01", "its table of sections is damaged"),
            (b"\x7fELF\x02\x01" + b"\xff" * 60, "its table of sections is damaged"),
        ],
        ids=["text", "short", "senseless"],
    )
    def test_file_that_is_no_module_is_a_sentence(self, tmp_path: Path, content: bytes, why: str) -> None:
        file = tmp_path / "toy.ko"
        file.write_bytes(content)
        script = ROLES / "vexfs_load/files/look.py"
        command = [sys.executable, "-B", str(script), "toy", str(file), "toyfs"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, f"{file} can't be looked at as a module: {why}\n")

    def built(self, directory: Path, name: str, depends: str, release: str = os.uname().release) -> dict[str, str]:
        """A file that says of itself to be a module of this kernel."""
        words = f"name={name}\0depends={depends}\0vermagic={release} SMP\0"
        (directory / "words").write_text(words)
        (directory / "toy.c").write_text("int nothing;\n")
        subprocess.run(["gcc", "-c", "toy.c", "-o", "toy.o"], cwd=directory, check=True)
        add = ["objcopy", "--add-section", ".modinfo=words", "--set-section-flags", ".modinfo=alloc,readonly"]
        subprocess.run([*add, "toy.o", f"{name}.ko"], cwd=directory, check=True)
        return {"name": name, "file": f"{name}.ko"}

    def seen(self, directory: Path, *first: dict[str, str], own: str = "toyfs", read: bool = True) -> dict[str, Any]:
        told = json.dumps({"modules": first, "directory": str(directory), "read": read})
        code, seen = run("roles/vexfs_load/files/look.py", own, str(directory / f"{own}.ko"), "toyfs", told)
        assert code == 0
        return seen

    def test_modules_in_an_order_that_works(self, tmp_path: Path) -> None:
        """What they need of the kernel is named, and of each other not."""
        first = self.built(tmp_path, "toybase", "")
        second = self.built(tmp_path, "toycore", "toybase")
        self.built(tmp_path, "toyfs", "toycore,toybase")
        seen = self.seen(tmp_path, first, second | {"parameters": "debug=1"})
        assert (seen["refusals"], seen["needs"], seen["name"]) == ([], [], "toyfs")
        assert [(one["name"], one["built"], one["parameters"]) for one in seen["modules"]] == [
            ("toybase", True, ""), ("toycore", True, "debug=1"),
        ]  # fmt: skip
        assert seen["modules"][1]["sha256"] == hashlib.sha256((tmp_path / "toycore.ko").read_bytes()).hexdigest()

    def test_modules_that_can_not_be_loaded_in_that_order(self, tmp_path: Path) -> None:
        first, second = self.built(tmp_path, "toycore", "toybase"), self.built(tmp_path, "toybase", "")
        self.built(tmp_path, "toyfs", "toycore")
        assert self.seen(tmp_path, first, second)["refusals"] == [
            "toycore needs toybase, which comes after it; put toybase first"
        ]

    def test_modules_that_need_each_other(self, tmp_path: Path) -> None:
        """A linker can make such, and the kernel loads none of them."""
        first, second = self.built(tmp_path, "toycore", "toybase"), self.built(tmp_path, "toybase", "toycore")
        self.built(tmp_path, "toyfs", "toycore")
        assert self.seen(tmp_path, first, second)["refusals"] == [
            "toycore and toybase need each other, so neither can be loaded first"
        ]

    def test_module_that_nobody_has(self, tmp_path: Path) -> None:
        self.built(tmp_path, "toyfs", "no-such-module")
        assert self.seen(tmp_path, {"name": "nor_this_one"})["refusals"] == [
            "the kernel has no module nor_this_one",
            "toyfs needs module no_such_module, which neither is among these modules nor the kernel's",
        ]

    def test_module_that_is_another_than_the_list_says(self, tmp_path: Path) -> None:
        self.built(tmp_path, "toyfs", "")
        other, old = self.built(tmp_path, "toycore", ""), self.built(tmp_path, "toybase", "", "6.1.0")
        modules = ({"name": "toyx", "file": other["file"]}, old, {"name": "toyy", "file": "missing.ko"})
        assert self.seen(tmp_path, *modules)["refusals"] == [
            f"the module in {tmp_path}/toycore.ko is called toycore, not toyx",
            f"{tmp_path}/toybase.ko was built for kernel 6.1.0, and {os.uname().release} runs; build it for the "
            "running kernel",
            f"there is no module file {tmp_path}/missing.ko; role vexfs_build makes it",
        ]

    def test_what_is_to_be_unloaded_is_told_without_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "toycore.ko").write_text("no module")
        seen = self.seen(tmp_path, {"name": "toycore", "file": "toycore.ko"}, read=False)
        assert [(one["name"], one["built"], one["loaded"]) for one in seen["modules"]] == [("toycore", True, False)]

    @pytest.mark.parametrize(
        ("point", "kind", "expected"),
        [
            ("/proc", "proc", {"mounted": True, "other": "", "registered": True}),
            ("/proc", "sysfs", {"mounted": False, "other": "proc", "registered": True}),
            ("/proc/self", "pro", {"mounted": False, "other": "", "registered": False}),
        ],
    )
    def test_mount_point(self, tmp_path: Path, point: str, kind: str, expected: dict[str, Any]) -> None:
        device = tmp_path / 'a"b'
        device.touch()
        code, seen = run("roles/vexfs_mount/files/look.py", point, kind, str(device))
        assert code == 0
        assert {name: seen[name] for name in expected} == expected
        assert (seen["device_there"], seen["regular"]) == (True, True)
