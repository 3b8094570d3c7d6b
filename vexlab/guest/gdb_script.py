"""What gdb does for vexlab: it finds the module in the guest's memory, whenever that is loaded, and the last oops.

gdb runs it (`gdb -x`), in the Python that gdb has: standard library only. VEXLAB_GDB names the file with the order,
which debugger.py writes.

Where the kernel has put the sections of a module stands in the symbol table that the kernel keeps of it: a symbol that
is at an offset of its section in the file is at an address there. So it takes nothing but the guest's memory, and a
guest that is dead can be looked at too. The offsets of the kernel's own structures are in the module's debug
information.
"""

from __future__ import annotations

import json
import os
import re
import struct
import threading
import time
from pathlib import Path
from typing import Any

import gdb

PREFIX = "vexlab: "
LOOK_SECONDS = 0.3
WORD = struct.Struct("<Q")
SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
NAME_BYTES = 56  # of a module's name, with its NUL
CONSOLE_END = 1 << 20  # bytes; a kernel that died says nothing after that
MAXIMUM = 4096  # modules and more are never in a list that is whole
# What an exception pushes (struct pt_regs), from the lowest address up.
REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss",
)  # fmt: skip
NOT_SET = ("orig_rax", "cs", "ss", "eflags")
# A report of the kernel's own code: the stack that it stood on.
REPORT = re.compile(r"RSP: 0018:([0-9a-f]{16})")
PANIC = "Kernel panic"


def say(text: str) -> None:
    """Tell the person something."""
    gdb.write(f"{PREFIX}{text}\n")


def memory(address: int, length: int) -> bytes:
    """Bytes of the guest; raises gdb.MemoryError where nothing is."""
    return bytes(gdb.selected_inferior().read_memory(address, length))


def end_of(console: Path) -> str:
    """What the guest has said last."""
    with console.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - CONSOLE_END))
        return file.read().decode(errors="replace")


def quoted(path: str) -> str:
    """A path as an argument of a command of gdb."""
    return '"' + re.sub(r'(["\\])', r"\\\1", path) + '"'


def word(address: int) -> int:
    """A pointer of the guest."""
    return int(WORD.unpack(memory(address, WORD.size))[0])


class Module:
    """The module under test: its file, and where it is in the guest."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Read from the module's file how the kernel's structures are laid out; raises gdb.error without that."""
        self.name: str = order["module"]
        self._file: str = order["file"]
        self._symbols: dict[str, list[tuple[str, int]]] = order["symbols"]  # of each section: names and offsets
        self._head: int = order["kernel"]["modules"]
        self._module = 0  # where its `struct module` is
        self._text = 0
        gdb.execute(f"symbol-file {quoted(self._file)}", to_string=True)
        try:
            self._in_module = {name: offset("module", name) for name in ("list", "name", "kallsyms")}
            self._in_table = {name: offset("mod_kallsyms", name) for name in ("symtab", "num_symtab", "strtab")}
        finally:
            gdb.execute("symbol-file", to_string=True)

    def find(self) -> None:
        """Find it among the modules that are loaded."""
        entry = word(self._head)
        for _ in range(MAXIMUM):
            if entry == self._head:
                break
            if self.appears(entry - self._in_module["list"]):
                return
            entry = word(entry)
        say(f"{self.name} is not loaded; its symbols come when it is")

    def appears(self, module: int) -> bool:
        """Take the symbols to where a `struct module` has them, if that is of this module."""
        name = memory(module + self._in_module["name"], NAME_BYTES).partition(b"\0")[0].decode(errors="replace")
        table = word(module + self._in_module["kallsyms"])
        if name != self.name or not table:
            return False
        self.leaves(self._module)
        sections = self._sections(table)
        if ".text" not in sections:
            say(f"{self.name} is loaded, and where its code is can't be told")
            return True
        self._module, self._text = module, sections[".text"]
        others = [f"-s {section} {address:#x}" for section, address in sections.items()]
        gdb.execute(f"add-symbol-file {quoted(self._file)} {' '.join(others)}", to_string=True)
        say(f"{self.name} is at {self._text:#x}")
        return True

    def leaves(self, module: int) -> None:
        """Forget where it was, if that is the `struct module` that goes: its breakpoints wait for the next one."""
        if module and module == self._module:
            gdb.execute(f"remove-symbol-file -a {self._text:#x}", to_string=True)
            self._module = self._text = 0

    def _sections(self, table: int) -> dict[str, int]:
        """The address of each section of which the kernel knows a symbol."""
        count = struct.unpack("<I", memory(table + self._in_table["num_symtab"], 4))[0]
        symbols = list(SYMBOL.iter_unpack(memory(word(table + self._in_table["symtab"]), count * SYMBOL.size)))
        start = word(table + self._in_table["strtab"])
        names = memory(start, max(symbol[0] for symbol in symbols) + 1)
        names += memory(start + len(names), NAME_BYTES)
        addresses = {names[each[0] :].partition(b"\0")[0].decode(errors="replace"): each[4] for each in symbols}
        found = {}
        for section, known in self._symbols.items():
            address = next((addresses[name] - at for name, at in known if addresses.get(name)), 0)
            if address:
                found[section] = address
        return found


def offset(structure: str, member: str) -> int:
    """Where a member is in a structure."""
    return int(gdb.parse_and_eval(f"(unsigned long)&((struct {structure} *)0)->{member}"))


class Watched(gdb.Breakpoint):  # type: ignore[misc]
    """A function of the kernel that is called with a module; the guest doesn't stop there for the person."""

    def __init__(self, address: int, tell: Any) -> None:
        """`tell` gets the address of the module."""
        super().__init__(f"*{address:#x}", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self._tell = tell

    def stop(self) -> bool:
        """Tell of the module, which is the first argument, and go on."""
        self._tell(int(gdb.parse_and_eval("(unsigned long)$rdi")))
        return False


class Oops(gdb.Command):  # type: ignore[misc]
    """Go to where the kernel's last report was made: its registers, as the exception found them.

    The registers of the guest are set to that, for `backtrace`, `info locals` and `list` to show it. A kernel that has
    panicked doesn't go on anyway.
    """

    def __init__(self, console: Path) -> None:
        """Name the file of the guest's console, which has the report."""
        super().__init__("oops", gdb.COMMAND_STACK)
        self._console = console

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Set the registers, and show the place."""
        found = REPORT.findall(end_of(self._console))
        if not found:
            raise gdb.GdbError("the console has no report of the kernel's own code")
        stack = int(found[-1], 16)
        values = saved_registers(stack)
        if values["rsp"] != stack:
            raise gdb.GdbError(f"what the exception at stack {stack:#x} has kept isn't there any more")
        for name, value in values.items():
            if name not in NOT_SET:
                gdb.execute(f"set ${name} = {value:#x}", to_string=True)
        gdb.execute("frame 0")


def saved_registers(stack: int) -> dict[str, int]:
    """What an exception has kept of the registers, below the stack that it interrupted."""
    size = WORD.size * len(REGISTERS)
    kept = memory((stack & ~0xF) - size, size)
    return dict(zip(REGISTERS, (value for (value,) in WORD.iter_unpack(kept)), strict=True))


class Session:
    """What gdb is told of the check, and what the check is told of gdb."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Take the files: `held` is there while the check waits, `console` has the guest's words."""
        self._held = Path(order["held"]) if order["held"] else None
        self._console = Path(order["console"])
        self._is_dead = False

    def goes_on(self, _: object = None) -> None:
        """The person has the guest go on for the first time: so does the check."""
        gdb.events.cont.disconnect(self.goes_on)
        if self._held is not None:
            self._held.unlink(missing_ok=True)
            threading.Thread(target=self._listen, daemon=True).start()

    def begins(self) -> None:
        """Show the place, if the kernel is dead already."""
        self._is_dead = PANIC in end_of(self._console)
        if self._is_dead:
            show_death()

    def stops(self, _: object = None) -> None:
        """Show the place, when it is the kernel's death that the guest stops for."""
        if not self._is_dead and PANIC in end_of(self._console):
            self._is_dead = True
            gdb.post_event(show_death)  # not now: gdb is about to tell where the guest stopped

    def _listen(self) -> None:
        """Wait until the check has ended, and tell what it came to."""
        while self._held is not None and not self._held.exists():
            time.sleep(LOOK_SECONDS)
        told = json.loads(self._held.read_text()) if self._held else {}
        words = f"{told['check']} {told['when']}" + (f": {told['message']}" if told["message"] else "")
        gdb.post_event(lambda: say(f"{words}\nCtrl-C stops the guest, `quit` ends it"))


def show_death() -> None:
    """Go to where the kernel died."""
    say("the guest's kernel has died; the registers are those of its last report (`oops`)")
    try:
        gdb.execute("oops")
    except gdb.error as problem:
        say(str(problem))


def show_kernel(order: dict[str, Any]) -> None:
    """Load the kernel's symbols, if they are at hand."""
    if order["vmlinux"]:
        say(f"reading the kernel's symbols, {order['vmlinux']}")
        gdb.execute(f"symbol-file {quoted(order['vmlinux'])} -o {order['kernel_moved']:#x}", to_string=True)


def main() -> None:
    """Reach the guest, and have the symbols follow the module."""
    order = json.loads(Path(os.environ["VEXLAB_GDB"]).read_text())
    for setting in ("confirm off", "pagination off", "breakpoint pending on"):
        gdb.execute(f"set {setting}")
    for before, after in order["sources"]:
        gdb.execute(f"set substitute-path {quoted(before)} {quoted(after)}")
    module = Module(order)
    show_kernel(order)
    gdb.execute(f"target remote {order['socket']}", to_string=True)
    module.find()
    Watched(order["kernel"]["do_init_module"], module.appears)
    Watched(order["kernel"]["free_module"], module.leaves)
    Oops(Path(order["console"]))
    session = Session(order)
    gdb.events.cont.connect(session.goes_on)
    gdb.events.stop.connect(session.stops)
    say(order["greeting"])
    session.begins()


main()
