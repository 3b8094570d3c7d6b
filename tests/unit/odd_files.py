"""What a tree may hold beside ordinary files: names of every kind, and what is neither a file nor a link."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = [
    b"new\nline",
    b"\n",
    b"quote'\"",
    b" blank ",
    b"tab\t",
    b"{{ x }}",
    b"$(id)",
    b"-rf",
    b"\xff\xfe",
    "ü€".encode(),
]


def make_socket(path: Path) -> None:
    """A socket at a path of any length."""
    with socket.socket(socket.AF_UNIX) as made:
        descriptor = os.open(path.parent, os.O_PATH)
        made.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        os.close(descriptor)


def make_device(kind: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        try:
            os.mknod(path, kind | 0o600, os.makedev(1, 5))  # character device: /dev/zero, which has no end
        except PermissionError:
            pytest.skip("only root makes device nodes")

    return make


OTHERS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a socket": make_socket,
    "a character device": make_device(0o020000),
    "a block device": make_device(0o060000),
}
