"""A command that goes on for as long as somebody elsewhere asks for it; standard library only.

Whoever asks may be killed, and the link to this machine be cut. The end of a connection would tell neither: sshd
notices a cut link when it has sent something in vain for a quarter of an hour. Nor should it: a link that is cut for a
minute would end what goes on well. So a keeper beside the command ends it when nobody has asked for so many seconds.

Of a directory: `order.json` is the command; `asked` has the time of the last question; `answer` and `said` are what the
command writes on stdout and stderr; `end` asks for its end; `ended` says how it ended; `lock` is held by the keeper.
Run as a program, with the directory, this is the keeper.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE = 150.0  # seconds that a command gets to end by itself: it may have a guest to take down
TICK = 0.1
SAID = 1 << 16  # bytes of what it says that are told
LARGEST = 8 << 20  # bytes of an answer
PR_SET_PDEATHSIG = 1


class LeasedError(Exception):
    """What keeps a command from being begun, asked for or ended, as a sentence."""


def start(directory: Path, command: Sequence[str], environment: Mapping[str, str], patience: float, text: str) -> None:
    """Begin a command in a directory that isn't there yet; `text` is that of this module. Raises LeasedError."""
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise LeasedError(f"{directory} is there already: something was begun in it") from None
    order = {"command": list(command), "environment": dict(environment), "patience": patience}
    (directory / "order.json").write_text(json.dumps(order))
    (directory / "keeper.py").write_text(text)
    (directory / "asked").touch()
    (directory / "ended").write_text(" " * 256)  # there is room for it whatever happens to the disk
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (directory / "keeper.log").open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-I", str(directory / "keeper.py"), str(directory)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True, pass_fds=[lock], cwd=directory,
            )  # fmt: skip
    finally:
        os.close(lock)


def ask(directory: Path, seconds: float = 0.0) -> dict[str, Any]:
    """How far a command is, which is also what keeps it going; waits so long for something new. Raises LeasedError.

    `running`; `said`, its last words, and how many lines were `left_out` before them; `free_mb` of the disk that it
    works on; and when it has ended `answer`, `code`, None where that isn't known, and `why`, if it was ended.
    """
    if not (directory / "order.json").is_file():
        raise LeasedError(f"nothing was begun in {directory}, or somebody removed it")
    deadline, before = time.monotonic() + seconds, _size(directory / "said")
    while True:
        os.utime(directory / "asked")
        running = is_kept(directory)
        if not running or _size(directory / "said") != before or time.monotonic() > deadline:
            break
        time.sleep(TICK)
    said, left_out = _said(directory)
    found: dict[str, Any] = {
        "running": running, "said": said, "left_out": left_out,
        "free_mb": shutil.disk_usage(directory).free // 1_000_000,
    }  # fmt: skip
    if not running:
        with (directory / "answer").open("rb") as answer:
            found |= {"answer": answer.read(LARGEST).decode(errors="replace"), "code": None, "why": ""}
        with contextlib.suppress(ValueError):  # its keeper was killed before it wrote that
            found |= json.loads((directory / "ended").read_text())
    return found


def end(directory: Path, seconds: float) -> bool:
    """End the command, if it goes on, and remove its directory; whether there was any. Raises LeasedError."""
    if not directory.is_dir():
        return False
    with contextlib.suppress(OSError):  # a full disk; without it the command ends when nobody has asked for a while
        (directory / "end").touch()
    deadline = time.monotonic() + seconds
    while is_kept(directory):
        if time.monotonic() > deadline:
            raise LeasedError(f"what was begun in {directory} has not ended within {seconds:.0f} s of being told to")
        time.sleep(TICK)
    shutil.rmtree(directory, ignore_errors=True)
    return True


def is_kept(directory: Path) -> bool:
    """Whether the keeper is there, and with it the command."""
    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _said(directory: Path) -> tuple[str, int]:
    """The last of what it has said, from the beginning of a line, and the number of lines before that."""
    try:
        text = (directory / "said").read_bytes()
    except OSError:
        return "", 0
    begin = max(0, len(text) - SAID)
    if begin and 0 <= (end := text.find(b"\n", begin - 1)) < len(text) - 1:  # else it is within a line without an end
        begin = end + 1
    return text[begin:].decode(errors="replace"), text.count(b"\n", 0, begin)


def keep(directory: Path) -> None:
    """Run the command of a directory until it ends, or is to end; write down how."""
    order = json.loads((directory / "order.json").read_text())
    with (directory / "answer").open("wb") as answer, (directory / "said").open("wb") as said:
        try:
            process = subprocess.Popen(
                order["command"], stdin=subprocess.DEVNULL, stdout=answer, stderr=said, cwd=directory,
                start_new_session=True, env={**os.environ, **order["environment"]},
                preexec_fn=_end_with_keeper,  # noqa: PLW1509  there are no threads here
            )  # fmt: skip
        except OSError as problem:
            _write(directory, None, f"{order['command'][0]} can't be started: {problem.strerror}")
            return
        why = _follow(process, directory, order["patience"])
        _write(directory, process.returncode, why)


def _follow(process: subprocess.Popen[bytes], directory: Path, patience: float) -> str:
    """Wait for the end of a process, or end it; why it was ended."""
    asked, heard = _asked(directory), time.monotonic()  # this machine's clock may be set meanwhile
    while process.poll() is None:
        if (now := _asked(directory)) != asked:
            asked, heard = now, time.monotonic()
        why = "it was told to end" if (directory / "end").exists() else ""
        if time.monotonic() - heard > patience:
            why = f"nobody asked for it for {patience:.0f} s"
        if why:
            _end(process)
            return why
        time.sleep(TICK)
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, the polite way first; what it had started is ended by its own reaper."""
    for number in (signal.SIGINT, signal.SIGKILL):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def _end_with_keeper() -> None:
    """Have the kernel interrupt this process when its keeper is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _asked(directory: Path) -> int | None:
    try:
        return (directory / "asked").stat().st_mtime_ns
    except OSError:  # somebody removed it: nobody asks any more
        return None


def _write(directory: Path, code: int | None, why: str) -> None:
    """Write down how it ended, in the room that the file has."""
    with (directory / "ended").open("r+", encoding="utf-8") as stream:
        stream.write(json.dumps({"code": code, "why": why}).ljust(256))


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: None)  # it ends with its command, which must not inherit that one is ignored
    keep(Path(sys.argv[1]))
