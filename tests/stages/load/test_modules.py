"""The modules that are loaded before the target's own one."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import loaded, modules
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target


def test_it_is_live_and_the_built_one(guest: Guest, target: Target, first_module: dict[str, str]) -> None:
    """Each module that the one under test calls is live, and of this build: an earlier one is another filesystem."""
    seen = look(guest, target, first_module)
    assert seen["initstate"] == "live", f"{first_module['name']} is {seen['initstate'] or 'not loaded'}"
    assert seen["is the built one"], f"the {first_module['name']} that is loaded is another build than the file's"


def test_its_parameters_are_the_given_ones(guest: Guest, target: Target, first_module: dict[str, str]) -> None:
    """Each parameter that the target gives such a module reads back, where the module lets it be read."""
    given = parameters(first_module)
    if not given:
        pytest.skip(f"{first_module['name']} is given no parameters")
    shown = {
        name: value for name, value in look(guest, target, first_module)["parameters"].items() if value is not None
    }
    for name, value in shown.items():
        assert value == given[name], f"parameter {name} is {value}, given was {given[name]}"


@pytest.mark.needs("module")
def test_all_unload_and_load_again(guest: Guest, target: Target, lab_taken_down: None) -> None:
    """They unload, the last one first: one to which a reference is left can't be replaced by its next build."""
    built = [one for one in target.modules if "file" in one]
    if not built:
        pytest.skip(f"target {target.target_name} has no built modules beside its own (vexlab_modules)")
    first = [[one["name"], f"{target.build}/{one['file']}", one.get("parameters", "")] for one in built]
    own = [target.module_name, target.module_path, target.module_parameters]
    wrong = guest.call(modules.all_unload_and_load, [*first, own])
    assert not wrong, wrong


def look(guest: Guest, target: Target, module: dict[str, str]) -> dict[str, Any]:
    """What the kernel shows of it."""
    file = f"{target.build}/{module['file']}" if "file" in module else ""
    return guest.call(loaded.of_first, module["name"], file, list(parameters(module)))


def parameters(module: dict[str, str]) -> dict[str, str]:
    """The parameters that the target gives it."""
    pairs = (pair.partition("=") for pair in module.get("parameters", "").split())
    return {name: value for name, _, value in pairs}
