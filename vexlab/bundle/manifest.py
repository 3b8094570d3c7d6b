"""What a bundle says of itself: the failure, what it came from, and every member with its hash."""

from __future__ import annotations

import platform
from typing import Annotated

from msgspec import Struct

from vexlab.results.model import Verdict, about

SCHEMA = 1
"""Version of the document; another one isn't read."""


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the archive."""

    sha256: str
    size: Annotated[int, about("Bytes.")]
    data: Annotated[int, about("Bytes that are not in holes.")]
    executable: bool = False


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """What failed, and has to fail again."""

    stage: str
    check: Annotated[str, about("Its name in the stage; empty where no check tells what went wrong.")]
    verdict: Verdict
    words: Annotated[str, about("The first cause, as the run has it.")]

    @property
    def name(self) -> str:
        """Name of the check as `--check` takes it, or of the stage."""
        return f"{self.stage}/{self.check}" if self.check else self.stage


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """What it failed on."""

    architecture: Annotated[str, about("As uname -m has it.")]
    kernel: str
    accelerator: str


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the source in the bundle came from; `commit` is empty without git, `changed` is since then."""

    origin: Annotated[str, about("build: the copy that was built. tree: the tree as it was afterwards. none.")]
    commit: str = ""
    changed: bool = False


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """The first member of an archive."""

    schema: int
    vexlab: Annotated[str, about("Version.")]
    suite: Annotated[str, about("sha256 over what judged.")]
    run: str
    target: str
    module_sha256: str
    failure: Failure
    machine: Machine
    source: Source
    options: Annotated[dict[str, int | str | bool], about("Options of `vexlab test`, by their names in Options.")]
    commands: Annotated[tuple[str, ...], about("What repeats the failure by hand, in the unpacked directory.")]
    lacks: Annotated[tuple[str, ...], about("What should be here and isn't, each with the reason.")]
    replaced: Annotated[tuple[str, ...], about("Members in which directories of the machine were replaced.")]
    members: dict[str, Member]
    links: Annotated[dict[str, str], about("Symbolic links of the source, with where they lead.")] = {}


def architecture() -> str:
    """That of this machine, whose guests have the same."""
    return platform.machine()
