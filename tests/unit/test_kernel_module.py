"""Module kernel_module, run as Ansible runs it: on real files, with programs in the place of insmod and its like."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import kernel_modules
from ansible_collections.vexfs.vexlab.plugins.module_utils.commands import CommandError
from ansible_collections.vexfs.vexlab.plugins.module_utils.kernel_modules import ModuleError
from ansible_collections.vexfs.vexlab.plugins.modules import kernel_module

from tests.unit import modules

RELEASE = os.uname().release
PROGRAMS = ("insmod", "modprobe", "rmmod")


def built(
    directory: Path, name: str, depends: str = "", release: str = RELEASE, *, words: str = "", more: Sequence[str] = ()
) -> dict[str, str]:
    """Make a file that says of itself to be a module of this kernel; returns its entry in a list of modules."""
    content = f"name={name}\0depends={depends}\0{words}vermagic={release} SMP\0"
    (directory / "words").write_text(content)
    (directory / "toy.c").write_text("int nothing;\n")
    subprocess.run(["gcc", "-c", "toy.c", "-o", "toy.o"], cwd=directory, check=True)
    add = ["objcopy", "--add-section", ".modinfo=words", "--set-section-flags", ".modinfo=alloc,readonly"]
    subprocess.run([*add, *more, "toy.o", f"{name}.ko"], cwd=directory, check=True)
    return {"name": name, "file": f"{name}.ko"}


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Machine:
    """Where modules are loaded: its insmod, modprobe and rmmod are shell scripts, which note how they were called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "bin").mkdir()
        for name in PROGRAMS:
            self.program(name, "")

    def program(self, name: str, script: str) -> None:
        """Have a program do something else beside what it notes; `$OUT` is this directory."""
        path = self.directory / "bin" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$OUT/calls"\n{script}\n')
        path.chmod(0o755)

    def run(self, *, check: bool = False, **inputs: Any) -> dict[str, Any]:
        """What the module answers; without other inputs, toyfs of `toyfs.ko` with one parameter is loaded."""
        usual = {
            "name": "toyfs", "file": f"{self.directory}/toyfs.ko", "type": "toyfs", "parameters": "debug=1",
            "directory": str(self.directory),
        }  # fmt: skip
        environment = {"PATH": f"{self.directory}/bin:{os.environ['PATH']}", "OUT": str(self.directory)}
        return modules.run("kernel_module", usual | inputs, check=check, env=environment)

    def refused(self, **inputs: Any) -> str:
        """The words of a refusal, which are the same in check mode, and after which nothing was called."""
        answers = [self.run(check=check, **inputs) for check in (True, False)]
        assert [answer["failed"] for answer in answers] == [True, True]
        assert answers[0]["msg"] == answers[1]["msg"]
        assert self.calls() == []
        return str(answers[0]["msg"])

    def calls(self) -> list[str]:
        """How the programs were called, without the directory of the private copy."""
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [" ".join(word.rpartition("/")[2] for word in line.split(" ")) for line in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


class TestLoad:
    def test_what_is_loaded_is_what_was_hashed(self, machine: Machine, tmp_path: Path) -> None:
        """Somebody writes to the file after it was hashed, and insmod is given what was there before."""
        built(tmp_path, "toyfs")
        before = sha256_of(tmp_path / "toyfs.ko")
        machine.program(
            "insmod",
            'echo evil >"$OUT/toyfs.ko"; cp "$1" "$OUT/loaded"; stat -c %a "$(dirname "$1")" >"$OUT/mode"',
        )
        answer = machine.run()
        assert (answer["failed"], answer["changed"]) == (False, True), answer
        assert sha256_of(tmp_path / "loaded") == before
        assert answer["sha256"] == {f"{tmp_path}/toyfs.ko": before}
        assert (tmp_path / "mode").read_text() == "700\n"
        assert machine.calls() == ["insmod toyfs.ko debug=1"]

    def test_another_file_than_the_one_that_was_looked_at_is_not_loaded(self, machine: Machine, tmp_path: Path) -> None:
        """Nor is anything that would come first."""
        built(tmp_path, "toyfs")
        looked_at = machine.run(check=True)["sha256"]
        built(tmp_path, "toyfs", words="author=evil\0")
        said = machine.refused(sha256=looked_at, dependencies=["libcrc32c"])
        file, (wanted,) = tmp_path / "toyfs.ko", looked_at.values()
        assert said == (
            f"{file} changed after it was looked at: its sha256 was {wanted} and is {sha256_of(file)} now. It is not "
            "loaded; see who writes to it, and begin again."
        )

    def test_file_that_is_changed_while_others_are_loaded_is_not_loaded(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs")
        machine.program("modprobe", 'echo evil >"$OUT/toyfs.ko"')
        answer = machine.run(dependencies=["libcrc32c"])
        assert "toyfs.ko changed after it was looked at" in answer["msg"]
        assert machine.calls() == ["modprobe --all libcrc32c"]

    def test_words_of_insmod_are_about_the_file_that_people_know(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs")
        machine.program("insmod", 'echo "insmod: ERROR: could not insert module $1: Unknown symbol" >&2; exit 1')
        file = tmp_path / "toyfs.ko"
        assert machine.run()["msg"] == (
            f"`insmod {file} debug=1` failed: insmod: ERROR: could not insert module {file}: Unknown symbol"
        )

    def test_what_it_depends_on_comes_first_the_kernels_own_before_what_was_built(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        """`kernel` and `printk` are in /sys/module wherever there is one, so nobody has to load them."""
        first = [built(tmp_path, "toybase"), built(tmp_path, "toycore", "toybase,kernel") | {"parameters": "a=1 b=2"}]
        built(tmp_path, "toyfs", "toycore")
        first.insert(1, {"name": "printk", "parameters": "x=1"})
        inputs: dict[str, Any] = {"modules": first, "dependencies": ["xor"]}
        assert machine.run(check=True, **inputs)["changed"]
        assert machine.calls() == []
        assert machine.run(**inputs)["changed"]
        assert machine.calls() == [
            "modprobe --all xor kernel", "insmod toybase.ko", "insmod toycore.ko a=1 b=2", "insmod toyfs.ko debug=1",
        ]  # fmt: skip

    def test_first_that_fails_is_the_last_that_is_tried(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs")
        machine.program("modprobe", 'echo "modprobe: FATAL: Module xor not found" >&2; exit 1')
        said = machine.run(dependencies=["xor"])["msg"]
        assert said == "`modprobe --all xor` failed: modprobe: FATAL: Module xor not found"
        assert machine.calls() == ["modprobe --all xor"]

    def test_signal_ends_what_it_waits_for(self, machine: Machine, tmp_path: Path) -> None:
        """insmod can hang in the module's own code; the private copy does not stay either."""
        built(tmp_path, "toyfs")
        machine.program("insmod", 'dirname "$1" >"$OUT/private"; kill -TERM "$PPID"; exec sleep 60')
        assert machine.run()["msg"] == "the work on module toyfs was ended by SIGTERM"
        assert not Path((tmp_path / "private").read_text().strip()).exists()


class TestFromTheKernel:
    INPUTS: ClassVar[dict[str, Any]] = {"from": "kernel", "file": "", "name": "toyfs"}

    def test_type_that_the_kernel_knows_is_left_alone(self, machine: Machine) -> None:
        answer = machine.run(**self.INPUTS | {"type": "proc", "name": ""})
        assert (answer["changed"], answer["registered"], machine.calls()) == (False, True, [])

    def test_module_is_loaded_by_its_name(self, machine: Machine) -> None:
        answer = machine.run(**self.INPUTS, dependencies=["xor"])
        assert (answer["changed"], answer["registered"]) == (True, False)
        assert machine.calls() == ["modprobe --all xor", "modprobe toyfs debug=1"]

    def test_type_that_nobody_knows_is_refused(self, machine: Machine) -> None:
        assert machine.refused(**self.INPUTS | {"name": ""}) == (
            "the running kernel knows no filesystem toyfs, and vexfs_load_module_name doesn't say which module it is in"
        )


class TestLoaded:
    """Modules that are loaded: in a tree that looks like /sys/module, and a file like /proc/modules."""

    @pytest.fixture(autouse=True)
    def kernel(self, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """toyfs, used twice, after toybase and toycore; permanent, which can't go; libtoy, a part of the kernel."""
        monkeypatch.setenv("PATH", f"{machine.directory}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("OUT", str(machine.directory))
        monkeypatch.setattr(kernel_modules, "MODULES", tmp_path / "sys")
        monkeypatch.setattr(kernel_modules, "LOADED", tmp_path / "modules")
        for name, users in (("toyfs", "2"), ("toycore", "1"), ("toybase", "1"), ("permanent", "0"), ("libtoy", "")):
            (tmp_path / "sys" / name).mkdir(parents=True)
            if users:
                (tmp_path / "sys" / name / "refcnt").write_text(f"{users}\n")
        (tmp_path / "modules").write_text("toyfs 16384 2 - Live 0x0\npermanent 16384 0 [permanent], Live 0x0\n")

    @staticmethod
    def apply(machine: Machine, *, check: bool = False, **inputs: Any) -> dict[str, Any]:
        """What the module answers, or raises, in this process."""
        usual = {
            "state": "loaded", "from": "file", "name": "toyfs", "file": f"{machine.directory}/toyfs.ko",
            "type": "toyfs", "parameters": "", "dependencies": [], "directory": str(machine.directory),
            "sha256": {},
        }  # fmt: skip
        usual["modules"] = [{"parameters": "", "file": ""} | one for one in inputs.pop("modules", [])]
        return kernel_module.apply(usual | inputs, check=check)

    def test_same_build_is_left_alone(self, machine: Machine, tmp_path: Path) -> None:
        """Told by its build-id, whatever the file is called by."""
        note = b"\4\0\0\0\10\0\0\0\3\0\0\0GNU\0" + bytes(8)
        (tmp_path / "note").write_bytes(note)
        built(tmp_path, "toyfs", more=["--add-section", ".note.gnu.build-id=note"])
        (tmp_path / "sys/toyfs/notes").mkdir()
        (tmp_path / "sys/toyfs/notes/.note.gnu.build-id").write_bytes(note)
        answer = self.apply(machine, dependencies=["xor"])
        assert (answer["changed"], answer["module"]["same"], machine.calls()) == (False, True, [])

    def test_another_build_is_refused(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs")
        with pytest.raises(ModuleError) as refused:
            self.apply(machine)
        assert str(refused.value) == (
            "another build of toyfs is loaded (2 users); unmount what uses it and unload it first, with "
            "vexfs_load_state set to unloaded."
        )

    def test_another_build_of_one_that_comes_first_is_refused(self, machine: Machine, tmp_path: Path) -> None:
        first = built(tmp_path, "toybase")
        built(tmp_path, "toynew")
        inputs: dict[str, Any] = {"name": "toynew", "file": f"{tmp_path}/toynew.ko", "modules": [first]}
        with pytest.raises(ModuleError, match=r"^toynew is not loaded: another build of toybase is loaded \(1 users\)"):
            self.apply(machine, **inputs)

    def test_what_is_loaded_or_a_part_of_the_kernel_does_not_come_first_again(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        built(tmp_path, "toynew")
        modules_first = [{"name": "permanent", "parameters": "a=1"}, {"name": "libtoy"}]
        self.apply(machine, name="toynew", file=f"{tmp_path}/toynew.ko", modules=modules_first)
        assert machine.calls() == ["insmod toynew.ko"]

    def test_module_goes_first_then_the_built_ones_the_last_of_them_first(self, machine: Machine) -> None:
        first = [{"name": name, "file": f"{name}.ko"} for name in ("toybase", "gone", "toycore")]
        inputs: dict[str, Any] = {"state": "unloaded", "modules": [*first, {"name": "permanent"}]}
        assert self.apply(machine, check=True, **inputs)["changed"]
        assert machine.calls() == []
        assert self.apply(machine, **inputs)["changed"]
        assert machine.calls() == ["rmmod toyfs", "rmmod toycore", "rmmod toybase"]

    def test_module_in_use_is_not_forced_out(self, machine: Machine) -> None:
        machine.program("rmmod", 'echo "rmmod: ERROR: Module $1 is in use" >&2; exit 1')
        first = [{"name": "toybase", "file": "toybase.ko"}]
        with pytest.raises(CommandError) as failed:
            self.apply(machine, state="unloaded", modules=first)
        assert str(failed.value) == "`rmmod toyfs` failed: rmmod: ERROR: Module toyfs is in use"
        assert machine.calls() == ["rmmod toyfs"]

    @pytest.mark.parametrize("check", [True, False])
    def test_permanent_module_is_refused(self, machine: Machine, check: bool) -> None:
        with pytest.raises(ModuleError) as refused:
            self.apply(machine, check=check, state="unloaded", name="permanent")
        assert str(refused.value) == (
            "permanent has no exit function, so the kernel keeps it until the machine is restarted."
        )

    def test_what_comes_with_the_kernel_is_never_unloaded(self, machine: Machine) -> None:
        from_kernel: dict[str, Any] = {"from": "kernel"}
        answer = self.apply(machine, state="unloaded", **from_kernel)
        assert (answer["changed"], machine.calls()) == (False, [])


def test_what_is_not_loaded_is_not_removed(machine: Machine, tmp_path: Path) -> None:
    """And told without the files, which may be anything by now."""
    (tmp_path / "toycore.ko").write_text("no module")
    answer = machine.run(state="unloaded", modules=[{"name": "toycore", "file": "toycore.ko"}])
    assert (answer["failed"], answer["changed"], machine.calls()) == (False, False, [])


class TestLook:
    # What a file can say of itself: quotes, keys of JSON, ends of lines, and the same word twice.
    CRAFTED = 'AB", "sha256": "00", "x": "\nsha256: 00'

    def test_crafted_words_are_words(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs", words=f"srcversion={self.CRAFTED}\0srcversion=SECOND\0")
        answer = machine.run(check=True)
        module = answer["module"]
        assert module["sha256"] == sha256_of(tmp_path / "toyfs.ko")
        assert (module["srcversion"], module["file_name"], module["vermagic"]) == (
            self.CRAFTED, "toyfs", f"{RELEASE} SMP",
        )  # fmt: skip
        assert (module["file_there"], module["loaded"], answer["release"]) == (True, False, RELEASE)

    def test_file_that_is_not_there(self, machine: Machine, tmp_path: Path) -> None:
        assert machine.refused() == f"there is no module file {tmp_path}/toyfs.ko; role vexfs_build makes it"

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"no module", "it is no 64-bit ELF file"),
            (b"\x7fELF\x02\x01", "its table of sections is damaged"),
            (b"\x7fELF\x02\x01" + b"\xff" * 60, "its table of sections is damaged"),
        ],
        ids=["text", "short", "senseless"],
    )
    def test_file_that_is_no_module_is_a_sentence(
        self, machine: Machine, tmp_path: Path, content: bytes, why: str
    ) -> None:
        (tmp_path / "toyfs.ko").write_bytes(content)
        assert machine.refused() == f"{tmp_path}/toyfs.ko can't be looked at as a module: {why}"

    def test_file_of_another_module_or_kernel(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs", release="6.1.0")
        file = f"{tmp_path}/toyfs.ko"
        assert machine.refused() == (
            f"{file} was built for kernel 6.1.0, and {RELEASE} runs; build it for the running kernel"
        )
        assert machine.refused(name="other") == f"the module in {file} is called toyfs, not other"

    def test_modules_that_can_not_be_loaded_in_that_order(self, machine: Machine, tmp_path: Path) -> None:
        first = [built(tmp_path, "toycore", "toybase"), built(tmp_path, "toybase")]
        built(tmp_path, "toyfs", "toycore")
        assert machine.refused(modules=first) == (
            "toyfs is not loaded: toycore needs toybase, which comes after it; put toybase first."
        )

    def test_modules_that_need_each_other(self, machine: Machine, tmp_path: Path) -> None:
        """A linker can make such, and the kernel loads none of them."""
        first = [built(tmp_path, "toycore", "toybase"), built(tmp_path, "toybase", "toycore")]
        built(tmp_path, "toyfs", "toycore")
        assert machine.refused(modules=first) == (
            "toyfs is not loaded: toycore and toybase need each other, so neither can be loaded first."
        )

    def test_module_that_nobody_has(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs", "no-such-module")
        assert machine.refused(modules=[{"name": "nor_this_one"}]) == (
            "toyfs is not loaded: the kernel has no module nor_this_one; "
            "toyfs needs module no_such_module, which neither is among these modules nor the kernel's."
        )

    def test_module_that_is_another_than_the_list_says(self, machine: Machine, tmp_path: Path) -> None:
        built(tmp_path, "toyfs")
        other, old = built(tmp_path, "toycore"), built(tmp_path, "toybase", "", "6.1.0")
        first = [{"name": "toyx", "file": other["file"]}, old, {"name": "toyy", "file": "missing.ko"}]
        assert machine.refused(modules=first) == (
            f"toyfs is not loaded: the module in {tmp_path}/toycore.ko is called toycore, not toyx; "
            f"{tmp_path}/toybase.ko was built for kernel 6.1.0, and {RELEASE} runs; build it for the running kernel; "
            f"there is no module file {tmp_path}/missing.ko; role vexfs_build makes it."
        )
