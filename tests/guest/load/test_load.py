"""The module that was built is loaded, and the kernel knows the filesystem."""

from __future__ import annotations

import json
import shlex

from guest import Guest, Lab


def test_module_is_live(guest: Guest, lab: Lab) -> None:
    """`Loading` or `Unloading` would mean that its init or exit function never came back."""
    lines = [line.split() for line in guest.ok("cat /proc/modules").splitlines()]
    states = {fields[0]: fields[4] for fields in lines}
    assert states.get(lab.module_name) == "Live", f"{lab.module_name}: {states.get(lab.module_name, 'not loaded')}"


def test_initstate_is_live(guest: Guest, lab: Lab) -> None:
    """/sys/module has it too."""
    assert guest.ok(f"cat /sys/module/{lab.module_name}/initstate") == "live"


def test_filesystem_type_is_registered_by_the_module(guest: Guest, lab: Lab) -> None:
    """Without registration, mount would say `unknown filesystem type`; one built into the kernel isn't ours."""
    types = [line.split()[-1] for line in guest.ok("cat /proc/filesystems").splitlines()]
    assert lab.filesystem_type in types
    builtin = guest.ok("cat /lib/modules/$(uname -r)/modules.builtin")
    assert f"/{lab.module_name}.ko" not in builtin


def test_loaded_module_is_the_built_one(guest: Guest, lab: Lab) -> None:
    """A stale module of the same name would make every later result a lie: srcversion and build-id must agree."""
    record = json.loads(guest.ok(f"cat {lab.work_directory}/build.json"))["module"]
    path = f"/sys/module/{lab.module_name}/srcversion"
    assert guest.ok(f"if [ -e {path} ]; then cat {path}; fi") == record["srcversion"]
    note = guest.ok(f"od -An -v -tx1 /sys/module/{lab.module_name}/notes/.note.gnu.build-id").replace(" ", "")
    assert note.replace("\n", "").endswith(record["build_id"]), "the loaded module has another build-id"


def test_taint_of_the_module_is_out_of_tree_only(guest: Guest, lab: Lab) -> None:
    """O (out of tree) and E (unsigned) are what such a module has; F would be a forced load, P a proprietary one."""
    taint = guest.ok(f"cat /sys/module/{lab.module_name}/taint")
    assert set(taint) <= {"O", "E"}, f"taint of the module: {taint}"
    assert "O" in taint


def test_parameters_are_the_given_ones(guest: Guest, lab: Lab) -> None:
    """Each parameter that the target gives at insmod reads back, where the module lets it be read."""
    for pair in lab.module_parameters.split():
        name, _, value = pair.partition("=")
        path = shlex.quote(f"/sys/module/{lab.module_name}/parameters/{name}")
        shown = guest.ok(f"if [ -r {path} ]; then cat {path}; else echo {shlex.quote(value)}; fi")
        assert shown == value


def test_load_again_is_refused(guest: Guest, lab: Lab) -> None:
    """A second insmod must say EEXIST and leave the first alone."""
    guest.refuses(f"insmod {shlex.quote(lab.module_path)} {lab.module_parameters}", because="exists")
    assert guest.ok(f"cat /sys/module/{lab.module_name}/initstate") == "live"
