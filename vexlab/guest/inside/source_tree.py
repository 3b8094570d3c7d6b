"""The source that was brought into the guest, and its copy that is built."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vexlab.guest.inside.attempts import outcome, shell
from vexlab.guest.inside.system import FLAGS, libc, mount, mounts, open_and_close


def look(
    source: str, copy: str, required: Sequence[str], forbidden: Sequence[str], exclude: Sequence[str]
) -> dict[str, Any]:
    """Compare a source, whose path may be the pattern of a source package, with its copy.

    What of the required is missing; what the root holds that matches the forbidden; what differs, apart from what is
    excluded; how many files the copy has, and the type of the filesystem that it is on.
    """
    if not os.path.isdir(source):
        [source] = map(str, Path("/").glob(source[1:]))
    excluded = [f"--exclude={pattern}" for pattern in exclude]
    compare = ["rsync", "-rlcn", "--delete", "--out-format=%o %n", *excluded, f"{source}/", f"{copy}/"]
    place = os.path.realpath(copy)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return {
        "missing": [path for path in required if not os.path.exists(f"{copy}/{path}")],
        "forbidden": [name for name in sorted(os.listdir(source)) if matches(name, forbidden)],
        "differing": [line for line in shell(shlex.join(compare)).splitlines() if not line.endswith("/")],
        "files": sum(len(files) for _, _, files in os.walk(copy)),
        "on": mounts(place)[-1][1],
    }


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of those that a shell would take the patterns for."""
    return any(libc.fnmatch(pattern.encode(), os.fsencode(name), 0) == 0 for pattern in patterns)


def try_to_write(share: str) -> dict[str, Any]:
    """Try to write to a share as it is, and when it was remounted for writing, with all else as it is.

    Type, and `ro` or `rw`, of each mount that was there; what came of both.
    """
    create = (f"{share}/vexlab-was-here", os.O_CREAT | os.O_WRONLY)
    mounted = mounts(share)
    assert mounted, "nothing is mounted there"
    before = outcome(open_and_close, *create)
    kept = ",".join(word for word in mounted[-1][2].split(",") if word in FLAGS and word != "ro")
    try:
        outcome(mount, "", share, "", f"remount,{kept}")
        during = outcome(open_and_close, *create)
    finally:
        mount("", share, "", f"remount,ro,{kept}")
    return {"mounts": [[kind, options.split(",")[0]] for _, kind, options in mounted], "tries": [before, during]}
