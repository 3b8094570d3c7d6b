"""Runs in the sandbox in place of the build: tries to get out, and tells what came of each try.

Standard library only. Arguments: `build`, and the JSON that sandbox.py made, whose `before` names things of the host:
files that must not be there, a port, a process. The last line on stdout is {"tried": {name: errno or "done"}, ...}.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
NAMESPACES = ("mnt", "uts", "ipc", "user", "pid", "net", "cgroup")
NEW = {"ns": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
       "pid": 0x20000000, "net": 0x40000000}  # fmt: skip
# Devices that everybody may write, here as anywhere.
HARMLESS = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts/ptmx",
)


def attempt(act: Callable[[], object]) -> str:
    """The errno by name that an act fails with, or `done`."""
    try:
        act()
    except OSError as problem:
        return errno.errorcode.get(problem.errno or 0, str(problem))
    return "done"


def call(number: int, *arguments: object) -> int:
    """One system call by its number on x86_64; raises OSError."""
    given = [ctypes.c_char_p(word) if isinstance(word, bytes) else ctypes.c_long(word) for word in arguments]  # type: ignore[arg-type]
    result: int = libc.syscall(ctypes.c_long(number), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def open_to_write(path: str) -> None:
    """Open a file for writing, and write nothing."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))


def create_in(directory: str) -> None:
    """Make a file."""
    os.close(os.open(f"{directory}/made-by-a-build", os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def clone(flags: int) -> None:
    """Fork with clone(2); a child that comes to be ends at once."""
    child = call(56, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def connect(port: int) -> None:
    """Reach a service of the host."""
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


def attempts(host: dict[str, Any]) -> dict[str, str]:
    """All that is tried, by name."""
    tried: dict[str, Callable[[], object]] = {}
    for top in ("/proc/sys", "/sys", "/dev"):
        for place, _, names in os.walk(top):
            for path in (f"{place}/{name}" for name in names):
                if path not in HARMLESS and not Path(path).is_symlink():
                    tried[f"write {path}"] = lambda path=path: open_to_write(path)  # type: ignore[misc]
    for path in (
        "/proc/sysrq-trigger",
        "/proc/1/mem",
        "/proc/1/environ",
        "/proc/self/oom_score_adj",
        "/proc/kcore",
        "/dev/tty",
    ):
        tried[f"write {path}"] = lambda path=path: open_to_write(path)  # type: ignore[misc]
    for path in ("/", "/usr", "/usr/bin", "/etc", "/proc", "/tree", "/sys"):
        tried[f"create in {path}"] = lambda path=path: create_in(path)  # type: ignore[misc]
    for path in (*host["files"], "/home", "/root", "/var/tmp", "/run", "/boot"):
        tried[f"see {path}"] = lambda path=path: Path(path).stat()  # type: ignore[misc]
    for name, flag in NEW.items():
        tried[f"unshare {name}"] = lambda flag=flag: call(272, flag)  # type: ignore[misc]
        tried[f"clone {name}"] = lambda flag=flag: clone(flag)  # type: ignore[misc]
    for name in NAMESPACES:
        tried[f"setns {name}"] = lambda name=name: call(308, os.open(f"/proc/self/ns/{name}", os.O_RDONLY), 0)  # type: ignore[misc]
    tried |= {
        "clone3": lambda: call(435, 0, 0),
        "mount": lambda: call(165, b"proc", b"/tmp", b"proc", 0, 0),
        "remount /proc": lambda: call(165, b"", b"/proc", b"", 32, 0),
        "umount": lambda: call(166, b"/proc", 2),
        "become root": lambda: os.setuid(0),
        "become root of a group": lambda: os.setgid(0),
        "chroot": lambda: os.chroot("/tmp"),
        "device": lambda: os.mknod("/tmp/sda", 0o60600, os.makedev(8, 0)),
        "keyctl": lambda: call(250, 0, -3, 0),
        "add_key": lambda: call(248, b"user", b"vexlab", b"x", 1, -3),
        "request_key": lambda: call(249, b"user", b"vexlab", 0, 0),
        "bpf": lambda: call(321, 0, 0, 0),
        "load a module": lambda: call(175, b"", 0, b""),
        "host's port": lambda: connect(host["port"]),
        "host's abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(f"\0{host['socket']}"),
        "kill": lambda: os.kill(host["pid"], signal.SIGKILL),
        "trace": lambda: call(101, 16, host["pid"], 0, 0),
        "hostname": lambda: socket.sethostname("taken"),
        "5 GiB file": lambda: os.truncate(os.open("/tmp/large", os.O_RDWR | os.O_CREAT), 5 << 30),
    }
    return {name: attempt(act) for name, act in tried.items()}


def main() -> None:
    """Try everything."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    inputs = json.loads(sys.argv[2])
    tried = attempts(json.loads(inputs["before"][0]))
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    answer = {
        "tried": tried, "user": os.getresuid() + os.getresgid(), "groups": os.getgroups(),
        "status": {name: status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")},
        "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1], "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "session": os.getsid(0),
    }  # fmt: skip
    sys.stdout.write(json.dumps(answer) + "\n")


main()
