"""The directories that vexlab writes to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """Where images are kept."""
    return Path(platformdirs.user_cache_dir("vexlab", appauthor=False)) / "images"


def index_file() -> Path:
    """Where the index of the runs is kept; runs of another state directory have another one."""
    of = hashlib.sha256(os.fsencode(runs_directory())).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("vexlab", appauthor=False)) / "history" / f"{of}.sqlite"


def state_directory() -> Path:
    """Where labs and runs are kept."""
    return Path(platformdirs.user_state_dir("vexlab", appauthor=False))


def runs_directory() -> Path:
    """Where each run has its directory."""
    return state_directory() / "runs"


def matrices_directory() -> Path:
    """Where each matrix has its directory."""
    return state_directory() / "matrices"


def cells_directory() -> Path:
    """Where each cell of a matrix keeps what was built and found last."""
    return state_directory() / "cells"


def labs_directory() -> Path:
    """Where each lab has its directory."""
    return state_directory() / "labs"
