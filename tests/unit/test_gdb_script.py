"""What gdb does for vexlab, in gdb itself, on a guest of which there is the memory alone."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.gdb_stub import Stub
from vexlab.guest import debugger

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler"),
    pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed"),
]

# The kernel's structures as the module's debug information has them: the kernel's own are longer.
MODULE = """
struct list_head { struct list_head *next, *prev; };
struct mod_kallsyms { void *symtab; unsigned int num_symtab; char *strtab; char *typetab; };
struct module { int state; struct list_head list; char name[56]; struct mod_kallsyms *kallsyms; };
struct module this_module;
int toy_answer = 42;
int toy_fill(int wanted) {
    toy_answer += wanted;
    return toy_answer;
}
int toy_init(void) { return toy_fill(1); }
__attribute__((section(".init.text"))) int toy_start(void) { return toy_init(); }
"""
# As the kernel's own script links a module: the address of .data means nothing.
LINKS = "SECTIONS { .data 0x3a0 : { *(.data) } .text 0 : { *(.text) } .init.text 0 : { *(.init.text) } }"

NAME, KALLSYMS = 24, 80  # offsets in that `struct module`
HEAD, LOADS, FREES = 0xFFFFFFFF82000000, 0xFFFFFFFF81000100, 0xFFFFFFFF81000200
FIRST, SECOND, STACK = 0xFFFFFFFFC0000000, 0xFFFFFFFFD0000000, 0xFFFFC90000123E58


class Toy:
    """A module that was built; where a loader puts it is said by `loaded`."""

    def __init__(self, directory: Path) -> None:
        (directory / "toy.c").write_text(MODULE)
        flags = ["-g", "-O0", "-c", "-fno-pic", "-mcmodel=kernel", "-fno-asynchronous-unwind-tables"]
        subprocess.run(["cc", *flags, "-o", "toy.o", "toy.c"], cwd=directory, check=True)
        (directory / "links.lds").write_text(LINKS)
        subprocess.run(["ld", "-r", "-T", "links.lds", "-o", "built.ko", "toy.o"], cwd=directory, check=True)
        self.file = directory / "toy.ko"
        debugger.write_plainly(directory / "built.ko", self.file)
        self.symbols = debugger.symbols_of(self.file)

    def address(self, base: int, name: str) -> int:
        """Where a symbol is when the module is loaded from there on."""
        for number, symbols in enumerate(self.symbols.values()):
            if name in dict(symbols):
                return base + 0x100000 * (number + 1) + dict(symbols)[name]
        raise LookupError(name)

    def loaded(self, base: int, following: int) -> dict[int, bytes]:
        """The memory in which the kernel tells of it: its `struct module`, and the symbols that the kernel knows.

        Of a section with several symbols it has dropped the first.
        """
        names, table = b"\0", struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)
        for name in (name for symbols in self.symbols.values() for name, _ in symbols[len(symbols) > 1 :]):
            table += struct.pack("<IBBHQQ", len(names), 0, 0, 1, self.address(base, name), 0)
            names += name.encode() + b"\0"
        kallsyms, symbols, strings = base + 0x1000, base + 0x2000, base + 0x3000
        module = struct.pack("<QQQ56sQ", 0, following, 0, b"toy", kallsyms)
        return {
            base: module,
            kallsyms: struct.pack("<QIIQQ", symbols, len(table) // 24, 0, strings, 0),
            symbols: table,
            strings: names + bytes(64),
        }


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="vexlab-gdb-") as directory:
        yield Path(directory)


def gdb(
    place: Path,
    toy: Toy,
    memory: dict[int, bytes],
    commands: Sequence[str],
    *,
    stops: Sequence[Callable[[Stub], None]] = (),
    console: str = "",
) -> str:
    """What gdb says to these commands, and what vexlab says in it."""
    (place / "console.log").write_text(console)
    order = {
        "module": "toy", "file": str(toy.file), "symbols": toy.symbols, "kernel_moved": 0, "vmlinux": "",
        "kernel": {"modules": HEAD, "do_init_module": LOADS, "free_module": FREES}, "sources": [],
        "socket": str(place / "gdb"), "console": str(place / "console.log"), "held": str(place / "held.json"),
        "greeting": "here you are",
    }  # fmt: skip
    (place / "order.json").write_text(json.dumps(order))
    stub = Stub(place / "gdb", memory, stops)
    words = [word for command in commands for word in ("-ex", command)]
    try:
        done = subprocess.run(
            ["gdb", "-nx", "-q", "-batch", "-ex", "set architecture i386:x86-64", "-x", str(debugger.SCRIPT), *words],
            env=os.environ | {"VEXLAB_GDB": str(place / "order.json")}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        stub.close()
    assert "Traceback" not in done.stderr + done.stdout
    return done.stdout + done.stderr


def head(first: int) -> dict[int, bytes]:
    """The list of modules; 8 is where the list is in a `struct module`."""
    return {HEAD: struct.pack("<QQ", first, 0)}


def test_a_module_that_is_loaded_is_found_in_the_memory(place: Path, toy: Toy) -> None:
    other = FIRST - 0x10000  # one that is on its way in, of which the kernel knows no symbols yet
    memory = head(other + 8) | toy.loaded(FIRST, HEAD)
    memory[other] = struct.pack("<QQQ56sQ", 3, FIRST + 8, 0, b"toy", 0)
    fill, answer = toy.address(FIRST, "toy_fill"), toy.address(FIRST, "toy_answer")
    memory[answer] = struct.pack("<I", 4711)
    start = toy.address(FIRST, "toy_start")
    commands = ["info line toy_fill", "print toy_answer", f"info symbol {answer:#x}", "info line toy_start"]
    said = gdb(place, toy, memory, commands)
    assert "vexlab: toy is at 0x" in said
    assert "vexlab: here you are" in said
    assert f"starts at address {fill:#x} <toy_fill>" in said
    assert f"starts at address {start:#x} <toy_start>" in said
    assert "$1 = 4711" in said
    assert "toy_answer in section .data" in said


def test_one_that_is_not_loaded_is_waited_for(place: Path, toy: Toy) -> None:
    said = gdb(place, toy, head(HEAD), ["break toy_init", "info breakpoints"])
    assert "toy is not loaded; its symbols come when it is" in said
    assert "<PENDING>  toy_init" in said


def comes(toy: Toy, base: int) -> Callable[[Stub], None]:
    """The kernel is about to call the init function of the module, which it has put there."""

    def stop(stub: Stub) -> None:
        stub.memory |= toy.loaded(base, HEAD)
        stub.registers |= {"rip": LOADS, "rdi": base}

    return stop


def goes(base: int) -> Callable[[Stub], None]:
    """The kernel is about to free the module."""
    return lambda stub: stub.registers.update(rip=FREES, rdi=base)


def reaches(address: int) -> Callable[[Stub], None]:
    return lambda stub: stub.registers.update(rip=address)


@pytest.mark.parametrize("is_seen", [True, False], ids=["it is seen to go", "it is gone"])
def test_a_breakpoint_is_there_again_after_a_reload(place: Path, toy: Toy, is_seen: bool) -> None:
    """And the guest stops for nothing else on the way."""
    places = [toy.address(base, "toy_init") for base in (FIRST, SECOND)]
    stops = [*([goes(FIRST)] if is_seen else []), comes(toy, SECOND), reaches(places[1])]
    commands = ["break toy_init", "info breakpoints", "continue", "info breakpoints", "print $pc"]
    said = gdb(place, toy, head(FIRST + 8) | toy.loaded(FIRST, HEAD), commands, stops=stops)
    before, after = said.rpartition("vexlab: toy is at ")[::2]
    assert f"{places[0]:#x} in toy_init" in before
    assert "Breakpoint 1, toy_init ()" in after
    assert f"{places[1]:#x} in toy_init" in after
    assert f"{places[0]:#x}" not in after


def test_a_breakpoint_that_waits_is_set_when_the_module_comes(place: Path, toy: Toy) -> None:
    stops = [comes(toy, SECOND), reaches(toy.address(SECOND, "toy_init"))]
    said = gdb(place, toy, head(HEAD), ["break toy_init", "continue"], stops=stops)
    assert "Breakpoint 1, toy_init ()" in said


def test_the_check_begins_when_the_guest_goes_on(place: Path, toy: Toy) -> None:
    (place / "held.json").write_text(json.dumps({"when": "begin", "check": "a.b", "message": "", "directory": ""}))
    gdb(place, toy, head(HEAD), ["info registers rip"])
    assert (place / "held.json").exists()
    gdb(place, toy, head(HEAD), ["continue"], stops=[reaches(LOADS + 64)])
    assert not (place / "held.json").exists()


def exception(rip: int) -> dict[int, bytes]:
    """What an exception has kept on the stack."""
    values = {"rip": rip, "rsp": STACK, "cs": 0x10, "rbx": 0xB0B}
    order = (
        "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
        "orig_rax", "rip", "cs", "eflags", "rsp", "ss",
    )  # fmt: skip
    kept = b"".join(struct.pack("<Q", values.get(name, 0)) for name in order)
    return {(STACK & ~0xF) - len(kept): kept}


REPORT = f"RIP: 0010:toy_fill+0x4/0x10 [toy]\nRSP: 0018:{STACK:016x} EFLAGS: 00010246\n"


def test_oops_goes_to_where_the_kernel_died(place: Path, toy: Toy) -> None:
    memory = head(FIRST + 8) | toy.loaded(FIRST, HEAD) | exception(toy.address(FIRST, "toy_fill") + 4)
    said = gdb(place, toy, memory, ["oops", "print/x $rbx", "info symbol $pc"], console=REPORT)
    assert "toy_fill" in said
    assert "toy.c:" in said
    assert "$1 = 0xb0b" in said
    assert "toy_fill + 4 in section .text" in said


def test_a_kernel_that_is_dead_is_shown_where_it_died(place: Path, toy: Toy) -> None:
    """Before anything is typed."""
    memory = head(FIRST + 8) | toy.loaded(FIRST, HEAD) | exception(toy.address(FIRST, "toy_fill") + 4)
    said = gdb(place, toy, memory, ["echo typed\\n"], console=f"{REPORT}Kernel panic - not syncing: Fatal exception\n")
    assert "the guest's kernel has died" in said.partition("typed")[0]
    assert "toy.c:" in said.partition("typed")[0]


def test_oops_believes_nothing_that_is_not_there_any_more(place: Path, toy: Toy) -> None:
    memory = head(HEAD) | {address + 0: bytes(len(data)) for address, data in exception(1).items()}
    said = gdb(place, toy, memory, ["oops", "print $rip"], console=REPORT)
    assert "isn't there any more" in said


def test_oops_without_a_report_says_so(place: Path, toy: Toy) -> None:
    assert "has no report" in gdb(place, toy, head(HEAD), ["oops"], console="all is well\nRSP: 002b:00007ffd00000000\n")
