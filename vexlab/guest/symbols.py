"""Where in a module's source a kernel trace points.

`function+offset` becomes a file and a line, by the debug information of the very module that was loaded.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.dwarf.compileunit import CompileUnit
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

FRAME = re.compile(r"\b(?P<function>[A-Za-z_][\w.]*)\+(?P<offset>0x[0-9a-f]+)/0x[0-9a-f]+(?: \[(?P<module>\w+)\])?")
INSTRUCTION = re.compile(r"\bRIP: [0-9a-f]+:")


class Symbols:
    """The functions and lines of a module file; one that has no debug information knows no place."""

    def __init__(self, file: Path, module: str, build: str) -> None:
        """Read the module; nothing is raised when it can't be read, since a trace without places is still a trace.

        `build` is the directory in which it was compiled; places are told relative to it.
        """
        self.module = module
        self._build = Path(build)
        self._addresses: dict[str, int] = {}
        self._units: dict[str, CompileUnit] = {}
        with contextlib.suppress(OSError, ELFError, DWARFError):
            self._stream = file.open("rb")
            self._read(ELFFile(self._stream))

    def _read(self, elf: ELFFile) -> None:
        table = elf.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            if symbol["st_info"]["type"] == "STT_FUNC":
                self._addresses.setdefault(symbol.name, symbol["st_value"])
        if not elf.has_dwarf_info():
            return
        self._dwarf = elf.get_dwarf_info(relocate_dwarf_sections=True)
        for unit in self._dwarf.iter_CUs():
            for entry in unit.iter_DIEs():
                name = entry.attributes.get("DW_AT_name")
                if entry.tag == "DW_TAG_subprogram" and name and "DW_AT_declaration" not in entry.attributes:
                    self._units.setdefault(name.value.decode(), unit)

    def place(self, function: str, offset: int) -> str:
        """`kernel/super.c:123` for an instruction of a function; empty when it isn't known."""
        # The compiler's clones (foo.cold, foo.isra.0) are symbols of their own, in the file of what they came from.
        unit, start = self._units.get(function.partition(".")[0]), self._addresses.get(function)
        program = self._dwarf.line_program_for_CU(unit) if unit is not None else None
        if unit is None or program is None or start is None:
            return ""
        before = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address <= start + offset < state.address and not before.end_sequence:
                return f"{self._file(unit, program.header, before.file)}:{before.line}"
            before = state
        return ""

    def _file(self, unit: CompileUnit, header: Any, index: int) -> str:
        """Path of a file of the line table, relative to the directory of the build if it is in there."""
        first = 0 if header["version"] >= 5 else 1
        entry = header["file_entry"][index - first]
        directory = ""
        if header["version"] >= 5 or entry["dir_index"]:
            directory = header["include_directory"][entry["dir_index"] - first].decode()
        top = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        path = Path(top.value.decode() if top else "/", directory, entry["name"].decode())
        return str(path.relative_to(self._build)) if path.is_relative_to(self._build) else str(path)

    def annotate(self, line: str) -> str:
        """A line of a trace with the place behind each frame that is the module's."""

        def with_place(found: re.Match[str]) -> str:
            if found["module"] != self.module or line.startswith(" (", found.end()):  # which has its place already
                return found[0]
            # A frame is where a call returns to; the call itself is the instruction before.
            back = 0 if INSTRUCTION.search(line) or line[: found.start()].endswith(" in ") else 1
            place = self.place(found["function"], int(found["offset"], 16) - back)
            return f"{found[0]} ({place})" if place else found[0]

        return FRAME.sub(with_place, line)


def with_places(text: str, file: Path, module: str, build: str) -> str:
    """A text with the place behind each function of a module; the module file is read only if the text names one."""
    if not any(found["module"] == module for found in FRAME.finditer(text)):
        return text
    symbols = Symbols(file, module, build)
    return "\n".join(map(symbols.annotate, text.split("\n")))
