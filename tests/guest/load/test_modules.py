"""The modules that are loaded before the target's own one."""

from __future__ import annotations

from typing import Any

import pytest
from guest import Guest, Lab
from inside import loaded, modules


def test_it_is_live_and_the_built_one(guest: Guest, lab: Lab, first_module: dict[str, str]) -> None:
    """What the module under test calls is judged with it; an earlier build of it would be another filesystem."""
    seen = look(guest, lab, first_module)
    assert seen["initstate"] == "live", f"{first_module['name']} is {seen['initstate'] or 'not loaded'}"
    assert seen["is the built one"], f"the {first_module['name']} that is loaded is another build than the file's"


def test_its_parameters_are_the_given_ones(guest: Guest, lab: Lab, first_module: dict[str, str]) -> None:
    """Where it lets them be read."""
    given = parameters(first_module)
    if not given:
        pytest.skip(f"{first_module['name']} is given no parameters")
    shown = {name: value for name, value in look(guest, lab, first_module)["parameters"].items() if value is not None}
    for name, value in shown.items():
        assert value == given[name], f"parameter {name} is {value}, given was {given[name]}"


@pytest.mark.needs("module")
def test_all_unload_and_load_again(guest: Guest, lab: Lab, lab_taken_down: None) -> None:
    """The last one first: one that the others leave a reference to can never be replaced by its next build."""
    built = [one for one in lab.modules if "file" in one]
    if not built:
        pytest.skip(f"target {lab.target_name} has no built modules beside its own (vexlab_modules)")
    first = [[one["name"], f"{lab.build}/{one['file']}", one.get("parameters", "")] for one in built]
    own = [lab.module_name, lab.module_path, lab.module_parameters]
    wrong = guest.call(modules.all_unload_and_load, [*first, own])
    assert not wrong, wrong


def look(guest: Guest, lab: Lab, module: dict[str, str]) -> dict[str, Any]:
    """What the kernel shows of it."""
    file = f"{lab.build}/{module['file']}" if "file" in module else ""
    return guest.call(loaded.of_first, module["name"], file, list(parameters(module)))


def parameters(module: dict[str, str]) -> dict[str, str]:
    """The parameters that the target gives it."""
    pairs = (pair.partition("=") for pair in module.get("parameters", "").split())
    return {name: value for name, _, value in pairs}
