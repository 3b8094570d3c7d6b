"""Arguments that a target has for the guest's kernel, in real guests: one that boots, and one restored from it."""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough

ARGUMENTS = "memfs.nothing=1 slub_debug=P,kmalloc-8"
LOOK = "cat /proc/cmdline /sys/kernel/slab/kmalloc-8/poison"


def test_guests_kernel_has_them(vexlab: Vexlab) -> None:
    """The saved state of a guest without them must not be taken, nor theirs by a target that has none."""
    nodev = yaml.safe_load((ROOT / "examples/targets/nodev.yml").read_text())
    own = {"vexlab_source": str(ROOT / "examples/nodev"), "vexlab_kernel_arguments": ARGUMENTS}
    with_them, without = vexlab.home / "arguments.yml", ROOT / "examples/targets/nodev.yml"
    with_them.write_text(yaml.safe_dump(nodev | own))
    for target, has in ((with_them, True), (without, False), (with_them, True)):
        done = vexlab("test", "--keep", "--stage", "load", "--target", str(target), "--json")
        assert done.code == 0, done.stderr
        assert done.document["contract"]["kernel_arguments"] == (ARGUMENTS if has else "")
        line, poison = vexlab("ssh", LOOK).stdout.splitlines()
        assert (ARGUMENTS in line) is has
        assert poison == str(int(has))
    assert done.document["guest"]["warm"] is True


def test_lab_that_is_up_gets_another_guest_for_others(vexlab: Vexlab) -> None:
    """They are among what an `up` is an `up` of: its verdicts don't stand for a kernel that was asked for less."""
    nodev = yaml.safe_load((ROOT / "examples/targets/nodev.yml").read_text())
    target = vexlab.home / "changed.yml"
    for arguments, changes in ((ARGUMENTS, True), (ARGUMENTS, False), ("", True)):
        own = {"vexlab_source": str(ROOT / "examples/nodev"), "vexlab_kernel_arguments": arguments}
        target.write_text(yaml.safe_dump(nodev | own))
        done = vexlab("up", "--target", str(target), "--json")
        assert done.code == 0, done.stderr
        assert ("nothing changed since" in done.stderr) is not changes
        line, poison = vexlab("ssh", LOOK).stdout.splitlines()
        assert (ARGUMENTS in line, poison) == (bool(arguments), str(int(bool(arguments))))
