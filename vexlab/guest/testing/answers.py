"""What the agent in the guest answers, before anybody believes it: untested kernel code may make it say anything.

agent.py describes the protocol.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from typing import Any

# Each field of an answer and its type; list is one of text.
FIELDS: dict[str, type] = {
    "ready": int, "code": int, "stdout": str, "stderr": str, "outcome": str, "kernel": list, "warnings": list,
    "lost": int, "where": str, "stuck": str, "killed": int, "full": str,
}  # fmt: skip
ALWAYS = {"code", "stdout", "stderr", "kernel", "warnings", "lost"}
RAISED: dict[str, type] = {"type": str, "message": str, "where": list}


def checked(line: bytes) -> dict[str, Any]:
    """An answer, with its outcome read, which is empty of none; raises ValueError for what isn't one."""
    answer = read(line)
    if wrong := misfits(answer, FIELDS):
        raise ValueError(wrong)
    if missing := set() if "ready" in answer else ALWAYS - set(answer):
        raise ValueError(f"{', '.join(sorted(missing))} is missing")
    outcome = read(answer.get("outcome") or "{}")
    if not set(outcome) <= {"value", "raised"} or len(outcome) > 1:
        raise ValueError("its outcome is neither a value nor an exception")
    if "raised" in outcome:
        told = outcome["raised"]
        if not isinstance(told, dict) or set(told) != set(RAISED) or misfits(told, RAISED):
            raise ValueError("its outcome is no exception")
    return answer | {"outcome": outcome}


def read(text: bytes | str) -> dict[str, Any]:
    """A JSON object; raises ValueError for anything else."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def misfits(found: dict[str, Any], types: dict[str, type]) -> str:
    """The first field that isn't known or has another type, in words; empty when there is none."""
    for name, value in found.items():
        if name not in types:
            return f"it has an unknown field {name[:40]!r}"
        if type(value) is not types[name] or (
            isinstance(value, list) and not all(isinstance(one, str) for one in value)
        ):
            return f"its {name} has the wrong type"
    return ""


OS_ERROR = re.compile(r"\[Errno (\d+)\] (.*?)(?:: '(.*)')?", re.DOTALL)  # as Python says it


HIDDEN = ("on (vexlab/guest/inside/filesystem.py:", "<lambda>")  # where each call goes through, and what has no name
PATH = 100  # characters of a path

# Limits that a target may name by which an errno is explained, if they are smaller than this: checks whose amounts are
# fixed stay below these.
EXPLAINS = {
    "ENOSPC": {"files": 2000, "directory_entries": 2000, "file_bytes": 64 << 20},
    "EFBIG": {"file_bytes": 64 << 20},
    "EMLINK": {"hard_links": 1000, "directory_entries": 2000},  # a directory's entries may be links of it
    "ENAMETOOLONG": {"name_bytes": 255, "name_characters": 255, "symbolic_link_bytes": 1023},
}


def beyond_a_limit(raised: dict[str, Any], limits: Mapping[str, Any]) -> str:
    """The limits of a small filesystem that explain why something raised an error, in words; empty if none does."""
    found = OS_ERROR.fullmatch(raised["message"])
    known = EXPLAINS.get(errno.errorcode.get(int(found[1]), ""), {}) if found else {}
    return " or ".join(
        f"{name} {limits[name]}" for name, least in known.items() if name in limits and limits[name] < least
    )


def with_names(text: str) -> str:
    """A text in which each error number, as Python says it, has its name in its place."""
    return re.sub(r"\[Errno (\d+)\] ?", lambda found: f"{errno.errorcode.get(int(found[1]), 'error')}, ", text)


def words(raised: dict[str, Any], doing: str) -> str:
    """An exception in a sentence: what an assertion says speaks for itself, all else says what was done, and where.

    An error of a system call is told by its errno, as programs know it.
    """
    if raised["type"] == "AssertionError" and raised["message"]:
        return str(raised["message"])
    through = [place for place in raised["where"] if not place.startswith(HIDDEN)]
    where = f", in {', '.join(through)}" if through else ""
    told = f"{raised['type']}: {raised['message']}"
    if found := OS_ERROR.fullmatch(raised["message"]):
        name, path = errno.errorcode.get(int(found[1]), ""), (found[3] or "").replace("' -> '", " to ")
        path = f" for {path if len(path) <= PATH else path[:PATH] + '…'}" if path else ""
        told = f"{name} ({found[2]}){path}" if name else f"{found[2]}{path}"
    return f"{doing}: {told}{where}"
