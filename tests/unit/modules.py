"""Runs a module of the collection as Ansible does on a machine: a process of its own, arguments as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

PLACE = "ansible_collections.vexfs.vexlab.plugins.modules"


def command(name: str) -> list[str]:
    """The command that runs a module; it reads what `arguments` makes from standard input."""
    return [sys.executable, "-B", "-m", f"{PLACE}.{name}"]


def arguments(values: Mapping[str, Any], *, check: bool = False) -> str:
    """What a module gets on standard input."""
    return json.dumps({"ANSIBLE_MODULE_ARGS": {**values, "_ansible_check_mode": check}})


def run(
    name: str, values: Mapping[str, Any], *, check: bool = False, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a module answers; `failed` is there whether it did or not."""
    done = subprocess.run(
        command(name), input=arguments(values, check=check), capture_output=True, text=True, check=False,
        env=os.environ | (env or {}),
    )  # fmt: skip
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if answer.get("failed") else 0), done.stderr
    return {"failed": False} | answer
