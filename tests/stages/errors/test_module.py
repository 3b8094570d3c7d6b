"""insmod and rmmod, asked for what can't be."""

from __future__ import annotations

import re
import shlex

import pytest

from vexlab.guest.inside import modules, system
from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.result import Result, refused
from vexlab.guest.testing.target import Target

# What module_param() makes of these types refuses words; what a module makes of others is its own business.
NUMBERS = {"byte", "short", "ushort", "int", "uint", "long", "ulong", "ullong", "hexint", "bool", "invbool"}
BROKEN = {
    "cut in the middle": "head -c $(($(stat -c %s {module}) / 2)) {module}",
    "empty": ":",
    "noise": "head -c 64k /dev/urandom",
    "another kind of ELF file": "cat /bin/true",
    "for another kernel": "sed s/mod_unload/mod_upload/g {module}",  # of vermagic, what symbol versions don't replace
}


pytestmark = pytest.mark.needs("module")


def must_be_refused_under_a_mount(target: Target, corruptible: Corruptible, command: str, because: str) -> None:
    """Assert that the command is refused with these words, and that what is mounted goes on."""
    corruptible.trial("whole", mounts=[target.mount_options_ro]).must_be_safe()
    done, before, *goes_on = corruptible.call(modules.command_under_a_mount, command, target.module_name)
    refused(Result(command, *done), because)
    after, is_registered, listing = goes_on
    assert after == before, f"{command} was refused, and the module's use count went from {before} to {after}"
    assert is_registered, f"{command} was refused, and the filesystem's type is gone"
    assert listing == "done", f"{command} was refused, and a listing of what is mounted: {listing}"


def test_loaded_twice(target: Target, corruptible: Corruptible) -> None:
    """A second insmod is refused with EEXIST, and what is mounted goes on."""
    insmod = f"insmod {shlex.quote(target.module_path)} {target.module_parameters}"
    must_be_refused_under_a_mount(target, corruptible, insmod, "exists")


def test_unloaded_while_mounted(target: Target, corruptible: Corruptible) -> None:
    """Refused: code that a mounted filesystem needs must not go. What is mounted goes on."""
    must_be_refused_under_a_mount(target, corruptible, f"rmmod {target.module_name}", "in use")


@pytest.fixture
def unloaded(guest: Guest, target: Target, lab_down: None) -> None:
    """The module not loaded; lab_down loads it again."""
    guest.call(system.unload, target.module_name)


@pytest.mark.parametrize("how", BROKEN)
def test_file_that_is_no_module(guest: Guest, target: Target, unloaded: None, how: str) -> None:
    """A file that is no module is refused, and leaves nothing in the kernel."""
    make = BROKEN[how].format(module=shlex.quote(target.module_path))
    done, there = guest.call(modules.load_broken, make, f"{target.work_directory}/broken.ko", target.module_name)
    refused(Result(f"insmod of a file that is {how}", *done))
    assert not there, "insmod failed, and the module is there"


def test_parameter_with_a_wrong_value(guest: Guest, target: Target, unloaded: None) -> None:
    """A word for a number is refused; what a parameter of the module's own making refuses leaves nothing behind."""
    listed = guest.ok(f"modinfo -F parm {shlex.quote(target.module_path)}").splitlines()
    if not listed:
        pytest.skip(f"the module of target {target.target_name} has no parameters")
    kinds = {line.partition(":")[0]: re.search(r"\((?:array of )?(\w+)\)$", line) for line in listed}
    wrong = {f"{name}=vexlab-no-such-value": kind is not None and kind[1] in NUMBERS for name, kind in kinds.items()}
    seen = guest.call(modules.load_with, target.module_path, target.module_name, list(wrong))
    for parameter, (code, there) in seen.items():
        assert code < 124, f"insmod with {parameter} ended with {code}"
        assert there == (code == 0), f"insmod with {parameter} ended with {code}, and the module is there: {there}"
        assert code or not wrong[parameter], f"{parameter} was taken for a number"


def test_parameter_that_nobody_knows(guest: Guest, target: Target, unloaded: None) -> None:
    """The kernel ignores it with a line in its log, or the module refuses it; it is loaded or it isn't."""
    seen = guest.call(modules.load_with, target.module_path, target.module_name, ["vexlab_no_such_parameter=1"])
    [(code, there)] = seen.values()
    assert code < 124, f"insmod ended with {code}"
    assert there == (code == 0), f"insmod ended with {code}, and the module is there: {there}"
