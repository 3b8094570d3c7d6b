"""Builds a kernel module from a copy of its source; standard library only.

Run as a program in the sandbox: build.py build|plan JSON, with the inputs of OPTIONS. The last line on stdout is then a
JSON object, what `build` returns or, with exit code 1, {"error", "log_written"}.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Both modules take these; their documentation is in plugins/doc_fragments/build.py.
OPTIONS: dict[str, dict[str, Any]] = {
    "source": {"type": "str", "required": True},
    "destination": {"type": "str", "required": True},
    "record": {"type": "str", "required": True},
    "directory": {"type": "str", "default": "."},
    "before": {"type": "list", "elements": "str", "default": []},
    "command": {"type": "str", "default": "make"},
    "variant": {"type": "str", "choices": ["c-only", "full"], "default": "c-only"},
    "module_file": {"type": "str", "required": True},
    "kernel_release": {"type": "str", "default": ""},
    "jobs": {"type": "int", "default": 0},
    "clean": {"type": "bool", "default": False},
    "deadline": {"type": "int", "default": 840},
}
KERNELS = Path("/lib/modules")
ERRORS_QUOTED = 5
BLOCK = 1 << 20  # bytes
LISTING = ".vexlab-source.json"  # in the build directory: what was copied there, not made


Starting = Callable[[], contextlib.AbstractContextManager[None]]


# What the drivers gcc and clang, cargo, and make say of a program that SIGKILL ended. It is theirs from the beginning
# of the line: a source that says the same, in an #error, comes with its place before it.
KILLED = re.compile(
    r"^[\w.+/-]+: (?:fatal )?error: (?:Killed signal terminated program|unable to execute command: Killed).*"
    r"|^  .*\(signal: 9, SIGKILL: kill\)$|^make(?:\[\d+\])?: \*\*\* \[.*\] (?:Killed|Error 137)$",
    re.MULTILINE,
)


class BuildError(Exception):
    """Why there is no module, as a sentence with the first errors.

    `killed` is one that says which program of the build was killed, if one was. No source does that: the OOM killer of
    the machine does, or somebody.
    """

    def __init__(self, message: str, killed: str = "") -> None:
        """Keep both."""
        super().__init__(message)
        self.killed = killed


def killed_in(log: str) -> str:
    """Say that a program was killed, if a build log has a line that tells of it; else an empty string."""
    line = KILLED.search(log)
    return f"a program of the build was killed, for want of memory or by somebody: {line[0].strip()}" if line else ""


def digest(path: Path) -> str:
    """sha256 of a file, or an empty string when there is none; a FIFO or device in its place is never waited for."""
    total = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return ""
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        while block := stream.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def identity(path: Path) -> str:
    """What a file or link holds, as one word: sha256 of its content, or where it leads."""
    return f"-> {path.readlink()}" if path.is_symlink() else digest(path)


def tree(directory: Path) -> dict[str, os.stat_result]:
    """What a directory holds but for directories: names relative to it, in a fixed order, each with its status."""
    found = {}
    for place, names, files in os.walk(directory, onerror=raise_it):
        for path in (Path(place, name) for name in [*names, *files]):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                found[str(path.relative_to(directory))] = status
    return dict(sorted(found.items()))


def raise_it(problem: OSError) -> None:
    """Make of a directory that can't be read a failure, which os.walk would pass over."""
    raise problem


def source_names(source: Path) -> dict[str, os.stat_result]:
    """The files and links of a source; raises BuildError that names what is neither."""
    found = tree(source)
    for name, status in found.items():
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            raise BuildError(f"{name!r} in the source is neither a file nor a link nor a directory; remove it")
    return found


def stamp(inputs: dict[str, Any], release: str) -> str:
    """One hash over everything the build depends on: each file's path, mode and bytes, the commands, the kernel."""
    source = Path(inputs["source"])
    settings = [inputs[name] for name in ("directory", "before", "command", "variant", "module_file")]
    files = [
        [name, 0 if stat.S_ISLNK(status.st_mode) else status.st_mode & 0o111, identity(source / name)]
        for name, status in source_names(source).items()
    ]
    return hashlib.sha256(json.dumps([settings, release, files]).encode()).hexdigest()


def products(directory: Path) -> dict[str, str]:
    """Names and identities of all that is in a build directory after a build: what was copied, and what was made."""
    return {name: identity(directory / name) for name in tree(directory)}


def untouched(record: dict[str, Any], directory: Path) -> bool:
    """Whether each product that a build left is still what it was; what came in addition doesn't matter."""
    return all(identity(directory / name) == was for name, was in record["products"].items())


def module_facts(path: Path) -> dict[str, str]:
    """Identity of a module file: sha256, and what modinfo and the ELF notes say."""
    facts = {"file": str(path), "sha256": digest(path)}
    for field in ("name", "srcversion", "vermagic", "depends", "version"):
        done = subprocess.run(["modinfo", "-F", field, str(path)], capture_output=True, text=True, check=False)
        facts[field] = done.stdout.strip()
    notes = subprocess.run(["readelf", "--notes", str(path)], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Build ID: ([0-9a-f]+)", notes)
    facts["build_id"] = found[1] if found else ""
    return facts


def first_errors(log: str) -> list[str]:
    """The lines of a build log that say what went wrong first, compilers' errors before make's."""
    patterns = (
        r":\d+(:\d+)?: (fatal )?error: |^error(\[E\d+\])?: |^--> .+:\d+:\d+$",
        r"(?i)\berror\b(?!s)|undefined|No rule to make|not found|No such file",
    )
    lines = [line.strip() for line in log.splitlines()]
    for pattern in patterns:
        found = [line for line in lines if re.search(pattern, line)]
        if found:
            return found[:ERRORS_QUOTED]
    return [line for line in lines if line][-ERRORS_QUOTED:]


@contextlib.contextmanager
def within(directory: Path, name: str, *, make: bool = False) -> Iterator[Path]:
    """Yield a path for a name below a directory, which leads there whatever links are in the way.

    Raises BuildError for a name that isn't below it, and OSError when the name's own directory isn't there; with
    `make` that is made, in the place of a file or link if need be.
    """
    *parents, last = name.split("/")
    if {"", ".", ".."} & {*parents, last}:
        raise BuildError(f"{name!r} is not a name below {directory}")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    here = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parents:
            if make:
                make_directory(part, here)
            below = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = below
        yield Path(f"/proc/self/fd/{here}", last)
    finally:
        os.close(here)


def make_directory(name: str, place: int) -> None:
    """Make a directory in the one that is open as `place`, unless there is one; a file or link of that name goes."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=place)
    os.mkdir(name, dir_fd=place)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def copied_before(listing: Path) -> set[str]:
    """Names that were copied to the build directory up to now; raises BuildError when nobody can tell."""
    try:
        names = json.loads(listing.read_text())
    except FileNotFoundError:
        return set()
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BuildError(f"{listing} is damaged; build with vexfs_build_clean (`vexlab up --clean`)")
    return set(names)


def copy_source(inputs: dict[str, Any]) -> None:
    """Bring the build directory up to the source; files that the last copy had and the source no longer has go."""
    source, destination = Path(inputs["source"]), Path(inputs["destination"])
    names = source_names(source)
    if LISTING in names:
        raise BuildError(f"the source has a file {LISTING}, which is the name of this role's own list; rename it")
    destination.mkdir(parents=True, exist_ok=True)
    listing = destination / LISTING
    before = copied_before(listing)
    listing.write_text(json.dumps(sorted(before | set(names))))  # a copy that is cut short leaves nothing unlisted
    for old in before - set(names):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), within(destination, old) as gone:
            remove(gone)
    for name in names:
        here = source / name
        with within(destination, name, make=True) as there:
            if here.is_symlink() or there.is_symlink() or not there.is_file() or digest(here) != digest(there):
                remove(there)
                # Without the old times: what changed must be newer than what was made from its former content.
                shutil.copy(here, there, follow_symlinks=False)
    listing.write_text(json.dumps(list(names)))


def run_commands(inputs: dict[str, Any], release: str, log: Path, starting: Starting) -> None:
    """Run the commands one after the other under one deadline; raises BuildError with the first errors."""
    kernel_build = KERNELS / release / "build"
    if not kernel_build.is_dir():
        raise BuildError(f"there are no headers for kernel {release}; apt-get install linux-headers-{release}")
    directory = Path(inputs["destination"]) / inputs["directory"]
    if not directory.is_dir():
        raise BuildError(f"the source has no directory {inputs['directory']} to build in")
    jobs = str(inputs["jobs"] or os.cpu_count() or 1)
    environment = os.environ | {
        "KDIR": str(kernel_build), "KERNEL_RELEASE": release, "JOBS": jobs, "VARIANT": inputs["variant"],
        "LC_ALL": "C", "KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "vexlab",
        "KBUILD_BUILD_HOST": "vexlab",
    }  # fmt: skip
    deadline = time.monotonic() + inputs["deadline"]
    with log.open("w") as output:
        for command in [*inputs["before"], inputs["command"]]:
            output.write(f"$ {command}\n")
            output.flush()
            process = None
            try:
                with starting():
                    process = subprocess.Popen(
                        ["sh", "-euc", command], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                        stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
                code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except BaseException as problem:
                if process is not None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                if isinstance(problem, subprocess.TimeoutExpired):
                    raise BuildError(f"the build did not end within {inputs['deadline']} s, in: {command}") from None
                raise
            if code:
                text = log.read_text(errors="replace")
                said = "\n".join(first_errors(text))
                raise BuildError(f"`{command}` failed with exit code {code}:\n{said}", killed_in(text))


def build(
    inputs: dict[str, Any], *, plan: bool, starting: Starting = contextlib.nullcontext
) -> dict[str, Any]:  # fmt: skip
    """Build if need be; `plan` only tells what would be done. Raises BuildError, and OSError for what can't be read.

    `starting` is around the start of each command, for who has signals raise something: it has them wait.
    Returns `rebuilt`, `changed` (the module's bytes are not those of the last build), `module` (see `module_facts`),
    `stamp` (what it was built from) and `log_written`.
    """
    release = inputs["kernel_release"] or os.uname().release
    record, log = Path(inputs["record"]), log_of(inputs)
    module = Path(inputs["destination"]) / inputs["module_file"]
    if not Path(inputs["source"]).is_dir():
        if plan:
            return {"changed": True, "rebuilt": True, "module": {}, "stamp": "", "log_written": False}
        raise BuildError(f"there is no source at {inputs['source']}; role vexfs_structure brings it there")
    wanted = stamp(inputs, release)
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}
    trusted = "products" in known and untouched(known, Path(inputs["destination"]))
    if trusted and known["stamp"] == wanted and not inputs["clean"]:
        return {
            "changed": False, "rebuilt": False, "module": known["module"], "stamp": wanted,
            "log_written": not plan and log.is_file(),
        }  # fmt: skip
    if plan:
        return {"changed": True, "rebuilt": True, "module": {}, "stamp": wanted, "log_written": False}
    before = digest(module)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    # make takes what another hand has put there for newer than its sources, and wouldn't make it again.
    if inputs["clean"] or (known and not trusted):
        remove(Path(inputs["destination"]))
    copy_source(inputs)
    started = time.monotonic()
    run_commands(inputs, release, log, starting)
    if not module.is_file():
        raise BuildError(f"the build succeeded, but brought forth no {inputs['module_file']}")
    facts = module_facts(module)
    answer = {
        "changed": facts["sha256"] != before, "rebuilt": True, "module": facts, "stamp": wanted,
        "seconds": round(time.monotonic() - started, 1), "log_written": True,
    }  # fmt: skip
    record.write_text(json.dumps(answer | {"products": products(Path(inputs["destination"]))}) + "\n")
    return answer


def log_of(inputs: dict[str, Any]) -> Path:
    """The log of the last build."""
    return Path(inputs["record"]).with_suffix(".log")


def main() -> int:
    """Build or plan, as a program; the answer is one JSON line on stdout."""
    inputs = json.loads(sys.argv[2])
    try:
        answer = build(inputs, plan=sys.argv[1] == "plan")
    except (BuildError, OSError) as problem:
        killed = problem.killed if isinstance(problem, BuildError) else ""
        print(json.dumps({"error": str(problem), "killed": killed, "log_written": log_of(inputs).is_file()}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
