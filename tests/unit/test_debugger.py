"""What gdb is told: where a module's symbols are in its file, and where things are in the guest's kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from vexlab.errors import GuestProblem, HostProblem
from vexlab.guest import debugger
from vexlab.guest.debugger import Scene
from vexlab.guest.lab import Lab

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")

MODULE = """
int first(void) { return 1; }
int toy_init(void) { return 2 + first(); }
int toy_data[4] = {1, 2, 3, 4};
int toy_more = 5;
int toy_zero;
__asm__(".pushsection .of_the_build; built: .long 1; .popsection");
"""
OTHER = "static int same(void) { return 3; } int (*other)(void) = same;"
AGAIN = "static int same(void) { return 4; } int (*again)(void) = same;"
ADDRESSES = {"modules": 0xFFFFFFFF9A000010, "do_init_module": 1, "free_module": 2, "_text": 0xFFFFFFFF98000000}


def compiled(directory: Path, *options: str) -> Path:
    """One relocatable file of three, as kbuild makes a module."""
    parts = []
    for number, text in enumerate((MODULE, OTHER, AGAIN)):
        source = directory / f"{number}.c"
        source.write_text(text)
        subprocess.run(["cc", "-c", "-fno-pic", *options, source.name], cwd=directory, check=True)
        parts.append(f"{number}.o")
    subprocess.run(["ld", "-r", "-o", "module.ko", *parts], cwd=directory, check=True)
    return directory / "module.ko"


def a_lab(directory: Path) -> Lab:
    image = directory / "images" / "0123"
    image.mkdir(parents=True)
    (image / "manifest.json").write_text(json.dumps({"kernel_release": "6.12.1-amd64"}))
    control, parameters = str(directory / "qmp-control"), {"image": str(image)}
    record = {"uuid": "this-guest", "qmp_control": control, "parameters": parameters}
    (directory / "guest.json").write_text(json.dumps(record))
    return Lab("one", directory)


def test_symbols_are_those_that_tell_where_a_section_is(tmp_path: Path) -> None:
    found = debugger.symbols_of(compiled(tmp_path, "-g"))
    assert {".text", ".data", ".bss"} <= set(found)
    assert dict(found[".data"]) | {"toy_data": 0, "toy_more": 16} == dict(found[".data"])
    assert ("toy_zero", 0) in found[".bss"]
    assert "first" in dict(found[".text"])


def test_a_name_that_two_have_tells_nothing(tmp_path: Path) -> None:
    found = debugger.symbols_of(compiled(tmp_path, "-g"))
    assert not [section for section, symbols in found.items() if "same" in dict(symbols)]


def test_a_section_that_is_not_loaded_is_none(tmp_path: Path) -> None:
    assert ".of_the_build" not in debugger.symbols_of(compiled(tmp_path, "-g"))


def test_a_module_without_debug_information_is_told(tmp_path: Path) -> None:
    with pytest.raises(GuestProblem, match="no debug information") as problem:
        debugger.symbols_of(compiled(tmp_path))
    assert "-g" in problem.value.hint


def test_no_module_is_told(tmp_path: Path) -> None:
    with pytest.raises(GuestProblem, match="not at hand"):
        debugger.symbols_of(tmp_path / "module.ko")


def test_a_dead_guest_is_where_it_was_noted(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    (tmp_path / "kernel.json").write_text(json.dumps({"guest": "this-guest", "addresses": ADDRESSES}))
    assert debugger.kernel_addresses(lab) == ADDRESSES


def test_what_was_noted_of_another_guest_is_not_believed(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    (tmp_path / "kernel.json").write_text(json.dumps({"guest": "another", "addresses": ADDRESSES}))
    with pytest.raises(GuestProblem):
        debugger.kernel_addresses(lab)


def test_the_order_has_all_that_gdb_needs(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    module = compiled(tmp_path, "-g")
    scene = Scene(lab, "toy", "/var/lib/vexlab/build", "/home/me/toy fs", tmp_path / "held.json")
    order = debugger.order_of(scene, module, ADDRESSES, tmp_path / "gdb")
    assert json.loads(json.dumps(order))["sources"] == [["/var/lib/vexlab/build", "/home/me/toy fs"]]
    assert (order["module"], order["file"]) == ("toy", str(tmp_path / "module.ko"))
    assert (order["held"], order["socket"]) == (str(tmp_path / "held.json"), str(tmp_path / "gdb"))
    assert (order["kernel"], order["vmlinux"]) == (ADDRESSES, "")


def test_the_kernel_is_at_hand_when_it_was_fetched(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    assert debugger.vmlinux_of(lab) is None
    place = tmp_path / "images" / "kernels" / "symbols" / "6.12.1-amd64"
    place.mkdir(parents=True)
    (place / "vmlinux").write_bytes(b"")
    assert debugger.vmlinux_of(lab) == place / "vmlinux"


def test_a_kernel_begins_where_its_first_segment_does(tmp_path: Path) -> None:
    (tmp_path / "kernel.c").write_text("void _start(void) { for (;;) ; }")
    command = ["cc", "-static", "-nostdlib", "-no-pie", "-Wl,-Ttext-segment=0x81000000", "-o", "vmlinux", "kernel.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert debugger.start_of(tmp_path / "vmlinux") == 0x81000000


def test_a_machine_without_gdb_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostProblem, match="gdb is not installed") as problem:
        debugger.require()
    assert problem.value.hint == "sudo apt-get install gdb"
