"""What is in the source that is no file, link or directory, and names that a line or UTF-8 can't hold."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import Done
from tests.faults.fault import Fault
from tests.faults.fault_site import NO_RUN, Site

NAMES = [b"q\n/passwd", b"new\nline", b"quote'\"", b" blank ", b"{{ x }}", b"$(id)", b"-rf", b"\xff\xfe"]


def test_fault(suffer: Callable[[Fault], None], fault: Fault) -> None:
    suffer(fault)


def with_odd(make: Callable[[Path], object]) -> Callable[[Site], Done]:
    """`vexlab up` with something that `make` puts into the source, and takes away afterwards."""

    def inject(site: Site) -> Done:
        path = site.source / "kernel" / "odd"
        make(path)
        try:
            return site.up()
        finally:
            path.unlink()

    return inject


def make_socket(path: Path) -> None:
    """A socket at a path of any length."""
    with socket.socket(socket.AF_UNIX) as made:
        directory = os.open(path.parent, os.O_PATH)
        made.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)


def make_device(path: Path) -> None:
    """A character device without an end: /dev/zero."""
    if os.geteuid():
        pytest.skip("only root makes device nodes")
    os.mknod(path, 0o020600, os.makedev(1, 5))


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def odd_names(site: Site) -> Done:
    """Brought up with files of these names, and once more without them."""
    paths = [site.source / "kernel" / os.fsdecode(name) for name in NAMES]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    done = site.up()
    for path in paths:
        path.unlink()
    (site.source / "kernel" / "q\n").rmdir()
    return done if done.code else site.up()


FAULTS = (
    Fault(
        "FIFO in the source", "vexlab up with one in kernel/", with_odd(os.mkfifo), verdict=NO_RUN, exit_code=2,
        lab="gone", says=("kernel/odd in the source is a FIFO", "move it away"), next_up="",
    ),
    Fault(
        "socket in the source", "vexlab up with one in kernel/", with_odd(make_socket), verdict=NO_RUN, exit_code=2,
        lab="gone", says=("kernel/odd in the source is a socket", "move it away"), next_up="",
    ),
    Fault(
        "device in the source", "vexlab up with a node of /dev/zero in kernel/", with_odd(make_device), verdict=NO_RUN,
        exit_code=2, lab="gone", says=("kernel/odd in the source is a character device", "move it away"), next_up="",
    ),
    Fault(
        "huge file in the source", "vexlab up with a sparse file of 1 TiB in kernel/", with_odd(make_sparse),
        verdict=NO_RUN, exit_code=2, lab="gone", says=("the disk of the guest",), next_up="",
    ),
    Fault(
        "odd names in the source", "newlines, quotes, blanks, braces, bytes that are not UTF-8; then without them",
        odd_names, verdict="passed", exit_code=0, lab="up", says=("changed: structure, build",),
    ),
)  # fmt: skip
