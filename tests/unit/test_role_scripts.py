"""The scripts of the roles, run as the roles run them: with JSON, on real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from roles.vexfs_build.files.build import first_errors

ROLES = Path(__file__).parents[2] / "roles"


def run(script: str, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a role's script."""
    done = subprocess.run(
        [sys.executable, "-B", "-m", script.removesuffix(".py").replace("/", "."), *arguments],
        cwd=ROLES.parent, capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return done.returncode, answer


class TestTree:
    """roles/vexfs_structure/files/tree.py"""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        for name in ("Kbuild", "kernel/a.c", "kernel/a.o"):
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        return tmp_path

    def apply(self, tree: Path, **other: object) -> tuple[int, dict[str, Any]]:
        inputs = {
            "source": str(tree / "source"), "destination": str(tree / "copy"), "required_paths": ["Kbuild", "kernel/"],
            "forbidden_in_root": ["mkfs.*"], "exclude": ["*.o"], "check": False,
        }  # fmt: skip
        return run("roles/vexfs_structure/files/tree.py", json.dumps(inputs | other))

    def test_copies_what_is_not_excluded(self, tree: Path) -> None:
        code, answer = self.apply(tree)
        assert (code, answer["changed"]) == (0, True)
        copied = sorted(str(path.relative_to(tree / "copy")) for path in (tree / "copy").rglob("*") if path.is_file())
        assert copied == ["Kbuild", "kernel/a.c"]

    def test_second_time_changes_nothing(self, tree: Path) -> None:
        self.apply(tree)
        assert self.apply(tree)[1]["changed"] is False

    def test_edit_of_the_same_size_and_time_is_seen(self, tree: Path) -> None:
        self.apply(tree)
        path = tree / "source" / "kernel" / "a.c"
        times = path.stat()
        path.write_text("kernel/b.c")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert self.apply(tree)[1]["changed"] is True
        assert (tree / "copy" / "kernel" / "a.c").read_text() == "kernel/b.c"

    def test_what_is_gone_from_the_source_goes(self, tree: Path) -> None:
        self.apply(tree)
        (tree / "source" / "kernel" / "a.c").unlink()
        assert self.apply(tree)[1]["changed"] is True
        assert not (tree / "copy" / "kernel" / "a.c").exists()

    def test_check_changes_nothing(self, tree: Path) -> None:
        assert self.apply(tree, check=True)[1]["changed"] is True
        assert not (tree / "copy").exists()

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"required_paths": ["gone"]}, "gone is missing"),
            ({"required_paths": ["Kbuild/"]}, "Kbuild/ is not a directory"),
            ({"forbidden_in_root": ["Kb*"]}, "Kbuild must not be in the root"),
            ({"source": "/nowhere"}, "is not a directory"),
        ],
    )
    def test_says_what_is_wrong(self, tree: Path, other: dict[str, object], words: str) -> None:
        code, answer = self.apply(tree, **other)
        assert code == 1
        assert words in answer["error"]
        assert not (tree / "copy").exists()

    def test_pattern_must_match_one_directory(self, tree: Path) -> None:
        (tree / "source2").mkdir()
        assert "matches 2 directories" in self.apply(tree, source=f"{tree}/source*")[1]["error"]


class TestBuild:
    """roles/vexfs_build/files/build.py"""

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
    def test_first_errors_are_those_of_the_compiler(self, log: str, quoted: list[str]) -> None:
        assert first_errors(log) == quoted


class TestGuest:
    """roles/vexlab_guest/files/guest.py, as far as it comes without starting a guest."""

    def inputs(self, directory: Path, **other: object) -> str:
        image = directory / "image"
        image.mkdir(exist_ok=True)
        for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
            (image / name).touch()
        inputs: dict[str, object] = {
            "lab": "x", "directory": str(directory / "lab"), "runtime_directory": str(directory / "run" / "x"),
            "image": str(image), "memory_mb": 512, "cpus": 1, "accelerator": "tcg", "ssh_port": 2222, "source": "",
            "mount_tag": "t", "kernel_arguments": "", "boot_deadline": 5, "warm": False,
            "disks": [],
        }  # fmt: skip
        return json.dumps(inputs | other)

    def tools(self, directory: Path, qemu: str) -> dict[str, str]:
        """A PATH in which QEMU is this script."""
        (directory / "bin").mkdir()
        path = directory / "bin" / "qemu-system-x86_64"
        path.write_text(f"#!/bin/sh\n{qemu}\n")
        path.chmod(0o755)
        return {"PATH": f"{directory / 'bin'}:{os.environ['PATH']}"}

    def test_old_qemu_is_refused(self, tmp_path: Path) -> None:
        path = self.tools(tmp_path, "echo 'QEMU emulator version 5.2.0 (Debian)'")
        code, answer = run("roles/vexlab_guest/files/guest.py", "start", self.inputs(tmp_path), **path)
        assert code == 1
        assert "QEMU 5.2.0 is too old" in answer["error"]

    def test_qemu_that_does_not_start_is_quoted_and_leaves_nothing(self, tmp_path: Path) -> None:
        script = (
            "[ \"$1\" = --version ] && echo 'QEMU emulator version 8.2.0' && exit 0; echo 'no such board' >&2; exit 1"
        )
        (tmp_path / "image").mkdir()
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "image" / "disk.qcow2"), "1M"], check=True
        )
        code, answer = run(
            "roles/vexlab_guest/files/guest.py", "start", self.inputs(tmp_path), **self.tools(tmp_path, script)
        )
        assert code == 1
        assert "no such board" in answer["error"]
        left = {path.name for path in (tmp_path / "lab").iterdir()}
        assert left <= {"guest.lock", "qemu.log", "inventory"}

    def test_long_runtime_directory_is_refused(self, tmp_path: Path) -> None:
        runtime = str(tmp_path / ("x" * 80) / "run")
        inputs = self.inputs(tmp_path, runtime_directory=runtime)
        code, answer = run("roles/vexlab_guest/files/guest.py", "start", inputs)
        assert code == 1
        assert "too long for sockets" in answer["error"]

    def test_missing_source_is_refused(self, tmp_path: Path) -> None:
        code, answer = run("roles/vexlab_guest/files/guest.py", "start", self.inputs(tmp_path, source="/nowhere"))
        assert code == 1
        assert "/nowhere is missing or unreadable" in answer["error"]

    def test_plan_changes_nothing(self, tmp_path: Path) -> None:
        code, answer = run("roles/vexlab_guest/files/guest.py", "plan-start", self.inputs(tmp_path))
        assert (code, answer["changed"]) == (0, True)
        assert not (tmp_path / "lab").exists()

    def test_stranger_with_the_pid_is_left_alone(self, tmp_path: Path) -> None:
        lab = tmp_path / "lab"
        lab.mkdir()
        stranger = subprocess.Popen(["sleep", "100"])
        try:
            (lab / "qemu.pid").write_text(f"{stranger.pid}\n")
            (lab / "guest.json").write_text(json.dumps({"uuid": "7b0c", "pid": stranger.pid, "state": "ready"}))
            code, answer = run("roles/vexlab_guest/files/guest.py", "stop", self.inputs(tmp_path))
            assert (code, answer["changed"]) == (0, False)
            assert stranger.poll() is None
            assert not (lab / "qemu.pid").exists()
        finally:
            stranger.kill()
            stranger.wait()

    def test_destroy_twice(self, tmp_path: Path) -> None:
        (tmp_path / "lab").mkdir()
        assert run("roles/vexlab_guest/files/guest.py", "destroy", self.inputs(tmp_path))[1]["changed"] is True
        assert run("roles/vexlab_guest/files/guest.py", "destroy", self.inputs(tmp_path))[1]["changed"] is False
