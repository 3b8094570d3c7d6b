"""The build brought forth a module for this kernel, from this source."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Callable
from typing import Any

import pytest

from vexlab.guest.inside import build
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import listed

Claim = Callable[[str, bool, str], None]

# elf.h: magic with class and byte order, type, machine; place, size and number of the section headers
ELF_HEADER = struct.Struct("< 6s 10x H H 20x Q 10x H H 2x")


@pytest.fixture(scope="module")
def seen(guest: Guest, target: Target) -> dict[str, Any]:
    """What the module and its record say."""
    return guest.call(build.look, f"{target.work_directory}/build.json", target.build, target.module_file)


@pytest.fixture(scope="module")
def modinfo(guest: Guest, target: Target) -> dict[str, list[str]]:
    """The fields of modinfo, each with all that it says of it."""
    fields: dict[str, list[str]] = {}
    for line in guest.ok(f"modinfo {shlex.quote(target.module_path)}").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), []).append(value.strip())
    return fields


def test_module_is_an_elf_relocatable(seen: dict[str, Any]) -> None:
    """A zero-length or truncated module would only show at insmod, with ENOEXEC."""
    header = bytes.fromhex(seen["header"])
    assert len(header) == ELF_HEADER.size, f"the module has {seen['size']} bytes"
    magic, kind, machine, sections, section_size, section_count = ELF_HEADER.unpack(header)
    # 64 bits, little endian; relocatable; x86-64
    assert magic == b"\x7fELF\x02\x01", f"the module begins with {magic.hex(' ')}, which is no ELF file of 64 bits"
    assert (kind, machine) == (1, 62), (
        f"the module is of ELF type {kind} for machine {machine}, expected 1 for 62 (x86-64)"
    )
    end = sections + section_size * section_count  # the section headers are what a module ends with
    assert 0 < end <= seen["size"], f"the module is cut off: {seen['size']} bytes of {end}"


def test_vermagic_is_of_the_running_kernel(seen: dict[str, Any], modinfo: dict[str, list[str]]) -> None:
    """A module for another kernel must not get as far as insmod."""
    release = next(iter(modinfo.get("vermagic", [""])[0].split()), "none")
    assert release == seen["release"], f"the module is built for kernel {release}, running is {seen['release']}"


def test_name_is_what_the_target_says(target: Target, modinfo: dict[str, list[str]]) -> None:
    """Module file and module name may differ; the later stages go by the name."""
    name = modinfo["name"][0]
    assert name == target.module_name, f"the module is named {name}, the target says {target.module_name}"


def test_module_states_its_licence(modinfo: dict[str, list[str]]) -> None:
    """Without a licence the kernel is tainted as proprietary and GPL-only symbols are out of reach."""
    assert modinfo.get("license", [""])[0], "the module states no licence"


def test_module_states_a_description(modinfo: dict[str, list[str]], claim: Claim) -> None:
    """A description is what modinfo shows to somebody who wonders what this module is."""
    described = bool(modinfo.get("description", [""])[0])
    claim("module-description", described, "the module states no description (MODULE_DESCRIPTION)")


def test_module_provides_the_filesystem_alias(target: Target, modinfo: dict[str, list[str]], claim: Claim) -> None:
    """mount(8) of an unloaded filesystem asks modprobe for fs-TYPE; the alias makes that work."""
    alias = f"fs-{target.filesystem_type}"
    problem = f'the module has no alias {alias} (MODULE_ALIAS_FS("{target.filesystem_type}")): mount does not load it'
    claim("module-alias", alias in modinfo.get("alias", []), problem)


def test_module_is_the_recorded_one(seen: dict[str, Any]) -> None:
    """Nobody replaced the module after its build."""
    found, built = seen["sha256"], seen["record"]["sha256"]
    assert found == built, f"the module's sha256 is {found}, and was {built} when it was built"


def test_module_carries_its_identity(seen: dict[str, Any]) -> None:
    """The build-id is what binds later evidence to this very module; a srcversion comes only with MODULE_VERSION."""
    assert seen["record"]["build_id"], "the module has no build-id note"


def test_module_is_newer_than_no_source_file(seen: dict[str, Any]) -> None:
    """A module older than an edited source file wasn't built from it."""
    assert seen["sources"], "Kbuild noted no source file for the module"
    assert not seen["newer"], f"newer than the module: {listed(seen['newer'])}"
