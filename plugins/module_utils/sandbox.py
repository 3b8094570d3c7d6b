"""Builds in the guest's own user space, on the machine that runs the guest; standard library only.

An emulated guest takes thirty times as long for the same build. So the build script runs here, under bubblewrap: /usr
and /etc are the guest's, unpacked and read-only; there is no network, and nothing of this machine is to be seen but the
source, read-only, and the build's own directory. Paths, compiler and headers are those of the guest, which is why the
module is the same, byte for byte.

Nothing inside is root: the kernel lets user 0 write /proc/sys without any capability. Started by root, the build runs
as nobody. What is left to a build: the time until its deadline, LIMITS, and the memory and disk of this machine, which
nothing here bounds as a whole.

Run as a program: sandbox.py JSON, with the text of build.py on standard input, and its answer on standard output. JSON
holds the inputs of build.py and those of OPTIONS.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# Beside those of build.py; documented in plugins/modules/sandbox.py.
OPTIONS: dict[str, dict[str, Any]] = {
    "root": {"type": "str", "required": True},
    "work": {"type": "str", "required": True},
    "tree": {"type": "str", "default": ""},
    "source_in_guest": {"type": "str", "default": ""},
    "exclude": {"type": "list", "elements": "str", "default": []},
}
# build.py is on standard input. Whoever reads the source may read all of it, whoever builds has no privilege left.
SCRIPT = """\
set -eu
$AS_READER mkdir -p "$SOURCE"
$AS_READER rsync --archive --no-owner --no-group --checksum --delete --delete-excluded "$@" $TREE/ "$SOURCE/" </dev/null
exec $AS_BUILDER python3 - build "$INPUTS"
"""
NOBODY = 65534
LIMITS = {"core": 0, "fsize": 4 << 30, "nproc": 8192}  # see prlimit(1)
ANSWER_BYTES = 1 << 20  # of what the build script says; the compiler's words are in the log
READER_CAPABILITY = "dac_read_search"  # a source in root's home may be for root's eyes only
CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", f"CAP_{READER_CAPABILITY.upper()}")
BUILD = (
    "source",
    "destination",
    "record",
    "directory",
    "before",
    "command",
    "variant",
    "module_file",
    "jobs",
    "clean",
    "deadline",
)


class SandboxError(Exception):
    """Why a build came to nothing, as a sentence. `of_host`: the machine that runs the guest is why, not the source."""

    def __init__(self, message: str, *, of_host: bool = False, log_written: bool = False) -> None:
        """Keep them; `log_written`: it had begun, and has a log."""
        super().__init__(message)
        self.of_host = of_host
        self.log_written = log_written


def is_mapped(number: int, kind: str) -> bool:
    """Whether the user namespace that we are in has this user (`kind` uid) or group (gid)."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return any(int(first) <= number < int(first) + int(count) for first, _, count in map(str.split, lines))


def drops_root() -> bool:
    """Whether the build has to run as somebody else than who started it, and can."""
    return os.geteuid() == 0 and is_mapped(NOBODY, "uid") and is_mapped(NOBODY, "gid")


def identities() -> dict[str, str]:
    """The commands in front of what reads the source, and of the build."""
    if not drops_root():
        return {"AS_READER": "", "AS_BUILDER": ""}
    nobody = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups"
    return {
        "AS_READER": f"{nobody} --inh-caps +{READER_CAPABILITY} --ambient-caps +{READER_CAPABILITY}",
        "AS_BUILDER": f"{nobody} --inh-caps=-all --ambient-caps=-all --bounding-set=-all",
    }


def namespaces() -> list[str]:
    """All of them. Root needs no user namespace, and in one it would still be root to the files of /proc/sys."""
    if not drops_root():
        return ["--unshare-all", "--cap-drop", "ALL"]
    names = ("ipc", "pid", "net", "uts", "cgroup-try")
    kept = [word for name in CAPABILITIES for word in ("--cap-add", name)]
    return [*(f"--unshare-{name}" for name in names), "--cap-drop", "ALL", *kept]


def limits() -> list[str]:
    """LIMITS as a command in front of another; none is above what this process may have."""
    words = ["prlimit"]
    for name, wanted in LIMITS.items():
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        words.append(f"--{name}={wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)}")
    return words


def arguments(inputs: dict[str, Any], release: str, seccomp: int) -> list[str]:
    """The bubblewrap command line; `seccomp` is a descriptor that holds a filter of system calls."""
    root, work = Path(inputs["root"]), str(Path(inputs["record"]).parent)
    build = {name: inputs[name] for name in BUILD} | {"kernel_release": release}
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C",
        "SOURCE": inputs["source"], "INPUTS": json.dumps(build),
        "TREE": "/tree" if inputs["tree"] else inputs["source_in_guest"], **identities(),
    }  # fmt: skip
    above = reversed(Path(work).parents[:-1])  # which bubblewrap would make for its own user's eyes only
    places = [word for path in above for word in ("--perms", "0755", "--dir", str(path))]
    links = [word for name in ("bin", "sbin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    return [
        "bwrap", *namespaces(), "--die-with-parent", "--new-session", "--seccomp", str(seccomp), "--clearenv",
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        "--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc", *links,
        "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--proc", "/proc", "--remount-ro", "/proc",
        "--perms", "1777", "--tmpfs", "/tmp",
        *(["--ro-bind", inputs["tree"], "/tree"] if inputs["tree"] else []), *places, "--bind", inputs["work"], work,
        "--remount-ro", "/", *limits(),
        "sh", "-c", SCRIPT, "sh", *(f"--exclude={pattern}" for pattern in inputs["exclude"]),
    ]  # fmt: skip


# Of linux/audit.h, linux/seccomp.h, linux/sched.h, and asm/unistd_64.h of x86: what makes namespaces and mounts, the
# keyrings, which no namespace separates, and the parts of the kernel in which most ways out were found.
ARCHITECTURE, X32 = 0xC000003E, 0x40000000
ALLOW, REFUSE, MISSING = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
CLONE, CLONE3, NEW_NAMESPACES = 56, 435, 0x7E020000
REFUSED_CALLS = {
    "pivot_root": 155, "mount": 165, "umount2": 166, "init_module": 175, "delete_module": 176, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
    "open_by_handle_at": 304, "setns": 308, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
    "userfaultfd": 323, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "mount_setattr": 442,
}  # fmt: skip


def seccomp_filter() -> bytes:
    """A program for seccomp(2) that refuses REFUSED_CALLS, and clone with a new namespace.

    The flags of clone3 are in memory, where no filter sees them: it counts as missing, and the C library takes clone.
    """
    load, equal, at_least, has_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse, missing, allow = (struct.pack("<HBBI", end, 0, 0, value) for value in (REFUSE, MISSING, ALLOW))
    program = [
        struct.pack("<HBBI", load, 0, 0, 4), struct.pack("<HBBI", equal, 1, 0, ARCHITECTURE), missing,
        struct.pack("<HBBI", load, 0, 0, 0), struct.pack("<HBBI", at_least, 0, 1, X32), missing,
    ]  # fmt: skip
    for number, answer in [*((number, refuse) for number in REFUSED_CALLS.values()), (CLONE3, missing)]:
        program += [struct.pack("<HBBI", equal, 0, 1, number), answer]
    program += [
        struct.pack("<HBBI", equal, 1, 0, CLONE), allow,
        struct.pack("<HBBI", load, 0, 0, 16), struct.pack("<HBBI", has_bit, 0, 1, NEW_NAMESPACES), refuse, allow,
    ]  # fmt: skip
    return b"".join(program)


def in_memory(name: str, content: bytes) -> int:
    """A descriptor of a file in memory, at its beginning."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def hand_over(work: Path) -> None:
    """Give the work directory to the user that the build runs as, with all that an earlier build left in it."""
    if not drops_root() or work.stat().st_uid == NOBODY:
        return
    for _, directories, files, descriptor in os.fwalk(work):
        for name in (*directories, *files):
            os.chown(name, NOBODY, NOBODY, dir_fd=descriptor, follow_symlinks=False)
    os.chown(work, NOBODY, NOBODY)


def leads_out(work: Path, path: Path) -> bool:
    """Whether what the build left at a path is a link out of the work directory, or nothing that can be read to an end.

    The role copies such files with the rights of whoever runs it; the build must not choose which.
    """
    real = Path(os.path.realpath(path))
    return not real.is_relative_to(os.path.realpath(work)) or (real.exists() and not real.is_file())


def last_words(stream: IO[bytes], count: int) -> str:
    """The last bytes of a file as text, without blanks around it; a build may say more than memory holds."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - count))
    return stream.read().decode(errors="replace").strip()


def release_of_headers(root: Path) -> str:
    """The kernel whose headers a user space has; empty when it has none, or those of more than one."""
    releases = [path.name for path in (root / "usr" / "lib" / "modules").glob("*") if (path / "build").is_symlink()]
    return releases[0] if len(releases) == 1 else ""


@contextlib.contextmanager
def held(work: Path) -> Iterator[None]:
    """Make the work directory, and have it alone: who waited finds what it wants made.

    What is made meanwhile can be read by everybody, since others than we build there.
    """
    umask = os.umask(0o022)
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
    finally:
        os.umask(umask)


def run(inputs: dict[str, Any], script: str) -> dict[str, Any]:
    """Run the text of build.py in the sandbox, whose directory is held; returns its answer. Raises SandboxError."""
    release = inputs["kernel_release"] or release_of_headers(Path(inputs["root"]))
    if not release:
        raise SandboxError(
            f"{inputs['root']} holds no user space with the headers of one kernel; build the image again", of_host=True
        )
    work = Path(inputs["work"])
    hand_over(work)
    answer, problem = run_confined(inputs, release, script)
    module = work / Path(inputs["destination"]).name / inputs["module_file"]
    for path in (module, work / f"{Path(inputs['record']).stem}.log"):
        if leads_out(work, path):
            raise SandboxError(
                f"the build left {path} as something else than a file of its own; have it make a regular file"
            )
    if not answer.startswith("{"):
        raise SandboxError(f"the sandbox did not run the build: {problem}", of_host=True)
    found: dict[str, Any] = json.loads(answer)
    if found.get("killed"):
        raise SandboxError(found["killed"], of_host=True, log_written=found["log_written"])
    return found


def run_confined(inputs: dict[str, Any], release: str, script: str) -> tuple[str, str]:
    """Run it under bubblewrap; the last line that it printed, and what it complained of, or its exit code."""
    seccomp, text = in_memory("seccomp", seccomp_filter()), in_memory("build.py", script.encode())
    try:
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
            code = subprocess.run(
                arguments(inputs, release, seccomp), pass_fds=(seccomp,), stdin=text, stdout=said, stderr=complaints,
                check=False,
            ).returncode  # fmt: skip
            return last_words(said, ANSWER_BYTES).rpartition("\n")[2], last_words(complaints, 800) or str(code)
    except FileNotFoundError:
        raise SandboxError(
            "bubblewrap is not installed on the machine that runs the guest; apt-get install bubblewrap", of_host=True
        ) from None
    finally:
        os.close(seccomp)
        os.close(text)


def main() -> int:
    """Build, as a program; the answer is one JSON line on stdout."""
    inputs = json.loads(sys.argv[1])
    try:
        with held(Path(inputs["work"])):
            answer = run(inputs, sys.stdin.read())
    except SandboxError as problem:
        answer = {"error": str(problem), "log_written": problem.log_written}
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
