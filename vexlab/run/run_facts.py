"""What a run's document says beside verdicts: of the module, the guest, the contract, and where the evidence is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils import image_copy

from vexlab.config import atomic_file, debug_kinds, source_tree, stage_list
from vexlab.config.settings import Settings
from vexlab.errors import VexlabError
from vexlab.gate import evidence
from vexlab.guest import forensics
from vexlab.guest.lab import Lab
from vexlab.results import logs
from vexlab.results.model import Amounts, Contract, GuestRecord, Machine, ModuleRecord, SourceRecord
from vexlab.run.playbook_run import PlaybookRun
from vexlab.source import revision

# Written when a run is over, after its results.
REPORTS = {"report": "report.md", "page": "report.html", "junit": "junit.xml"}


def write_contract(directory: Path, variables: dict[str, Any], machine: Machine) -> Contract:
    """Write every variable of the contract into a run's directory; returns what of it the gate decides by."""
    path = directory / "contract.json"
    atomic_file.replace_file(path, json.dumps(variables, indent=1, sort_keys=True) + "\n")
    in_guest = machine is Machine.VM
    return Contract(
        claims=tuple(variables["vexlab_capabilities"]),
        module_parameters=variables["vexlab_module_parameters"],
        mount_options_ro=variables["vexlab_mount_options_ro"],
        mount_options_rw=variables["vexlab_mount_options_rw"],
        cpus=variables["vexlab_cpus"] if in_guest else 0,
        memory_mb=variables["vexlab_memory_mb"] if in_guest else 0,
        device_size_mb=variables["vexlab_device_size_mb"],
        known_failures=tuple(entry["check"] for entry in variables["vexlab_known_failures"]),
        sha256=evidence.digest(path),
        limits=variables["vexlab_limits"],
        debug=variables["vexlab_debug"],
        kernel_arguments=debug_kinds.kernel_arguments(variables) if in_guest else "",
    )


def source_directory(directory: Path) -> str:
    """Return the directory of the source that a run was of, as its contract has it; empty when nothing tells."""
    try:
        contract = json.loads((directory / "contract.json").read_text(encoding="utf-8"))
        return str(contract["vexlab_source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def kernel_of_build(parts: Sequence[PlaybookRun]) -> str:
    """Return the kernel that the module was built for, which stage load compares with the one that runs."""
    vermagic = parts[0].build.get("module", {}).get("vermagic", "") if parts else ""
    return vermagic.split()[0] if vermagic else ""


def amounts_of(settings: Settings) -> Amounts:
    """Return how much stage stress is asked to do."""
    return Amounts(**{name: settings.contract[f"vexlab_{name}"] for name in Amounts.__struct_fields__})


def module_of(parts: Sequence[PlaybookRun], lab: Lab, settings: Settings) -> ModuleRecord | None:
    """Return what a run built, or found built and judged; None after a build that failed."""
    build = parts[0].stages.get("build") if parts else None
    judged = build is None or build.role_ok is True or build.checks_ok is True
    made = parts[0].build.get("module") if parts else None
    known = made or (lab.module() if parts and parts[0].began and judged else {})
    if not known:
        return None
    variant = str(settings.contract["vexlab_variant"])
    return ModuleRecord(known["name"], known["sha256"], known["srcversion"], variant, known["build_id"])


def source_of(settings: Settings) -> SourceRecord | None:
    """Return the source as it is now; None when it is not on this machine, or can't be read: its stage says why."""
    if not settings.source:
        return None
    tree = Path(settings.source)
    try:
        found = SourceRecord(source_tree.fingerprint(tree))
    except VexlabError:
        return None
    known = revision.of(tree)
    return SourceRecord(found.tree, known.commit, known.branch, known.edited) if known else found


def guest_of(lab: Lab, settings: Settings) -> GuestRecord | None:
    """Return the guest of a lab as a run's document has it; None when there is none."""
    record = lab.record()
    if record.get("state") != "ready":
        return None
    image = Path(record["parameters"]["image"])
    try:
        manifest = json.loads((image / "manifest.json").read_text())
    except (OSError, ValueError):
        manifest = {}
    return GuestRecord(
        kernel=str(manifest.get("kernel_release", "")), accelerator=record["accelerator"], qemu=record["qemu"],
        warm=record["warm"], memory_mb=record["parameters"]["memory_mb"], cpus=record["parameters"]["cpus"],
        ssh_port=record["port"], image=image.name,
        share=settings.contract["vexlab_share_directory"] if record["source"] else "",
    )  # fmt: skip


def evidence_of(executions: Sequence[Path], directory: Path, *, finished: bool) -> dict[str, str]:
    """Return name and path of each piece of evidence; what is not of the first execution says of which it is."""
    found = dict(REPORTS) if finished else {}
    for place in executions:
        of = "" if place == directory else f", {place.name.replace('-', ' ')}"
        named = [place / name for name in logs.OF_AN_EXECUTION.values()]
        paths = {path.stem: path for path in named if path.is_file()}
        paths |= {f"kernel log of {path.parent.name}": path for path in _of_stages(place, "kernel.log")}
        kept = [path for name in (*forensics.KEPT, f"*{image_copy.SUFFIX}") for path in _of_stages(place, name)]
        paths |= {f"{path.name} of {path.parent.name}": path for path in kept}
        found |= {f"{name}{of}": str(path.relative_to(directory)) for name, path in paths.items()}
    return found


def _of_stages(directory: Path, name: str) -> list[Path]:
    """Return the files of a name that stages left in the directory of an execution, in the stages' order."""
    return sorted(directory.glob(f"stages/*/{name}"), key=lambda path: stage_list.position(path.parent.name))
