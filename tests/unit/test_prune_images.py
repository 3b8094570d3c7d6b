"""`vexlab image prune`: what it removes, and that `--dry-run` tells the same and removes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef"


def prune(tmp_path: Path, *words: str) -> str:
    """What the command says, in directories of its own."""
    home = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
    done = subprocess.run(
        [sys.executable, "-m", "vexlab", "image", "prune", *words], env=os.environ | home | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dry_run_tells_what_is_removed_and_removes_nothing(tmp_path: Path) -> None:
    image = tmp_path / "XDG_CACHE_HOME/vexlab/images" / KEY
    image.mkdir(parents=True)
    (image / "manifest.json").write_text("{}")
    assert prune(tmp_path, "--dry-run").startswith(f"would remove {KEY}, ")
    told = json.loads(prune(tmp_path, "--dry-run", "--json"))
    assert (list(told["removed"]), list(told["would_remove"])) == ([], [KEY])
    assert image.is_dir()
    assert prune(tmp_path).startswith(f"removed {KEY}, ")
    assert not image.exists()
    assert prune(tmp_path) == "there is nothing to remove\n"
