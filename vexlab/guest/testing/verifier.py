"""Runs the tests of one stage after the other, without starting anew for each.

Usage: python -m vexlab.guest.testing.verifier RUN_DIRECTORY HOSTS INVENTORY [pytest argument…]

pytest, the inventory and a Python in the guest take three seconds to start, for a stage whose checks take one. So the
first call leaves a process behind that has all of them ready; it forks for each stage. Called without pytest arguments
it is only made ready, and writes RUN_DIRECTORY/marker: the word by which the markers of this run in the kernel's log
are known. It ends when nobody asked it for a while, or with the run (vexlab ends what a run has started).
The exit code is pytest's, or ENDED. Whoever runs pytest by hand needs none of this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

NAME = "vexlab.guest.testing.verifier"
SOCKET, LOG = "verifier.socket", "verifier.log"
IDLE_SECONDS = 90.0  # a role that takes longer finds another one started for its tests
ENDED = 75  # exit code, beyond pytest's own: it was killed, or this program was, and nothing is judged by that


def connect() -> socket.socket:
    """A connection to the server of the current directory, which is started if there is none."""
    directory = os.open(".", os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(SOCKET)  # relative: paths of sockets are short, those of run directories need not be
    except OSError:
        Path(SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(SOCKET)
        listener.listen()
        with Path(LOG).open("a") as log:
            subprocess.Popen(
                [sys.executable, "-P", "-m", NAME, "--serve", str(listener.fileno()), *sys.argv[2:4]],
                pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        connection.connect(SOCKET)
    finally:
        os.close(directory)
    return connection


def ask(arguments: list[str]) -> int:
    """Have the tests run with our standard output and error; returns pytest's exit code. Nothing to run: don't wait."""
    connection = connect()
    message = "\0".join(arguments).encode()
    answer = b""
    with contextlib.suppress(ConnectionError):
        socket.send_fds(connection, [len(message).to_bytes(4, "big") + message], [1, 2])
        answer = connection.recv(1) if arguments else b"\0"
    if not answer:
        print(f"the verifier ended without an answer; see {Path(LOG).absolute()}", file=sys.stderr)
        return ENDED
    return answer[0]


def serve(listener: socket.socket, hosts: str, inventory: str) -> None:
    """Answer one request after the other until none comes."""
    from vexlab.guest.testing import guest  # what takes time is imported here, once, and not by whoever asks

    while select.select([listener], [], [], IDLE_SECONDS)[0]:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            arguments, streams = receive(connection)
            try:
                guest.prepare(hosts, inventory)
                if arguments and not run(arguments, streams, connection):
                    guest.forget()  # what it says next may be the answer to a question of the tests that were ended
            finally:
                for stream in streams:
                    os.close(stream)


def receive(connection: socket.socket) -> tuple[list[str], list[int]]:
    """The words of a request, and the two streams that came with it."""
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the request ended early")
        data += more
    return data[4:].decode().split("\0") if data[4:] else [], descriptors


def run(arguments: list[str], streams: list[int], connection: socket.socket) -> bool:
    """Run pytest in a fork and send its exit code; False when it did not end by itself, or nobody waits any more."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            os.dup2(streams[0], 1)
            os.dup2(streams[1], 2)
            import pytest

            code = int(pytest.main(arguments))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    process = os.pidfd_open(child)
    ended = process in select.select([process, connection.fileno()], [], [])[0]
    if not ended:
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(process)
    with contextlib.suppress(ConnectionError):
        connection.send(bytes([code if 0 <= code < 256 else ENDED]))
    return ended and code in (0, 1)


def main() -> int:
    """Serve, or ask."""
    if sys.argv[1] == "--serve":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            with socket.socket(fileno=int(sys.argv[2])) as listener:
                serve(listener, *sys.argv[3:5])
        finally:
            Path(SOCKET).unlink(missing_ok=True)
            if Path(LOG).stat().st_size == 0:
                Path(LOG).unlink()
        return 0
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    if not sys.argv[4:]:
        make_marker(directory)
    return ask(sys.argv[4:])


def make_marker(directory: Path) -> None:
    """Make up the word that the markers of this run's stages have; no program in the guest knows it beforehand."""
    temporary = directory / f".marker.{os.getpid()}"
    temporary.write_text(secrets.token_hex(8) + "\n")
    temporary.replace(directory / "marker")


if __name__ == "__main__":
    sys.exit(main())
