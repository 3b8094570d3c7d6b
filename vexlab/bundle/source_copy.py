"""The source that a run was built from, as far as this machine still has it, and where git says that it came from."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vexlab.bundle.archive_file import Piece, link_leads_outside
from vexlab.bundle.manifest import Source
from vexlab.config import source_tree
from vexlab.errors import HostProblem
from vexlab.guest.lab import Lab
from vexlab.source import revision

TOP = "source"  # directory of it in a bundle
DIFF = "source.diff"


@dataclass
class SourceCopy:
    """What of a source goes into a bundle: files, links by name, and what had to be left out, with the reason."""

    facts: Source
    pieces: list[Piece] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    lacks: list[str] = field(default_factory=list)


def of_build(lab: Lab, tree: str) -> SourceCopy | None:
    """The copy that the lab's last build was made from; None where there is none, as after a build in the guest."""
    copy = lab.directory / "build" / "source"
    if not copy.is_dir():
        return None
    found = _files(copy, "build")
    if tree and Path(tree).is_dir() and _same(copy, Path(tree)):
        _ask_git(found, Path(tree))
    return found


def of_tree(tree: str, exclude: Sequence[str], work: Path, was: str) -> SourceCopy:
    """The tree as it is now, without what a build leaves out; unless its hash is what it `was`, that is told.

    `work` is a directory that isn't there yet, for the copy. Raises HostProblem when rsync can't make it.
    """
    if not tree or not Path(tree).is_dir():
        why = f"the source directory {tree} is gone" if tree else "the source is in the guest's image"
        return SourceCopy(Source("none"), lacks=[f"source: {why}"])
    command = ["rsync", "--archive", *(f"--exclude={pattern}" for pattern in exclude), f"{tree}/", f"{work}/"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as problem:
        raise HostProblem("rsync can't be started", "vexlab doctor --install") from problem
    if done.returncode:
        raise HostProblem(f"the source can't be copied: {done.stderr.strip()[-300:]}", f"look at {tree}")
    found = _files(work, "tree")
    if source_tree.fingerprint(Path(tree)) != was:
        found.lacks.append("the copy that was built: the source is the tree as it was when the bundle was made")
    _ask_git(found, Path(tree))
    return found


def _files(copy: Path, origin: str) -> SourceCopy:
    found = SourceCopy(Source(origin))
    for path, status in source_tree.entries(copy):
        name = f"{TOP}/{path.relative_to(copy)}"
        if not name.isprintable():
            found.lacks.append(f"{source_tree.shown(Path(name))}: a name that not every machine can have")
        elif not stat.S_ISLNK(status.st_mode):
            found.pieces.append(Piece(name, path, bool(status.st_mode & 0o100)))
        elif link_leads_outside(name, target := str(path.readlink())):
            found.lacks.append(f"{name}: a link that leads out of the source")
        else:
            found.links[name] = target
    return found


def _same(copy: Path, tree: Path) -> bool:
    """Whether each file of the copy is in the tree as it is in the copy."""
    for path, status in source_tree.entries(copy):
        there = tree / path.relative_to(copy)
        if not there.is_symlink() and not there.is_file():
            return False
        if stat.S_ISREG(status.st_mode) and source_tree.content_hash(path) != source_tree.content_hash(there):
            return False
    return True


def _ask_git(found: SourceCopy, tree: Path) -> None:
    """Add the commit that the tree is at, and the difference from it; nothing without git."""
    known = revision.of(tree)
    if known is None:
        return
    difference = revision.patch(tree)
    found.facts = Source(found.facts.origin, known.commit, known.edited > 0)
    if difference:
        found.pieces.append(Piece(DIFF, difference))
