"""The mutants: broken variants of the filesystems under `examples/`, and what of the lab must catch each of them.

`catalogue.yml` has an entry for each, `catalogue/NAME.patch` is what is broken: a diff of its example.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import ROOT, Vexlab

HERE = Path(__file__).parent
ROLE = "role"  # as the name of a check: the role of the stage itself must fail, or the kernel while the role is applied
KERNEL_LOG = "kernel.log_has_no_bug"  # the check that every stage has
VERDICTS = ("failed", "panicked", "hung", "lost")


@dataclass(frozen=True)
class Mutant:
    """One of them.

    `sentence` says what is wrong, `stage` and `verdict` what must come of it, `check` which check must have that
    verdict: its name in results.json, or that without what is in brackets. `options` are further ones for `vexlab
    test`, such as a second CPU where two processes must be at work at the same moment. `in_test`: `make test` runs it.
    `example`: the directory under `examples/` that it is a variant of. `debug`: the kind of kernel that it takes
    (`--debug`); the stock kernel must let it through.
    """

    name: str
    sentence: str
    stage: str
    verdict: str
    check: str
    variant: str = "c-only"
    options: tuple[str, ...] = ()
    in_test: bool = False
    example: str = "vexfs"
    debug: str = ""

    @property
    def patch(self) -> Path:
        """What is broken."""
        return HERE / "catalogue" / f"{self.name}.patch"

    @property
    def target(self) -> Path:
        """The target file of what it is a variant of."""
        return ROOT / "examples" / "targets" / f"{self.example}.yml"

    @property
    def arguments(self) -> list[str]:
        """What `vexlab` is called with, beside the source and the lab.

        The check that must catch it is the only one that is run: that the others find nothing wrong with a filesystem
        that is right is what `vexlab test` of the examples shows. Where it is a role that must fail, all the stages
        that lead to it are judged; with the stock kernel, on which it must not fail, what the kernel says of it.
        """
        which = ["--target", str(self.target), "--variant", self.variant]
        which += ["--debug", self.debug or "none"]
        chosen = [] if self.check == ROLE else ["--check", f"{self.stage}/{self.check}"]
        return ["test", "--quick", "--fail-fast", "--stage", self.stage, *chosen, *which, *self.options]

    def means(self, name: str) -> bool:
        """Whether that is the check that must catch it."""
        return self.check in (name, name.partition("[")[0])

    def plant(self, copy: Path) -> None:
        """Make a copy of the filesystem with the bug in it, in place of what is in that directory."""
        refresh(copy, self.example)
        # A directory that a repository is around must not have git take the paths for those of that repository.
        command = ["git", "apply", "--whitespace=nowarn", str(self.patch)]
        environment = {"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(copy.parent), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(command, cwd=copy, env=environment, check=True)


def refresh(copy: Path, example: str = "vexfs") -> None:
    """Make a directory a copy of an example as it is. The directory itself stays: a guest may have it shared."""
    copy.mkdir(exist_ok=True)
    for entry in copy.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.copytree(ROOT / "examples" / example, copy, dirs_exist_ok=True)


def named(name: str) -> Mutant:
    """The mutant of that name."""
    return next(mutant for mutant in load() if mutant.name == name)


def load() -> list[Mutant]:
    """All of them, in the order of the file; raises ValueError for an entry that isn't complete."""
    known = {field.name for field in fields(Mutant)}
    mutants = []
    for entry in yaml.safe_load((HERE / "catalogue.yml").read_text(encoding="utf-8")):
        if unknown := set(entry) - known:
            raise ValueError(f"mutant {entry.get('name')}: {', '.join(sorted(unknown))} is no field")
        mutants.append(Mutant(**entry | {"options": tuple(map(str, entry.get("options", ())))}))
    return mutants


@dataclass(frozen=True)
class Judgement:
    """What became of a mutant, and more about it.

    `caught`, `caught elsewhere`, `survived`, `not judged`; `caught anyway`: by the stock kernel, which is to let it
    through.
    """

    outcome: str
    detail: str


def judge(mutant: Mutant, stages: Sequence[Mapping[str, Any]]) -> Judgement:
    """Compare what a run made of a mutant (the stages in its results.json) with what its entry says."""
    guilty = next((stage for stage in stages if stage["verdict"] not in ("passed", "skipped", "not_run")), None)
    if guilty is None:
        missing = [stage["name"] for stage in stages if stage["name"] == mutant.stage and stage["verdict"] == "not_run"]
        return Judgement("survived", f"{mutant.stage} was not run" if missing else "")
    seen = [check["name"] for check in guilty["checks"] if check["verdict"] == guilty["verdict"]]
    seen = seen if guilty["checks"] else [ROLE]
    right = sum(mutant.means(name) for name in seen)
    if right and (guilty["name"], guilty["verdict"]) == (mutant.stage, mutant.verdict):
        return Judgement("caught", f"and {len(seen) - right} more" if len(seen) > right else "")
    by = ", ".join(seen) or "no check"
    return Judgement("caught elsewhere", f"{guilty['name']} {guilty['verdict']} by {by}: {guilty['reason']}")


def become(vexlab: Vexlab, mutant: Mutant, source: Path) -> Judgement:
    """What becomes of a mutant: planted in `source`, and taken through the stages up to the guilty one."""
    mutant.plant(source)
    if mutant.debug:
        least = KERNEL_LOG if mutant.check == ROLE else mutant.check
        stock = _judged(vexlab, replace(mutant, debug="", check=least), source)
        if stock.outcome != "survived":
            outcome = stock.outcome if stock.outcome == "not judged" else "caught anyway"
            return Judgement(outcome, f"with the stock kernel: {stock.detail}")
    return _judged(vexlab, mutant, source)


def _judged(vexlab: Vexlab, mutant: Mutant, source: Path) -> Judgement:
    """What a run makes of a mutant that is planted."""
    done = vexlab(*mutant.arguments, "--source", str(source), "--name", "mutant", "--json")
    if done.code not in (0, 1):
        return Judgement("not judged", done.stderr.strip()[-300:])
    return judge(mutant, done.document["stages"])
