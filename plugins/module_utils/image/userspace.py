"""Programs of a guest's user space, run on this machine under bubblewrap; they write nothing but a tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .store import ImageError


def run(
    root: Path, tree: Path, command: list[str], *, binds: dict[str, Path] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with /usr of `root`, with a tree to write at /tree, and what else is bound. Raises ImageError."""
    links = [word for name in ("bin", "sbin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    bound = [word for place, path in (binds or {}).items() for word in ("--bind", str(path), place)]
    line = [
        "bwrap", "--unshare-user", "--uid", "0", "--gid", "0", "--unshare-net", "--unshare-pid", "--unshare-ipc",
        "--die-with-parent", "--clearenv", "--setenv", "PATH", "/usr/sbin:/usr/bin", "--setenv", "LC_ALL", "C",
        "--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc", *links,
        "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", *bound, "--bind", str(tree), "/tree", "--chdir", "/tree",
        *command,
    ]  # fmt: skip
    try:
        return subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise ImageError(
            "bubblewrap is not installed, which prepares a kernel.", "Run: sudo apt-get install bubblewrap"
        ) from None
