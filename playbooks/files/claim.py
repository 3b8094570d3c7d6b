"""Take or free a machine for tests, which one controller at a time may have.

Usage: claim.py take|free JSON, with {"directory", "claim": {"id", ...}, "instead_of"}. Standard library only.

The claim is a file in `directory`, which is under /run: a restart ends it together with what it was for. It is taken
when nobody has it, or the one whose id is `instead_of`, and freed by the one who has it. The last line on stdout is a
JSON object: {"holder": the claim that is there now, or null}.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any] | None:
    """The claim that is there; one that can't be read is somebody's too."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "id" in found else {"id": "unreadable"}


def main() -> None:
    """Do it under a lock, so that of two at once one is refused."""
    verb, inputs = sys.argv[1], json.loads(sys.argv[2])
    directory = Path(inputs["directory"])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "claim.json"
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    holder, claim = read(path), inputs["claim"]
    if verb == "take" and (holder is None or holder["id"] in (claim["id"], inputs["instead_of"])):
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(claim) + "\n", encoding="utf-8")
        temporary.replace(path)
        holder = claim
    elif verb == "free" and holder is not None and holder["id"] == claim["id"]:
        path.unlink()
        holder = None
    print(json.dumps({"holder": holder}))


if __name__ == "__main__":
    main()
