"""What no field of a target file can tell alone: what goes together, and what doesn't."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vexlab.config import limits, stage_list
from vexlab.config.place import did_you_mean


def across_fields(target: dict[str, object], properties: Mapping[str, Any]) -> Iterator[str]:
    """Find what no field can tell alone."""
    yield from _across_shape(target, properties)
    capabilities = target.get("vexlab_capabilities")
    if isinstance(capabilities, list):
        if "label" in capabilities and "vexlab_superblock_label_offset" not in target:
            yield "vexlab_capabilities: label is claimed, so vexlab_superblock_label_offset must say where the label is"
        if "vexlab_content_directory" in target and "read-write" in capabilities:
            yield "vexlab_content_directory: is for a filesystem that is never written; read-write is claimed"
        if "persistent" in capabilities and "read-write" not in capabilities:
            yield "vexlab_capabilities: persistent is claimed without read-write"
        for name in ("sync-mounts", "crash-recovery"):
            if name in capabilities and "persistent" not in capabilities:
                yield f"vexlab_capabilities: {name} is claimed without persistent"
    if "vexlab_blkid_type" in target and target["vexlab_blkid_type"] == target.get("vexlab_filesystem_type"):
        yield "vexlab_blkid_type: is the filesystem's type, which is what blkid is taken to say; leave it out"
    yield from _across_devices(target)
    yield from _across_modules(target)
    yield from limits.problems(target)
    yield from _across_damages(target)
    yield from _across_variants(target)
    yield from _across_checks(target, capabilities)
    yield from across_known_failures(target)
    yield from _across_expected(target)


# Without these, and with what begins like these, a target has no source of its own or no device.
_OF_SOURCE = ("vexlab_build_command", "vexlab_module_file", "vexlab_module_name")
_ABOUT_SOURCE = (
    "vexlab_source", "vexlab_build_", "vexlab_module_file", "vexlab_required_paths", "vexlab_forbidden_in_root",
    "vexlab_exclude", "vexlab_variant",
)  # fmt: skip
_OF_DEVICE = ("vexlab_mkfs_command", "vexlab_superblock_magic", "vexlab_superblock_magic_offset")
_ABOUT_DEVICE = (
    "vexlab_mkfs_",
    "vexlab_superblock_",
    "vexlab_checksum_command",
    "vexlab_fsck_command",
    "vexlab_blkid_type",
    "vexlab_content_directory",
    "vexlab_damage",
    "vexlab_device_size_mb",
    "vexlab_second_device_size_mb",
)


def _across_shape(target: dict[str, object], properties: Mapping[str, Any]) -> Iterator[str]:
    """Find what doesn't go with where the module comes from, and with what is mounted."""
    capabilities = target.get("vexlab_capabilities")
    claims = [str(name) for name in capabilities] if isinstance(capabilities, list) else []
    kind = target.get("vexlab_device_kind", "block")
    if target.get("vexlab_module_source", "build") == "build":
        sources = [name for name in ("vexlab_source", "vexlab_source_in_guest") if name in target]
        if len(sources) != 1:
            given = "both are given" if sources else "neither is given"
            yield f"vexlab_source, vexlab_source_in_guest: exactly one says where the source is; {given}"
        yield from _missing(target, _OF_SOURCE, properties)
    else:
        why = "vexlab_module_source is kernel, so nothing is built"
        yield from _of_no_use(target, _ABOUT_SOURCE, why)
        for name in (name for name in claims if name.startswith("module-")):
            yield f"vexlab_capabilities: {name} is claimed, which stage build looks at; {why}"
    if kind == "block":
        yield from _missing(target, _OF_DEVICE, properties)
    else:
        why = f"vexlab_device_kind is {kind}, so nothing is formatted"
        yield from _of_no_use(target, _ABOUT_DEVICE, why)
        for name in (name for name in claims if name.startswith("mkfs-") or name == "label"):
            yield f"vexlab_capabilities: {name} is claimed, which is about mkfs; {why}"
    if kind == "none" and "persistent" in claims:
        yield "vexlab_capabilities: persistent is claimed; vexlab_device_kind is none, so nothing keeps it"
    if kind != "none" and "vexlab_mount_source" in target:
        yield f"vexlab_mount_source: vexlab_device_kind is {kind}, so the lab knows what is mounted; leave it out"


def _missing(target: dict[str, object], names: Iterable[str], properties: Mapping[str, Any]) -> Iterator[str]:
    """The fields of these that a target of this shape needs."""
    for name in (name for name in names if name not in target):
        yield f"{name}: is missing. {properties[name]['description']}"


def _of_no_use(target: dict[str, object], beginnings: tuple[str, ...], why: str) -> Iterator[str]:
    """The fields that begin like these, which a target of this shape has no use for."""
    for name in (name for name in target if name.startswith(beginnings)):
        yield f"{name}: {why}; leave it out"


_SECOND = "SECOND_DEVICE"
_KNOW_DEVICES = (
    "vexlab_mkfs_command", "vexlab_mkfs_force_command", "vexlab_fsck_command", "vexlab_checksum_command",
    "vexlab_damage_command", "vexlab_before_mount_command", "vexlab_mount_options_command",
    "vexlab_after_unmount_command",
)  # fmt: skip


def _across_devices(target: dict[str, object]) -> Iterator[str]:
    """A second device that no command uses, and one that a command uses and that isn't there."""
    users = [name for name in _KNOW_DEVICES if _SECOND in str(target.get(name, ""))]
    if users and "vexlab_second_device_size_mb" not in target:
        yield f"{users[0]}: names ${_SECOND}, so vexlab_second_device_size_mb must say how large that is"
    if not users and "vexlab_second_device_size_mb" in target:
        yield f"vexlab_second_device_size_mb: no command names ${_SECOND}; leave it out, or have one use it"


def _across_modules(target: dict[str, object]) -> Iterator[str]:
    """Find modules that come first and can't: two of a name, the module itself, a built one where nothing is built."""
    found = target.get("vexlab_modules")
    modules = [module for module in found if isinstance(module, dict)] if isinstance(found, list) else []
    names = [str(module.get("name")) for module in modules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"vexlab_modules: {name} is there twice"
    if target.get("vexlab_module_name") in names:
        yield f"vexlab_modules: {target['vexlab_module_name']} is the module itself, which is loaded after these"
    if target.get("vexlab_module_source") == "kernel":
        for module in (module for module in modules if "file" in module):
            why = "vexlab_module_source is kernel, so nothing is built"
            yield f"vexlab_modules: {module.get('name')} has a file; {why}"


def _across_damages(target: dict[str, object]) -> Iterator[str]:
    """Find what is wrong between the fields that say what damage is; their own shape is the schema's business."""
    damages = target.get("vexlab_damages")
    if isinstance(damages, dict):
        names = [name for list_ in damages.values() if isinstance(list_, list) for name in list_]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            yield f"vexlab_damages: in more than one list: {', '.join(twice)}"
        if names and "vexlab_damage_command" not in target:
            yield "vexlab_damages: names damages, so vexlab_damage_command must say how they are done"
    fields = target.get("vexlab_superblock_fields")
    for index, field in enumerate(fields if isinstance(fields, list) else []):
        if (
            not isinstance(field, dict)
            or type(field.get("size")) is not int
            or not isinstance(field.get("wrong"), list)
        ):
            continue
        for value in field["wrong"]:
            if isinstance(value, str) and len(value) != 2 * field["size"]:
                said = f"{value!r} has {len(value)} digits, a field of {field['size']} bytes has {2 * field['size']}"
                yield f"vexlab_superblock_fields[{index}].wrong: {said}"


def _across_variants(target: dict[str, object]) -> Iterator[str]:
    """A build that quietly gave another variant than the one asked for must be told from it."""
    variants, proofs = target.get("vexlab_variants", ["c-only"]), target.get("vexlab_variant_proofs", {})
    if not isinstance(variants, list) or not isinstance(proofs, dict):
        return
    unproven = [str(name) for name in variants if name not in proofs]
    if len(variants) > 1 and unproven:
        yield f"vexlab_variant_proofs: has nothing for {', '.join(unproven)}; of several variants each needs a proof"
    for name in proofs:
        if name not in variants:
            near = did_you_mean(str(name), [str(known) for known in variants])
            yield f"vexlab_variant_proofs: proves {name}, which is not in vexlab_variants{near}"


def _across_checks(target: dict[str, object], capabilities: object) -> Iterator[str]:
    """The target's own checks: told apart by name, and demanding no more than the target can do."""
    found = target.get("vexlab_checks")
    checks = [check for check in found if isinstance(check, dict)] if isinstance(found, list) else []
    names = [str(check.get("name")) for check in checks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"vexlab_checks: {name} is there twice"
    for check in checks:
        if "command_after_remount" not in check:
            continue
        if check.get("stage") != "mount":
            yield f"vexlab_checks: {check.get('name')} has command_after_remount, which only stage mount can run"
        elif not isinstance(capabilities, list) or "persistent" not in capabilities:
            yield f"vexlab_checks: {check.get('name')} has command_after_remount; persistent is not claimed"


def across_known_failures(target: dict[str, object]) -> Iterator[str]:
    """Each is of a stage that there is. Which checks a stage has is known when it runs, and told then."""
    found = target.get("vexlab_known_failures")
    stages = [stage.name for stage in stage_list.stages()]
    for entry in found if isinstance(found, list) else []:
        check = entry.get("check") if isinstance(entry, dict) else None
        if isinstance(check, str) and "/" in check and (name := check.partition("/")[0]) not in stages:
            yield f"vexlab_known_failures: {check}: there is no stage {name}{did_you_mean(name, stages)}"


def _across_expected(target: dict[str, object]) -> Iterator[str]:
    """What is expected of a matrix is of variants that there are, and of a module that is built."""
    found = target.get("vexlab_expected")
    variants = target.get("vexlab_variants", ["c-only"])
    known = [str(name) for name in variants] if isinstance(variants, list) else []
    for index, entry in enumerate(found if isinstance(found, list) else []):
        meant = entry.get("variants") if isinstance(entry, dict) else None
        for name in (str(name) for name in (meant if isinstance(meant, list) else []) if name not in known):
            yield f"vexlab_expected[{index}].variants: {name} is not in vexlab_variants{did_you_mean(name, known)}"
    if found and target.get("vexlab_module_source") == "kernel":
        yield "vexlab_expected: vexlab_module_source is kernel, so nothing is built and no matrix has it; leave it out"
