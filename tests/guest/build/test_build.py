"""The build brought forth a module for this kernel, from this source."""

from __future__ import annotations

import json
import shlex

import pytest
from guest import Guest, Lab


@pytest.fixture(scope="module")
def record(guest: Guest, lab: Lab) -> dict[str, object]:
    """What the build said about itself."""
    content: dict[str, object] = json.loads(guest.ok(f"cat {lab.work_directory}/build.json"))
    return content


@pytest.fixture(scope="module")
def modinfo(guest: Guest, lab: Lab) -> dict[str, str]:
    """The fields of modinfo, the first of each name."""
    fields: dict[str, str] = {}
    for line in guest.ok(f"modinfo {shlex.quote(lab.module_path)}").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields


def test_module_is_an_elf_relocatable(guest: Guest, lab: Lab) -> None:
    """A zero-length or truncated module would only show at insmod, with ENOEXEC."""
    header = guest.ok(f"readelf -h {shlex.quote(lab.module_path)}")
    assert "REL (Relocatable file)" in header
    assert "X86-64" in header


def test_vermagic_is_of_the_running_kernel(guest: Guest, modinfo: dict[str, str]) -> None:
    """A module for another kernel must not get as far as insmod."""
    assert modinfo["vermagic"].split()[0] == guest.ok("uname -r")


def test_name_is_what_the_target_says(lab: Lab, modinfo: dict[str, str]) -> None:
    """Module file and module name may differ; the later stages go by the name."""
    assert modinfo["name"] == lab.module_name


def test_module_states_licence_and_description(modinfo: dict[str, str]) -> None:
    """Without a licence the kernel is tainted as proprietary and GPL-only symbols are out of reach."""
    assert modinfo.get("license"), "the module states no licence"
    assert modinfo.get("description"), "the module states no description"


def test_module_provides_the_filesystem_alias(lab: Lab, modinfo: dict[str, str], guest: Guest) -> None:
    """mount(8) of an unloaded filesystem asks modprobe for fs-TYPE; the alias makes that work."""
    aliases = guest.ok(f"modinfo -F alias {shlex.quote(lab.module_path)}").split()
    assert f"fs-{lab.filesystem_type}" in aliases, f"aliases: {aliases}"


def test_module_is_the_recorded_one(guest: Guest, lab: Lab, record: dict[str, dict[str, str]]) -> None:
    """Nobody replaced the module after its build."""
    now = guest.ok(f"sha256sum {shlex.quote(lab.module_path)}").split()[0]
    assert now == record["module"]["sha256"]


def test_module_carries_its_identity(record: dict[str, dict[str, str]]) -> None:
    """The build-id is what binds later evidence to this very module; a srcversion comes only with MODULE_VERSION."""
    assert record["module"]["build_id"], "the module has no build-id note"


def test_module_is_newer_than_no_source_file(guest: Guest, lab: Lab) -> None:
    """A module older than an edited source file wasn't built from it."""
    newer = guest.ok(
        f"cd {shlex.quote(lab.build)}; find . -name '*.[ch]' -newer {shlex.quote(lab.module_file)} ! -name '*.mod.c'"
    )
    assert not newer, f"newer than the module: {newer.split()}"
