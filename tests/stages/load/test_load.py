"""The module that was built is loaded, and the kernel knows the filesystem."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from plugins.module_utils.taint import EXPECTED
from vexlab.guest.inside import loaded
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


@pytest.fixture(scope="module")
def parameters(target: Target) -> dict[str, str]:
    """The parameters that the target gives at insmod."""
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in target.module_parameters.split()}


@pytest.fixture(scope="module")
def seen(guest: Guest, target: Target, parameters: dict[str, str]) -> dict[str, Any]:
    """What the kernel shows."""
    record = "" if target.lacks("module") else f"{target.work_directory}/build.json"
    return guest.call(loaded.look, target.module_name, list(parameters), record)


@pytest.mark.needs("loadable")
def test_module_is_live(target: Target, seen: dict[str, Any]) -> None:
    """`Loading` or `Unloading` would mean that its init or exit function never came back."""
    state = seen["states"].get(target.module_name, "not loaded")
    assert state == "Live", f"{target.module_name}: {state}"


@pytest.mark.needs("loadable")
def test_initstate_is_live(seen: dict[str, Any]) -> None:
    """/sys/module says that the module is live, as /proc/modules does."""
    assert seen["initstate"] == "live", f"/sys/module/…/initstate reads {seen['initstate']}, expected live"


@pytest.mark.needs("module")
def test_module_can_be_unloaded(target: Target, seen: dict[str, Any]) -> None:
    """The kernel keeps a module without an exit function for good; what follows unloads it many times."""
    users = seen["users"].get(target.module_name, "")
    assert "[permanent]" not in users, (
        f"{target.module_name} has no exit function: it stays until the guest is restarted"
    )


def test_filesystem_type_is_registered_by_the_module(target: Target, seen: dict[str, Any]) -> None:
    """Without registration, mount would say `unknown filesystem type`; one built into the kernel isn't ours."""
    assert target.filesystem_type in seen["types"], f"/proc/filesystems has no {target.filesystem_type}"
    assert target.lacks("module") or not seen["is built in"], f"{target.module_name} is a part of the kernel itself"


@pytest.mark.needs("module")
def test_loaded_module_is_the_built_one(seen: dict[str, Any]) -> None:
    """A stale module of the same name would make every later result a lie: srcversion and build-id must agree."""
    loaded_one, built = seen["srcversion"] or "none", seen["record"]["srcversion"] or "none"
    assert loaded_one == built, f"srcversion of the loaded module is {loaded_one}, that of the built one {built}"
    assert seen["note"], "the loaded module has no build-id"
    assert seen["note"].endswith(seen["record"]["build_id"]), "the loaded module has another build-id"


@pytest.mark.needs("module")
def test_taint_of_the_module_is_as_expected(
    target: Target, seen: dict[str, Any], advise: Callable[[str], None]
) -> None:
    """O (out of tree) and E (unsigned) are what such a module has; F would be a forced load. P is about its licence."""
    taint = set(seen["taint"])
    more = sorted(taint - {*EXPECTED, *target.taints})
    assert not more, f"the module taints the kernel with {', '.join(more)}, which vexlab_taints doesn't say"
    assert "O" in taint, "the module isn't known as one from out of the tree"
    missing = sorted(set(target.taints) - taint)
    assert not missing, f"vexlab_taints says that the module taints the kernel with {', '.join(missing)}; it doesn't"
    if "P" in taint - set(target.taints):
        advise("the module's licence taints the kernel as proprietary (vexlab_taints: [P] says that this is so)")


def test_parameters_are_the_given_ones(seen: dict[str, Any], parameters: dict[str, str]) -> None:
    """Each parameter that the target gives at insmod reads back, where the module lets it be read."""
    shown = {name: value for name, value in seen["parameters"].items() if value is not None}
    for name, value in shown.items():
        assert value == parameters[name], f"parameter {name} was given as {parameters[name]} and reads {value}"


@pytest.mark.needs("module")
def test_load_again_is_refused(guest: Guest, target: Target) -> None:
    """A second insmod must say EEXIST and leave the first alone."""
    insmod = f"insmod {shlex.quote(target.module_path)} {target.module_parameters}"
    refused, state = guest.call(loaded.load_again, insmod, target.module_name)
    assert "exists" in refused.lower(), f"a second insmod was not refused for being the second: {refused}"
    assert state == "live", f"a second insmod was refused, and the module's initstate is {state}"
