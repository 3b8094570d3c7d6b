"""gdb on a guest's kernel, by QEMU's stub on a socket of the lab; what gdb does itself is in gdb_script.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_symbols, kernels
from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from vexlab.config.atomic_file import replace_file
from vexlab.errors import GuestProblem, HostProblem
from vexlab.guest.lab import ANSWER_SECONDS, Lab, guest_status, name_option, qmp

PROGRAM = "gdb"
SCRIPT = Path(__file__).with_name("gdb_script.py")
KNOWN_BY = 8  # symbols of a section; the kernel may have dropped some
# Of the kernel: the list of its modules, what is called when one comes and when one goes, and where its code begins.
KERNEL = ("modules", "do_init_module", "free_module", "_text")
LOOK = f"grep -E ' ({'|'.join(KERNEL)})$' /proc/kallsyms"
SOCKET = "gdb"
SECTION_ADDRESS = 16  # where the address is in the header of a section (Elf64_Shdr)


@dataclass(frozen=True)
class Scene:
    """What gdb is to show: the guest of a lab, the module in it, and where its source is.

    `build` is where the module was built. `held` is the file that is there as long as the check waits, if there is a
    check.
    """

    lab: Lab
    module: str
    build: str
    source: str
    held: Path | None = None
    greeting: str = "`continue` has the guest go on, Ctrl-C stops it, `quit` ends gdb"


def require() -> None:
    """Raise HostProblem when there is no gdb."""
    if shutil.which(PROGRAM) is None:
        raise HostProblem("gdb is not installed", "sudo apt-get install gdb")


def run(scene: Scene, directory: Path) -> None:
    """Have the person at the terminal use gdb on the guest; `directory` gets what gdb is told."""
    kernel = kernel_addresses(scene.lab)
    with stub(scene.lab) as socket:
        module, order = directory / "module.ko", directory / "gdb.json"
        write_plainly(scene.lab.module_file, module)
        replace_file(order, json.dumps(order_of(scene, module, kernel, socket)) + "\n")
        environment = os.environ | {"VEXLAB_GDB": str(order)}
        subprocess.run([PROGRAM, "-q", "-x", str(SCRIPT)], env=environment, check=False)


def order_of(scene: Scene, module: Path, kernel: dict[str, int], socket: Path) -> dict[str, Any]:
    """What gdb is told; raises GuestProblem for a module without symbols. `module` is the file that gdb reads."""
    vmlinux = vmlinux_of(scene.lab)
    return {
        "module": scene.module,
        "file": str(module),
        "symbols": symbols_of(module),
        "kernel": kernel,
        "kernel_moved": kernel["_text"] - start_of(vmlinux) if vmlinux else 0,
        "vmlinux": str(vmlinux or ""),
        "sources": [[scene.build, scene.source]] if scene.source else [],
        "socket": str(socket),
        "console": str(scene.lab.directory / "console.log"),
        "held": str(scene.held or ""),
        "greeting": scene.greeting,
    }


def write_plainly(module: Path, copy: Path) -> None:
    """Write a copy of a module in which no section has an address; raises GuestProblem for what can't be read.

    Linked with the kernel's script, .data has one, which means nothing. gdb takes a file with any for one that is in
    its place already, and would be wrong about all sections but .text.
    """
    try:
        data = bytearray(module.read_bytes())
        header = ELFFile(io.BytesIO(data)).header
        for number in range(header["e_shnum"]):
            start = header["e_shoff"] + number * header["e_shentsize"] + SECTION_ADDRESS
            data[start : start + 8] = bytes(8)
    except (OSError, ELFError) as problem:
        raise _unreadable(problem) from problem
    copy.write_bytes(data)


def _unreadable(problem: Exception) -> GuestProblem:
    return GuestProblem(f"the module that was built is not at hand: {problem}", "vexlab up")


def symbols_of(module: Path) -> dict[str, list[tuple[str, int]]]:
    """For each section of a module that is loaded, some of its symbols, each with its offset; raises GuestProblem."""
    try:
        with module.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
            loaded = {
                number: section.name
                for number, section in enumerate(elf.iter_sections())
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC
            }
            has_debug = elf.has_dwarf_info(strict=True)
    except (OSError, ELFError) as problem:
        raise _unreadable(problem) from problem
    if not has_debug:
        said = "the module has no debug information, so gdb can show nothing of it"
        raise GuestProblem(said, "build it with -g, as a kernel does that has CONFIG_DEBUG_INFO")
    names = [symbol.name for symbol in symbols]
    found: dict[str, list[tuple[str, int]]] = {}
    for symbol in symbols:
        section = loaded.get(symbol["st_shndx"], "")
        if section and symbol.name and names.count(symbol.name) == 1 and len(found.get(section, ())) < KNOWN_BY:
            found.setdefault(section, []).append((symbol.name, symbol["st_value"]))
    return found


def vmlinux_of(lab: Lab) -> Path | None:
    """The kernel of a lab's guest with its debug information, if that was fetched."""
    image = Path(lab.record()["parameters"]["image"])
    with contextlib.suppress(OSError, ValueError, KeyError):
        release = str(json.loads((image / "manifest.json").read_text())["kernel_release"])
        return kernel_symbols.find(image.parent / kernels.DIRECTORY, release)
    return None


def start_of(vmlinux: Path) -> int:
    """Where a kernel's code begins when it isn't moved."""
    with vmlinux.open("rb") as file:
        return int(next(ELFFile(file).iter_segments("PT_LOAD"))["p_vaddr"])


def kernel_addresses(lab: Lab) -> dict[str, int]:
    """Where things are in the guest's kernel; of a guest that is dead, what was noted while it lived.

    Raises GuestProblem when nobody has noted it.
    """
    path, identity = lab.directory / "kernel.json", lab.record().get("uuid", "")
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(path.read_text())
        if known["guest"] == identity:
            return {name: int(known["addresses"][name]) for name in KERNEL}
    addresses = _asked(lab)
    replace_file(path, json.dumps({"guest": identity, "addresses": addresses}) + "\n")
    return addresses


def note(lab: Lab) -> None:
    """Note where things are in the guest's kernel, for when it is dead; one that can't be asked isn't."""
    with contextlib.suppress(GuestProblem):
        kernel_addresses(lab)


def _asked(lab: Lab) -> dict[str, int]:
    ssh, *rest = lab.ssh_command((LOOK,))
    try:
        done = subprocess.run(
            [ssh, "-o", "ControlMaster=no", *rest],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        done = None
    words = [line.split() for line in (done.stdout if done else "").splitlines()]
    found = {name: int(address, 16) for address, _, name in words}
    if set(found) != set(KERNEL):
        raise GuestProblem(
            "where the guest's kernel is in its memory was not noted while it could be asked",
            f"vexlab up --keep-on-failure{name_option(lab.name)} notes it",
        )
    return found


@contextlib.contextmanager
def stub(lab: Lab) -> Iterator[Path]:
    """Have QEMU listen for gdb on a socket in the lab's private directory; afterwards the guest goes on, if it can."""
    record = lab.record()
    control, socket = Path(record["qmp_control"]), Path(record["qmp_control"]).with_name(SOCKET)
    socket.unlink(missing_ok=True)
    ran = guest_status(record) == "running"
    try:
        said = _monitor(control, f"gdbserver unix:{socket},server=on,wait=off")
        if not socket.exists():
            raise OSError(said.strip() or "it made no socket")
    except OSError as problem:
        raise GuestProblem(f"QEMU does not let gdb in: {problem}", "vexlab logs qemu") from problem
    try:
        yield socket
    finally:
        with contextlib.suppress(OSError):
            _monitor(control, "gdbserver none")
        if ran:
            with contextlib.suppress(OSError):  # it may be dead by now
                qmp(control, "cont")
        socket.unlink(missing_ok=True)


def _monitor(control: Path, line: str) -> str:
    """What QEMU's monitor says to a line; there is no other way to its stub."""
    return str(qmp(control, "human-monitor-command", {"command-line": line}))
