"""What test_agent.py has the agent call, as module `vexlab.guest.inside.agent_probe`."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

kept: list[object] = []


def number() -> int:
    """The number of the process."""
    return os.getpid()


def echo(*arguments: Any) -> list[Any]:
    """What was given."""
    return list(arguments)


def open_in(directory: str) -> int:
    """Go to a directory and open a file there; its descriptor."""
    os.chdir(directory)
    file = open("file")
    return file.fileno()


def look(descriptor: int) -> list[Any]:
    """The current directory, and whether a descriptor is open."""
    return [os.getcwd(), os.path.exists(f"/proc/self/fd/{descriptor}")]


def change_umask() -> None:
    """Change the umask."""
    os.umask(0o027 if os.umask(0o027) != 0o027 else 0o077)


def keep_a_file() -> None:
    """Keep a file open."""
    kept.append(open("/dev/null"))


def ignore_a_signal() -> None:
    """Ignore a signal from now on."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def start_a_thread() -> None:
    """Start a thread that goes on."""
    threading.Thread(target=time.sleep, args=[5], daemon=True).start()


def start_a_process() -> None:
    """Start a process that goes on."""
    kept.append(subprocess.Popen(["sleep", "5"]))


def fork() -> None:
    """Leave a child that nobody waits for."""
    if os.fork() == 0:
        os._exit(0)


def become_nobody() -> int:
    """Become another user; returns who."""
    os.setresuid(65534, 65534, 65534)
    return os.getuid()


def user() -> int:
    """Who it is."""
    return os.getuid()


def inner() -> None:
    """Raise what a system call would."""
    raise OSError(5, "told")


def fail() -> None:
    """Have something raised further inside."""
    print("before", flush=True)
    inner()


def say(words: str) -> None:
    """Print words and a traceback's place."""
    print(words)


def leave(how: str) -> None:
    """End the process, or try to."""
    print("before", flush=True)
    if how == "words":
        sys.exit("words")
    if how == "exit":
        os._exit(4)
    os.kill(os.getpid(), signal.SIGKILL)


def wait_with_a_child() -> None:
    """Start a child, print its number, and don't end."""
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    time.sleep(60)


def wait(mark: str = "") -> None:
    """Write the process's number to a file, and don't end."""
    if mark:
        with open(mark, "w") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(60)


def go_on(how: str, path: str) -> None:
    """Write slowly, or compute, and don't end."""
    with open(path, "wb", buffering=0) as file:
        while True:
            if how == "write":
                file.write(bytes(4096))
                time.sleep(0.05)


def big(size: int) -> str:
    """So many characters."""
    return "x" * size


def no_json() -> set[int]:
    """What JSON hasn't."""
    return {1}


def load(modules: list[str]) -> list[str]:
    """Import modules; returns where each came from."""
    return [str(importlib.import_module(name).__spec__.origin) for name in modules]  # type: ignore[union-attr]
