"""Loop devices that a test left, because what it tested failed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


def detach_below(directory: Path) -> None:
    """Detach the loop devices of the files below a directory."""
    command = ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for one in json.loads(told or "{}").get("loopdevices", []):
        if one["back-file"].startswith(f"{directory}/"):
            subprocess.run(["losetup", "--detach", one["name"]], check=True)
