"""What of a run goes into a bundle: results, evidence, target, source, module, package versions, image, commands."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.home_path import expanded
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_word
from msgspec.structs import replace

from vexlab.bundle import script, source_copy
from vexlab.bundle.archive_file import Piece
from vexlab.bundle.manifest import SCHEMA, Failure, Machine, Manifest, Source, architecture
from vexlab.bundle.private import Guard, is_text
from vexlab.bundle.source_copy import SourceCopy
from vexlab.config import installation, literals, source_tree, target, user_directories
from vexlab.errors import UsageProblem, VexlabError
from vexlab.guest import lab as labs
from vexlab.guest.lab import Lab
from vexlab.results import archive, logs
from vexlab.results.causes import causes
from vexlab.results.model import WRONG, Run

OF_RUN = ("results.json", "contract.json", "report.md", "junit.xml", "console.log", "build.log", "ansible.log")
OF_STAGE = ("checks.jsonl", "kernel.log", "trace.txt", "planned", "left_out", "taint", "seed", "choice.json", "*.img")
NEEDED = ("run/results.json", "run/contract.json", "target.yml", "reproduce.sh")
TARGET = "target.yml"
PACKAGES = "packages.txt"
SCRIPT = "reproduce.sh"
_SET_UP = re.compile(r" Setting up ([a-z0-9][a-z0-9+.-]*)(?::\w+)? \(([^()\s]+)\) \.\.\.$")
WHOLE = 16 << 20  # bytes of a file that is looked at as one text
OVERLAP = 4096  # bytes, so that nothing is hidden where two blocks meet


def collect(run: Run, directory: Path, work: Path) -> tuple[Manifest, list[Piece]]:
    """The manifest of a run's bundle, and its members. `work` is an empty directory for copies that are needed.

    Raises UsageProblem when nothing failed in the run, or when what a replay can't do without holds a secret.
    """
    failure = failure_of(run)
    contract = _contract(directory)
    lab = labs.find(archive.lab_of(directory) or str(contract["vexlab_lab"]))
    source = _source(run, lab, contract, work)
    lacks = [*source.lacks]
    options = options_of(run, directory, contract)
    pieces = [*_of_run(directory), _target(contract), *source.pieces, *_module(run, lab, lacks), *_packages(run, lacks)]
    if any(path.name.startswith("vmcore") for path in directory.rglob("vmcore*")):
        lacks.append("vmcore: the memory of a guest may hold anything")
    text = script.render(run.target, failure, contract, options)
    pieces.append(Piece(SCRIPT, text.encode(), executable=True))
    guard = Guard(os.environ, _places(contract, directory))
    kept, replaced = _without_secrets(guard, pieces, lacks)
    manifest = Manifest(
        schema=SCHEMA,
        vexlab=run.suite_version,
        suite=run.suite,
        run=run.run,
        target=run.target,
        module_sha256=run.module.sha256 if run.module else "",
        failure=replace(failure, words=guard.without_places(failure.words.encode(errors="replace")).decode()),
        machine=Machine(architecture(), run.kernel, run.guest.accelerator if run.guest else ""),
        source=source.facts,
        options=options,
        commands=_commands(failure, options, source.facts),
        lacks=tuple(guard.without_places(line.encode()).decode() for line in lacks),
        replaced=tuple(replaced),
        members={piece.name: piece.member() for piece in kept},
        links=source.links,
    )
    return manifest, kept


def _without_secrets(guard: Guard, pieces: Sequence[Piece], lacks: list[str]) -> tuple[list[Piece], list[str]]:
    """The pieces that hold no secret, without this machine's directories, and the names of those that had some.

    What is left out is added to `lacks`; raises UsageProblem when a replay can't do without it.
    """
    kept, replaced = [], []
    for piece in pieces:
        safe, why = _safe(guard, piece)
        if why and piece.name in NEEDED:
            hint = "take it out of the target, and run again"
            raise UsageProblem(f"{piece.name} holds {why}, and a bundle without it is no bundle", hint)
        if why:
            lacks.append(f"{piece.name}: it holds {why}")
            continue
        kept.append(safe)
        if safe is not piece:
            replaced.append(piece.name)
    return kept, replaced


def failure_of(run: Run) -> Failure:
    """What went wrong first; raises UsageProblem when nothing did."""
    stage = logs.first_wrong(run)
    if stage is None:
        raise UsageProblem(f"nothing failed in run {run.run}", "vexlab runs lists the runs with what went wrong")
    check = next((cause.lead for cause in causes(stage.checks) if cause.lead.verdict in WRONG), None)
    if check is None:
        return Failure(stage.name, "", stage.verdict, stage.reason)
    return Failure(stage.name, check.name, check.verdict, check.message)


def options_of(run: Run, directory: Path, contract: Mapping[str, Any]) -> dict[str, int | str | bool]:
    """The options of `vexlab test` that make what was run, by their names in Options, the seed that was drawn too."""
    found: dict[str, int | str | bool] = {
        "variant": str(contract["vexlab_variant"]),
        "kernel": _kernel(run, contract),
        "memory_mb": int(contract["vexlab_memory_mb"]),
        "cpus": int(contract["vexlab_cpus"]),
    }
    if (debug := str(contract.get("vexlab_debug", "none"))) != "none":
        found["debug"] = debug
    if contract["vexlab_quick"]:
        found["quick"] = True
    if run.amounts is not None and run.amounts.load_cycles == run.amounts.mount_cycles:
        found["cycles"] = run.amounts.load_cycles  # as --cycles sets both
    drawn = [place / "stages" / "stress" / "seed" for place in logs.executions(directory)]
    try:
        seed = int(next(path for path in drawn if path.is_file()).read_text(encoding="utf-8"))
    except (OSError, ValueError, StopIteration):
        seed = int(contract["vexlab_seed"])
    return found | ({"seed": seed} if seed else {})


def _kernel(run: Run, contract: Mapping[str, Any]) -> str:
    """What was asked for as the kernel; of files that only this machine has, the release."""
    word = str(contract["vexlab_kernel"])
    return run.kernel if kernel_word.is_paths(word) else word


def package_versions(image: str) -> dict[str, str]:
    """The packages of an image with their versions, as the log of its making has them; empty when it is gone."""
    path = user_directories.cache_directory() / f"{image}.log"
    if not re.fullmatch(r"[0-9a-f]+", image) or not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return dict(sorted((found[1], found[2]) for line in lines if (found := _SET_UP.search(line))))


def versions_in(directory: Path) -> dict[str, str]:
    """The package versions of an unpacked bundle; empty when it has none."""
    try:
        lines = (directory / PACKAGES).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _contract(directory: Path) -> dict[str, Any]:
    """Every variable of the run, and the defaults for those that an earlier vexlab didn't know."""
    path = directory / "contract.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise VexlabError(f"{path} can't be read, and nothing else tells what was run", "run it again") from problem
    whole: dict[str, Any] = installation.contract_defaults() | document
    return whole


def _source(run: Run, lab: Lab, contract: Mapping[str, Any], work: Path) -> SourceCopy:
    """The copy that was built, if the lab has built nothing else since; else the tree as it is."""
    tree = str(contract["vexlab_source"])
    if contract["vexlab_module_source"] == "kernel" and not tree:
        return SourceCopy(Source("none"))
    last = next(iter(archive.directories(lab.name)[::-1]), None)
    built = lab.module().get("sha256", "") if run.module is not None else ""
    is_last = last is not None and last.name == run.run
    if is_last or (run.module is not None and built == run.module.sha256):
        copy = source_copy.of_build(lab, tree)
        if copy is not None:
            return copy
    was = run.source.tree if run.source is not None else ""
    return source_copy.of_tree(tree, contract["vexlab_exclude"], work / "source", was)


def _of_run(directory: Path) -> Iterator[Piece]:
    for place in logs.executions(directory):
        stages = sorted(path for path in (place / "stages").glob("*") if path.is_dir())
        found = [place / name for name in OF_RUN]
        found += [path for stage in stages for pattern in OF_STAGE for path in sorted(stage.glob(pattern))]
        for path in found:
            if path.is_file() and not path.is_symlink():
                yield Piece(f"run/{path.relative_to(directory)}", path)


def _target(contract: Mapping[str, Any]) -> Piece:
    """The target file, or one made from what the run had of it, if that file says something else by now."""
    known = target.schema()["properties"]
    path = expanded(str(contract["vexlab_target_file"]))
    path = path if path.is_absolute() else installation.root() / path
    chosen = {"vexlab_source", "vexlab_variant"}  # which options replace
    try:
        file = installation.contract_defaults() | target.load_target(path)
        if all(contract.get(name) == file.get(name) for name in known if name not in chosen):
            return Piece(TARGET, path.read_bytes())
    except VexlabError:
        pass
    return Piece(TARGET, f"# Made from the variables of the run.\n{literals.to_yaml(_fields(contract))}".encode())


def _fields(contract: Mapping[str, Any]) -> dict[str, Any]:
    """What a target file has to say so that the lab's contract comes to this one, but for where the source is."""
    rules, defaults = target.schema(), installation.contract_defaults()
    fields = {
        name: contract[name]
        for name in rules["properties"]
        if name in contract and (name in rules["required"] or contract[name] != defaults.get(name))
    }
    fields.pop("vexlab_variant", None)
    if contract["vexlab_source"]:
        fields["vexlab_source"] = source_copy.TOP
    # A default that a field beside it makes necessary.
    missing = [words.partition(":")[0] for words in target.problems_of(fields) if ": is missing" in words]
    return fields | {name: contract[name] for name in missing if name in contract}


def _module(run: Run, lab: Lab, lacks: list[str]) -> Iterator[Piece]:
    if run.module is None:
        return
    if lab.module_file.is_file() and source_tree.content_hash(lab.module_file) == run.module.sha256:
        yield Piece(f"module/{run.module.name}.ko", lab.module_file)
    else:
        lacks.append("module: the lab has built another one since")


def _packages(run: Run, lacks: list[str]) -> Iterator[Piece]:
    versions = package_versions(run.guest.image) if run.guest is not None else {}
    if versions:
        yield Piece(PACKAGES, "".join(f"{name} {version}\n" for name, version in versions.items()).encode())
    else:
        lacks.append(f"{PACKAGES}: the image is gone, or never was")


def _places(contract: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Directories of this machine that a run names, with the words for them."""
    return {
        str(contract["vexlab_source"]): source_copy.TOP,
        str(contract["vexlab_cache_directory"]): "~/.cache/vexlab/images",
        str(contract["vexlab_lab_directory"]): "~/.local/state/vexlab/labs/" + str(contract["vexlab_lab"]),
        str(directory): "run",
    }


def _safe(guard: Guard, piece: Piece) -> tuple[Piece, str]:
    """The piece without this machine's directories, and what is secret in it, if anything is."""
    with piece.open() as stream:
        content = stream.read(WHOLE)
        if why := guard.secret_in(content):
            return piece, why
        if len(content) < WHOLE:
            cleaned = guard.without_places(content) if is_text(content) else content
            return (piece, "") if cleaned == content else (Piece(piece.name, cleaned, piece.executable), "")
        if is_text(content):
            return piece, f"more than {WHOLE >> 20} MiB of text"
        while block := stream.read(WHOLE):
            content = content[-OVERLAP:] + block
            if why := guard.secret_in(content):
                return piece, why
            content = block
    return piece, ""


def _commands(failure: Failure, options: Mapping[str, int | str | bool], source: Source) -> tuple[str, ...]:
    named = {"memory_mb": "memory"}
    words = ["vexlab", "test", "--name", "again", "--target", TARGET]
    words += ["--source", source_copy.TOP] if source.origin != "none" else []
    for name, value in options.items():
        words += [f"--{named.get(name, name)}"] + ([] if value is True else [str(value)])
    words += ["--check" if failure.check else "--stage", failure.name]
    return (shlex.join(words), f"sh {SCRIPT} {source_copy.TOP}   # as root, in a VM with kernel headers")
