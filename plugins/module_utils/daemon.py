"""A program that runs as long as a module is loaded, as a transient unit of systemd; standard library only.

RECORD tells whoever unloads and loads the module again, as tests do, what to stop and to start with it, and whether it
should be running now.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

UNIT = "vexlab-daemon.service"
RECORD = Path("/run/vexlab-daemon.json")
STARTED_SECONDS = 2.0  # a program that runs this long has started
STOP_SECONDS = 15  # from SIGTERM to SIGKILL


class DaemonError(Exception):
    """What the program did that it should not have, as a sentence."""


def systemctl(*words: str) -> str:
    """What systemctl prints; that it doesn't know the unit is an answer."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def is_running() -> bool:
    """Whether the program runs."""
    return systemctl("is-active", UNIT) == "active"


def how_it_ended() -> str:
    """How the program ended, with the last that it said."""
    words = systemctl("show", "--property=ExecMainCode,ExecMainStatus", UNIT).splitlines()
    told = dict(word.split("=", 1) for word in words if "=" in word)
    # ExecMainCode is that of waitid(2): 2 and 3 are signals; systemd forgets at once what ended with 0
    how = "signal" if told.get("ExecMainCode") in ("2", "3") else "exit code"
    lines = ["journalctl", "--unit", UNIT, "--output=cat", "--no-pager", "--lines=5", "_TRANSPORT=stdout"]
    said = subprocess.run(lines, capture_output=True, text=True, check=False).stdout
    return f"{how} {told.get('ExecMainStatus', '?')}: {' '.join(said.split())[-400:] or 'it said nothing'}"


def start(command: str, directory: str, module: str) -> bool:
    """Start the program and see that it keeps running; whether it had to be started. Raises DaemonError."""
    if is_running():
        return False
    systemctl("reset-failed", UNIT)
    record({"command": command, "directory": directory, "module": module, "runs": False})
    run = ["systemd-run", "--quiet", f"--unit={UNIT}", "--service-type=exec", f"--working-directory={directory}"]
    limits = [f"--property=TimeoutStopSec={STOP_SECONDS}", "--property=Restart=no"]
    shell = ["sh", "-euc", command]
    done = subprocess.run([*run, *limits, "--", *shell], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DaemonError(f"the daemon `{command}` can't be started: {done.stderr.strip()}")
    deadline = time.monotonic() + STARTED_SECONDS
    while time.monotonic() < deadline:
        if not is_running():
            raise DaemonError(f"the daemon `{command}` ended right after its start, with {how_it_ended()}")
        time.sleep(0.2)
    record(known() | {"runs": True})
    return True


def stop() -> bool:
    """Have the program end; whether it ran. Raises DaemonError for one that ended only when it was killed."""
    record(known() | {"runs": False})
    if not is_running():
        return False
    systemctl("stop", UNIT)
    ended_late = systemctl("show", "--property=Result", "--value", UNIT) == "timeout"
    systemctl("reset-failed", UNIT)
    if ended_late:
        raise DaemonError(f"the daemon did not end within {STOP_SECONDS} s of SIGTERM, and was killed")
    return True


def forget() -> None:
    """Write down that nothing is started with a module any more."""
    RECORD.unlink(missing_ok=True)


def record(told: dict[str, Any]) -> None:
    """Write down what is started with a module, and whether it should be running now."""
    RECORD.write_text(json.dumps(told))


def known() -> dict[str, Any]:
    """What was written down last; empty when there is nothing."""
    try:
        told: dict[str, Any] = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return {}
    return told


def problem() -> str:
    """What is wrong with the program, if it should be running now; empty when it is."""
    runs = not known().get("runs") or is_running()
    return "" if runs else f"the daemon ended by itself, with {how_it_ended()}"
