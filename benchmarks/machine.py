"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def load() -> str:
    """How busy the machine is: figures from a busy one say little."""
    return f"{os.getloadavg()[0]:.1f}"


def describe(accelerator: str) -> str:
    """CPUs, memory, kernel, QEMU, accelerator."""
    cpu = next(line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name"))
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:"))
    printed = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    facts = [
        f"{os.cpu_count()} CPUs ({cpu})", f"{memory / 1048576:.0f} GiB of memory", f"Linux {platform.release()}",
        printed.splitlines()[0].replace(" emulator version", ""),
        f"accelerator {accelerator}", f"Python {platform.python_version()}",
    ]  # fmt: skip
    return ", ".join(facts)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
