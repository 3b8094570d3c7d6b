"""The files of a source that were saved: not what an editor, git or a build writes on the way."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from watchfiles import Change, watch

from vexlab.errors import HostProblem, UsageProblem

DIRECTORIES = (".git", ".hg", ".svn", ".jj", "__pycache__", ".idea", ".vscode", ".cache", ".venv")
# Of vim, Emacs, Kate, GNOME's editors, JetBrains, LibreOffice, nano, patch, and what tools write beside a file.
TEMPORARY = (
    "*~", ".#*", "#*#", "*.sw[a-z]", ".*.sw[a-z]", "4913", "*.kate-swp", ".goutputstream-*", "*___jb_tmp___",
    "*___jb_old___", ".~lock.*#", "*.save", "*.orig", "*.rej", "*.tmp", ".nfs*", ".DS_Store",
)  # fmt: skip
LOOKS = 500  # milliseconds after which the watcher is asked again
SETTLES = 300  # milliseconds without another save, after which a round begins
TEXTS = ("*.md", "*.rst", "*.txt", "*.adoc", "*.1", "LICENSE*", "COPYING*", "README*", "AUTHORS*", "CHANGELOG*")


@dataclass(frozen=True)
class Saves:
    """What is watched: the tree of a source, the files beside it that count, and what a build leaves in the tree."""

    tree: Path
    beside: tuple[Path, ...] = ()
    products: tuple[str, ...] = ()

    def counts(self, path: Path) -> bool:
        """Whether a file is part of what is tested."""
        if path in self.beside:
            return True
        if not path.is_relative_to(self.tree):
            return False
        *directories, name = path.relative_to(self.tree).parts or ("",)
        if not name or any(_is_one_of(part, (*DIRECTORIES, *self.products)) for part in directories):
            return False
        return not _is_one_of(name, (*DIRECTORIES, *TEMPORARY, *self.products))

    def each(self, stop: Event | None = None) -> Iterator[list[Path]]:
        """Yield nothing as soon as it watches, then what was saved each time; what is saved meanwhile comes next.

        Ends when `stop` is set. Raises HostProblem where this machine can't watch so much, KeyboardInterrupt at Ctrl-C.
        """
        if not self.tree.is_dir():  # it would be waited for
            raise UsageProblem(f"{self.tree} is gone, and can't be watched", "name another one with --source")
        is_first = True
        try:
            for found in watch(
                self.tree, *self.beside, watch_filter=self._passes, debounce=SETTLES, stop_event=stop or Event(),
                ignore_permission_denied=True, rust_timeout=LOOKS, yield_on_timeout=True,
            ):  # fmt: skip
                if found or is_first:
                    yield sorted({Path(path) for _, path in found})
                is_first = False
        except (OSError, RuntimeError) as problem:  # the latter is what the watcher's own part in Rust raises
            hint = "sysctl fs.inotify.max_user_watches tells how many directories can be watched"
            raise HostProblem(f"{self.tree} can't be watched: {problem}", hint) from problem

    def _passes(self, _: Change, path: str) -> bool:
        return self.counts(Path(path))


def only_texts(paths: Sequence[Path]) -> bool:
    """Whether all of these are texts for people, which nothing is built from."""
    return all(_is_one_of(path.name, TEXTS) for path in paths)


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
