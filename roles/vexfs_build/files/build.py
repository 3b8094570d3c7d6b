#!/usr/bin/env python3
"""Build a kernel module from a copy of its source; standard library only.

Usage: build.py build|plan JSON

JSON holds the inputs of role vexfs_build without their prefix. The last line on stdout is a JSON object with
`rebuilt`, `changed` (the module's bytes differ from the last build's), `module` and `stamp`, or, with exit code 1,
`error`. `plan` tells what `build` would do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ERRORS_QUOTED = 5


class BuildError(Exception):
    """Why there is no module, as a sentence with the first errors."""


def digest(path: Path) -> str:
    """sha256 of a file, or an empty string when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def stamp(inputs: dict[str, Any], release: str) -> str:
    """One hash over everything the build depends on: each file's path, mode and bytes, the commands, the kernel."""
    source = Path(inputs["source"])
    total = hashlib.sha256()
    settings = [inputs[name] for name in ("directory", "before", "command", "variant", "module_file")]
    total.update(json.dumps([settings, release]).encode())
    for path in sorted(source.rglob("*")):
        if path.is_symlink():
            total.update(f"{path.relative_to(source)} -> {path.readlink()}\n".encode())
        elif path.is_file():
            mode = path.stat().st_mode & 0o111
            total.update(f"{path.relative_to(source)} {mode} {digest(path)}\n".encode())
    return total.hexdigest()


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


def copy_source(inputs: dict[str, Any]) -> None:
    """Bring the build directory up to the source; files that the last copy had and the source no longer has go."""
    source, destination = Path(inputs["source"]), Path(inputs["destination"])
    listing = destination / ".vexlab-source"
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_symlink() or path.is_file())
    destination.mkdir(parents=True, exist_ok=True)
    for old in set(listing.read_text().splitlines() if listing.is_file() else []) - set(names):
        (destination / old).unlink(missing_ok=True)
    for name in names:
        here, there = source / name, destination / name
        if there.is_symlink() or here.is_symlink() or not there.is_file() or digest(here) != digest(there):
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            # Without the old times: what changed must be newer than what was made from its former content.
            shutil.copy(here, there, follow_symlinks=False)
    listing.write_text("".join(f"{name}\n" for name in names))


def run_commands(inputs: dict[str, Any], release: str, log: Path) -> None:
    """Run the commands one after the other under one deadline; raises BuildError with the first errors."""
    kernel_build = Path(f"/lib/modules/{release}/build")
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
            process = subprocess.Popen(
                ["sh", "-euc", command], cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except BaseException as problem:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(problem, subprocess.TimeoutExpired):
                    raise BuildError(f"the build did not end within {inputs['deadline']} s, in: {command}") from None
                raise
            if code:
                said = "\n".join(first_errors(log.read_text(errors="replace")))
                raise BuildError(f"`{command}` failed with exit code {code}:\n{said}")


def interrupted(*_: object) -> None:
    """Turn a signal into an exception, so that the commands end with us."""
    raise KeyboardInterrupt


def build(verb: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Build if need be; returns the answer."""
    release = inputs["kernel_release"] or os.uname().release
    record, log = Path(inputs["record"]), Path(inputs["record"]).with_suffix(".log")
    module = Path(inputs["destination"]) / inputs["module_file"]
    if not Path(inputs["source"]).is_dir():
        if verb == "plan":
            return {"changed": True, "rebuilt": True, "module": {}, "stamp": ""}
        raise BuildError(f"there is no source at {inputs['source']}; role vexfs_structure brings it there")
    wanted = stamp(inputs, release)
    try:
        known = json.loads(record.read_text())
    except (OSError, ValueError):
        known = {}
    is_current = known.get("stamp") == wanted and known["module"]["sha256"] == digest(module)
    if is_current and not inputs["clean"]:
        return {
            "changed": False, "rebuilt": False, "module": known["module"], "stamp": wanted,
            "log_written": verb == "build" and log.is_file(),
        }  # fmt: skip
    if verb == "plan":
        return {"changed": True, "rebuilt": True, "module": {}, "stamp": wanted}
    before = digest(module)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    if inputs["clean"]:
        shutil.rmtree(inputs["destination"], ignore_errors=True)
    copy_source(inputs)
    started = time.monotonic()
    run_commands(inputs, release, log)
    if not module.is_file():
        raise BuildError(f"the build succeeded, but brought forth no {inputs['module_file']}")
    facts = module_facts(module)
    answer = {
        "changed": facts["sha256"] != before, "rebuilt": True, "module": facts, "stamp": wanted,
        "seconds": round(time.monotonic() - started, 1), "log_written": True,
    }  # fmt: skip
    record.write_text(json.dumps(answer) + "\n")
    return answer


def main() -> int:
    """Run one verb; the answer is one JSON line on stdout."""
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    inputs = json.loads(sys.argv[2])
    log = Path(inputs["record"]).with_suffix(".log")
    try:
        answer = build(sys.argv[1], inputs)
    except (BuildError, OSError) as problem:
        print(json.dumps({"error": str(problem), "log_written": log.is_file()}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
