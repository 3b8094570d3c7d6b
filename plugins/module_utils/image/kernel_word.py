"""What a person may write for a kernel: a Debian suite, a release, `.deb` files, a kernel's build tree; or nothing."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.home_path import expanded

from .store import ImageError

SUITE = re.compile(r"[a-z][a-z0-9-]*")
RELEASE = re.compile(r"\d+\.\d+[A-Za-z0-9.+~_-]*")
FORMS = "a Debian suite (bookworm), a release (6.12), .deb files with commas between, their directory, a build tree"


def is_paths(word: str) -> bool:
    """Whether it names files or directories, and no package of Debian."""
    return "/" in word or word.endswith(".deb") or word.startswith((".", "~"))


def absolute(word: str, base: Path) -> str:
    """The same, with paths that hold from any directory."""
    if not is_paths(word):
        return word
    return ",".join(str(base / expanded(part)) for part in word.split(",") if part)


def paths(word: str) -> list[Path]:
    """The files or directories that it names; raises ImageError for one that isn't there."""
    found = [expanded(part) for part in word.split(",") if part]
    for path in found:
        if not path.exists():
            raise ImageError(f"There is no kernel at {path}.", "Name a file or directory that exists.", of_request=True)
    return found


def is_release(word: str) -> bool:
    """Whether it begins like the release of a kernel."""
    return RELEASE.fullmatch(word) is not None


def problem(word: str) -> str:
    """What is wrong with it by its form alone; empty when nothing is."""
    if not word or is_paths(word) or is_release(word) or SUITE.fullmatch(word):
        return ""
    return f"{word!r} names no kernel"


def refuse_suite(name: str) -> None:
    """Raise ImageError for what can't be a suite: it would be a part of a path, and a word of a command."""
    if not SUITE.fullmatch(name):
        raise ImageError(
            f"{name!r} is no name of a suite of Debian.", "`vexlab kernel list` names suites and kernels.",
            of_request=True,
        )  # fmt: skip
