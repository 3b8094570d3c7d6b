"""The other end of gdb's remote protocol: memory and registers of a guest that there isn't, and where it stops."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

# The order of gdb's registers of this architecture, each 8 bytes, as far as tests need them.
NAMES = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)  # fmt: skip
REST = bytes(4 + 24)  # flags and segments
TRAPPED = "T05"


class Stub:
    """A guest that stands still; each time it is to go on, the next of `stops` says where it stops.

    What a stop does to the guest is a function; the guest has trapped afterwards.
    """

    def __init__(self, path: Path, memory: dict[int, bytes], stops: Sequence[Callable[[Stub], None]] = ()) -> None:
        self.memory = memory
        self.registers = dict.fromkeys(NAMES, 0)
        self._stops = list(stops)
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as stream:
            while byte := stream.read(1):
                if byte == b"$":
                    packet = b""
                    while (each := stream.read(1)) not in (b"#", b""):
                        packet += each
                    stream.read(2)  # the sum
                    connection.sendall(b"+" + self._packet(self._answer(packet.decode())))

    def _packet(self, text: str) -> bytes:
        return f"${text}#{sum(text.encode()) % 256:02x}".encode()

    def _answer(self, order: str) -> str:
        kind, rest = order[:1], order[1:]
        if kind == "m":
            address, length = (int(word, 16) for word in rest.split(","))
            return self._read(address, length)
        if kind == "c" and self._stops:
            self._stops.pop(0)(self)
        if kind == "s":
            self.registers["rip"] += 1
        if kind == "P":
            number, value = rest.split("=")
            self.registers[NAMES[int(number, 16)]] = int.from_bytes(bytes.fromhex(value), "little")
        if kind == "g":
            return (b"".join(self.registers[name].to_bytes(8, "little") for name in NAMES) + REST).hex()
        if order.startswith("qAttached"):
            return "1"
        if kind in "HZzPDG":
            return "OK"
        return TRAPPED if kind in "?cs" else ""

    def _read(self, address: int, length: int) -> str:
        for start, data in self.memory.items():
            if start <= address and address + length <= start + len(data):
                return data[address - start : address - start + length].hex()
        return "E01"
