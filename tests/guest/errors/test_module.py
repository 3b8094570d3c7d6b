"""insmod and rmmod, asked for what can't be."""

from __future__ import annotations

import re
import shlex

import pytest
from guest import Guest, Lab
from reload import module_reloads
from victim import Victim

# What module_param() makes of these types refuses words; what a module makes of others is its own business.
NUMBERS = {"byte", "short", "ushort", "int", "uint", "long", "ulong", "ullong", "hexint", "bool", "invbool"}
BROKEN = {
    "cut in the middle": "head -c $(($(stat -c %s {module}) / 2)) {module}",
    "empty": ":",
    "noise": "head -c 64k /dev/urandom",
    "another kind of ELF file": "cat /bin/true",
    "for another kernel": "sed s/mod_unload/mod_upload/g {module}",  # of vermagic, what symbol versions don't replace
}


def uses(lab: Lab) -> str:
    """The command that prints the use count of the module."""
    return f"cat /sys/module/{lab.module_name}/refcnt"


def test_loaded_twice(guest: Guest, lab: Lab, victim: Victim) -> None:
    """EEXIST, and what is mounted goes on."""
    victim.trial("whole")
    victim.mount()
    try:
        before = guest.ok(uses(lab))
        guest.refuses(f"insmod {shlex.quote(lab.module_path)} {lab.module_parameters}", because="exists")
        assert guest.ok(f"{uses(lab)}; ls {victim.point} >/dev/null") == before
    finally:
        victim.unmount()


def test_unloaded_while_mounted(guest: Guest, lab: Lab, victim: Victim) -> None:
    """Refused: code that a mounted filesystem needs must not go. What is mounted goes on."""
    victim.trial("whole")
    victim.mount()
    try:
        guest.refuses(f"rmmod {lab.module_name}", because="in use")
        guest.ok(f"ls {victim.point} >/dev/null; grep -qw {lab.filesystem_type} /proc/filesystems")
    finally:
        victim.unmount()


@pytest.fixture
def unloaded(guest: Guest, lab: Lab, lab_down: None) -> None:
    """The module not loaded; lab_down loads it again."""
    guest.ok(f"if [ -e /sys/module/{lab.module_name} ]; then rmmod {lab.module_name}; fi")


@pytest.mark.parametrize("how", BROKEN)
def test_file_that_is_no_module(guest: Guest, lab: Lab, unloaded: None, how: str) -> None:
    """Refused, with nothing of it left in the kernel."""
    path = f"{lab.work_directory}/broken.ko"
    guest.ok(f"{BROKEN[how].format(module=shlex.quote(lab.module_path))} >{path}")
    guest.refuses(f"insmod {path}")
    guest.ok(f"rm {path}; [ ! -e /sys/module/{lab.module_name} ]")


def test_parameter_with_a_wrong_value(guest: Guest, lab: Lab, unloaded: None) -> None:
    """A word for a number is refused; what a parameter of the module's own making refuses leaves nothing behind."""
    listed = guest.ok(f"modinfo -F parm {shlex.quote(lab.module_path)}").splitlines()
    if not listed:
        pytest.skip(f"the module of target {lab.target_name} has no parameters")
    for line in listed:
        name, _, about = line.partition(":")
        kind = re.search(r"\((?:array of )?(\w+)\)$", about)
        command = f"insmod {shlex.quote(lab.module_path)} {name}=vexlab-no-such-value"
        if kind and kind[1] in NUMBERS:
            guest.refuses(command)
        else:
            guest.run(command)
        known = guest.ok(f"if [ -e /sys/module/{lab.module_name} ]; then rmmod {lab.module_name}; echo loaded; fi")
        assert not (known and kind and kind[1] in NUMBERS), f"{name} took a word for a number"
        guest.ok(f"[ ! -e /sys/module/{lab.module_name} ]")


def test_parameter_that_nobody_knows(guest: Guest, lab: Lab, unloaded: None) -> None:
    """The kernel ignores it with a line in its log, or the module refuses it; it is loaded or it isn't."""
    loaded = guest.run(f"insmod {shlex.quote(lab.module_path)} vexlab_no_such_parameter=1").code == 0
    there = guest.ok(f"if [ -e /sys/module/{lab.module_name} ]; then rmmod {lab.module_name}; echo yes; fi") == "yes"
    assert there == loaded


def test_module_is_sound_afterwards(guest: Guest, lab: Lab, victim: Victim, unloaded: None) -> None:
    """After all this it loads, unloads, and mounts what is whole."""
    guest.ok(lab.insmod_command)
    module_reloads(guest, lab)
    victim.is_whole()
