"""Start a guest with each accelerator that this machine has: an image, and saved states, are in the cache then.

Prints `accelerators=` and a JSON list, which is how a step of a GitHub workflow tells it to other jobs. KVM is listed
when a guest was seen to run on it; emulation works everywhere.
"""

from __future__ import annotations

import json
import subprocess
import sys

NAME = "accelerators"


def vexlab(*arguments: str) -> dict[str, object]:
    """Run a command of vexlab that must succeed; its JSON document."""
    command = [sys.executable, "-m", "vexlab", *arguments, "--json"]
    document: dict[str, object] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return document


def main() -> int:
    """Try `auto`, which is KVM or emulation, and emulation."""
    found = []
    for wanted in ("auto", "tcg"):
        try:
            guest = vexlab("up", "--name", NAME, "--accelerator", wanted)["guest"]
        finally:
            subprocess.run([sys.executable, "-m", "vexlab", "destroy", "--name", NAME], check=True, stdout=sys.stderr)
        assert isinstance(guest, dict)
        found.append(str(guest["accelerator"]))
    print(f"accelerators={json.dumps(sorted(set(found)))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
