"""Which cells a matrix has, of targets, kernels and variants, and how each is called."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vexlab.config import settings
from vexlab.config.settings import Options, Settings
from vexlab.errors import UsageProblem
from vexlab.results.matrix import CellRecord, Tier

LONGEST = 32  # letters of a lab's name


@dataclass(frozen=True)
class Cell:
    """One target, kernel and variant: the first two as a person typed them, and the options and settings of its lab.

    `words` are the options of `vexlab matrix` that all cells were given.
    """

    given: str
    given_kernel: str
    options: Options
    settings: Settings
    words: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, as its lab is: readable as far as there is room, and its own."""
        return self.settings.lab

    @property
    def contract(self) -> dict[str, Any]:
        """The contract of its lab."""
        return self.settings.contract

    @property
    def kernel(self) -> str:
        """The kernel as a person wrote it."""
        return str(self.contract["vexlab_kernel"])

    @property
    def variant(self) -> str:
        """The variant."""
        return str(self.contract["vexlab_variant"])

    def command(self, tier: Tier) -> str:
        """What runs this cell alone."""
        words = ["vexlab", "matrix", f"--{tier}", *(["--target", self.given] if self.given else [])]
        words += ["--source", self.options.source] if self.options.source else []
        return shlex.join([*words, *self.words, "--kernel", self.kernel, "--variant", self.variant])

    def record(self, tier: Tier) -> CellRecord:
        """The record of it when nothing was found yet."""
        source = self.settings.source
        return CellRecord(
            self.name, self.settings.target_name, self.given, source, self.kernel, self.variant, self.command(tier)
        )


def plan(
    targets: Sequence[str], kernels: Sequence[str], variants: Sequence[str], base: Options, words: Sequence[str] = ()
) -> list[Cell]:
    """Multiply; `base` are the options that all have in common, and no target is the one that it names.

    `words` are those of them that a person gave, as they are typed.

    Raises UsageProblem for what can't be, such as a variant that none of the targets has.
    """
    cells: list[Cell] = []
    known: list[str] = []
    for given in targets or ("",):
        options = dataclasses.replace(base, target=given or base.target).absolute()
        contract = settings.of_target(options.target)
        if contract["vexlab_module_source"] != "build":
            raise UsageProblem(
                f"target {contract['vexlab_target_name']} is the kernel's own module, and nothing is built",
                "a matrix is of modules that are built: name another --target",
            )
        known += contract["vexlab_variants"]
        chosen = [name for name in contract["vexlab_variants"] if not variants or name in variants]
        made = [_cell(given, options, contract, kernel, variant) for kernel in kernels for variant in chosen]
        cells += [dataclasses.replace(cell, words=tuple(words)) for cell in made]
    if unknown := [name for name in variants if name not in known]:
        raise UsageProblem(f"unknown variant {unknown[0]!r}", f"known: {', '.join(dict.fromkeys(known))}")
    return list({cell.name: cell for cell in cells}.values())


def _cell(given: str, base: Options, contract: dict[str, Any], kernel: str, variant: str) -> Cell:
    options = dataclasses.replace(base, kernel=kernel, variant=variant).absolute()
    name = _name(str(contract["vexlab_target_name"]), options)
    return Cell(given, kernel, options, settings.make(name, options))


def _name(target: str, options: Options) -> str:
    """The name of a cell, and of its lab; two that differ in anything that a person gave have two."""
    of = "\0".join(map(str, (options.target, options.source, options.kernel, options.variant)))
    mark = hashlib.sha256(of.encode()).hexdigest()[:6]
    readable = re.sub(
        r"[^a-z0-9]+", "-", f"{target}-{str(options.kernel).rpartition('/')[2]}-{options.variant}".lower()
    )
    return f"{readable[: LONGEST - 7].strip('-')}-{mark}"


def include(cells: Sequence[Cell], tier: Tier) -> dict[str, list[dict[str, str]]]:
    """The cells for an engine of another's that runs each: the `include` of a matrix of GitHub Actions."""
    return {
        "include": [
            {
                "name": " ".join((cell.settings.target_name, cell.kernel, cell.variant)), "cell": cell.name,
                "target": cell.given, "kernel": cell.kernel, "variant": cell.variant, "command": cell.command(tier),
            }
            for cell in cells
        ]
    }  # fmt: skip
