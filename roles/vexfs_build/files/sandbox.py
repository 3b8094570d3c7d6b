#!/usr/bin/env python3
"""Build in the guest's own user space, on the machine that runs the guest; standard library only.

Usage: sandbox.py JSON, with the text of build.py on standard input.

An emulated guest takes thirty times as long for the same build. So the build script runs here, under bubblewrap: /usr
and /etc are the guest's, unpacked and read-only; there is no network, and nothing of this machine is to be seen but the
source, read-only, and the build's own directory. Paths, compiler and headers are those of the guest, which is why the
module is the same, byte for byte.

JSON holds what build.py takes, and of this machine: `root` (the unpacked user space), `work` (directory that is the
parent of `record` inside), `tree` (the source on this machine; empty when it is in the user space, at
`source_in_guest`), and `exclude` (rsync patterns). The answer is that of build.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = """\
set -eu
mkdir -p "$SOURCE"
rsync --archive --no-owner --no-group --checksum --delete --delete-excluded "$@" $TREE/ "$SOURCE/"
exec python3 /tmp/build.py build "$INPUTS"
"""
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


def fail(message: str) -> int:
    """Print the answer of a build that could not be tried."""
    print(json.dumps({"error": message, "log_written": False}))
    return 1


def arguments(inputs: dict[str, Any], release: str, script: int) -> list[str]:
    """The bubblewrap command line; `script` is a descriptor that holds build.py."""
    root, work = Path(inputs["root"]), str(Path(inputs["record"]).parent)
    build = {name: inputs[name] for name in BUILD} | {"kernel_release": release}
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C",
        "SOURCE": inputs["source"], "INPUTS": json.dumps(build),
        "TREE": "/tree" if inputs["tree"] else inputs["source_in_guest"],
    }  # fmt: skip
    links = [word for name in ("bin", "sbin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        "--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc", *links,
        "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--ro-bind-data", str(script), "/tmp/build.py",
        *(["--ro-bind", inputs["tree"], "/tree"] if inputs["tree"] else []), "--bind", inputs["work"], work,
        "sh", "-c", SCRIPT, "sh", *(f"--exclude={pattern}" for pattern in inputs["exclude"]),
    ]  # fmt: skip


def main() -> int:
    """Build; what the build script says is passed on."""
    inputs = json.loads(sys.argv[1])
    modules = Path(inputs["root"]) / "usr" / "lib" / "modules"
    releases = sorted(path.name for path in modules.glob("*") if (path / "build").is_symlink())
    if len(releases) != 1:
        return fail(f"{inputs['root']} holds no user space with the headers of one kernel; build the image again")
    Path(inputs["work"]).mkdir(parents=True, exist_ok=True)
    lock = os.open(inputs["work"], os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time: who waited finds what it wants made
    script = os.memfd_create("build.py")
    os.write(script, sys.stdin.buffer.read())
    os.lseek(script, 0, os.SEEK_SET)
    try:
        done = subprocess.run(
            arguments(inputs, releases[0], script), pass_fds=(script,), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return fail("bubblewrap is not installed on the machine that runs the guest; apt-get install bubblewrap")
    answer = done.stdout.strip().rpartition("\n")[2]
    if not answer.startswith("{"):
        return fail(f"the sandbox did not run the build: {done.stderr.strip()[-800:] or done.returncode}")
    print(answer)
    return done.returncode


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
