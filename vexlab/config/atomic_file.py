"""Files that are replaced in one step."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from vexlab.errors import write_problem


def replace_file(path: Path, text: str) -> None:
    """Put `text` into `path` in one step: written beside it, flushed to disk, renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise write_problem(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
