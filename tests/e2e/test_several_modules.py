"""A filesystem whose module needs another one of the same build, and one of the kernel; and which taints the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Done, Vexlab, edit
from tests.mutants import catalogue

pytestmark = pytest.mark.thorough

NUMBERS = """
#include <linux/crc-t10dif.h>
#include <linux/fs.h>
#include <linux/module.h>

static int step = 1;
module_param(step, int, 0444);

unsigned int memnumber_next(void)
{
	return get_next_ino() + step + (crc_t10dif("memnumber", 9) & 1);
}
EXPORT_SYMBOL_GPL(memnumber_next);

MODULE_LICENSE("GPL");
"""
FIRST = {"name": "memnumber", "file": "memnumber.ko", "parameters": "step=7"}


class Tree:
    """A copy of the filesystem in memory that takes its inode numbers from a second module, and its target file."""

    def __init__(self, directory: Path) -> None:
        self.source = directory / "two"
        self.target = directory / "two.yml"
        catalogue.refresh(self.source, "nodev")
        (self.source / "memnumber.c").write_text(NUMBERS)
        edit(self.source / "Kbuild", "obj-m := memfs.o\n", "obj-m := memnumber.o memfs.o\n")
        declared = "#define MEMFS_MAGIC"
        edit(self.source / "memfs.c", declared, f"unsigned int memnumber_next(void);\n{declared}")
        edit(self.source / "memfs.c", "i_ino = get_next_ino()", "i_ino = memnumber_next()")
        edit(self.source / "memfs.c", 'MODULE_LICENSE("GPL");', 'MODULE_LICENSE("GPL");\nMODULE_INFO(staging, "Y");')

    def target_with(self, **fields: Any) -> str:
        """Write the target file of nodev with these fields."""
        nodev = yaml.safe_load((ROOT / "examples/targets/nodev.yml").read_text())
        own = {f"vexlab_{name}": value for name, value in fields.items()}
        self.target.write_text(yaml.safe_dump(nodev | {"vexlab_source": str(self.source)} | own))
        return str(self.target)


@pytest.fixture(scope="module")
def tree(vexlab: Vexlab) -> Tree:
    return Tree(vexlab.home)


@pytest.fixture(scope="module")
def run(vexlab: Vexlab, tree: Tree) -> Done:
    fields = {"modules": [FIRST], "taints": ["C"], "daemon_command": "exec sleep infinity"}
    return vexlab("up", "--target", tree.target_with(**fields), "--json")


def verdicts(done: Done) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in done.stage("load")["checks"]}


def test_they_are_loaded_in_order_and_what_they_need_of_the_kernel_too(run: Done) -> None:
    assert run.code == 0, run.stderr
    expected = (
        "modules.it_is_live_and_the_built_one[memnumber]", "modules.its_parameters_are_the_given_ones[memnumber]",
        "modules.all_unload_and_load_again", "load.taint_of_the_module_is_as_expected", "kernel.taint_is_explained",
    )  # fmt: skip
    assert {name: verdicts(run)[name] for name in expected} == dict.fromkeys(expected, "passed")


def test_next_build_of_all_takes_the_place_of_this_one(vexlab: Vexlab, tree: Tree, run: Done) -> None:
    """They are unloaded in reverse: else the new one would meet the old one's other half."""
    assert run.code == 0
    edit(tree.source / "memnumber.c", "static int step = 1;", "static int step = 2;")
    edit(tree.source / "memfs.c", "A filesystem in memory, mounted", "A filesystem in memory that is mounted")
    done = vexlab("up", "--target", str(tree.target), "--json")
    assert done.code == 0, done.stderr


def test_recovery_takes_the_others_and_the_daemon_down_too(vexlab: Vexlab, run: Done) -> None:
    """What the module needs goes after it."""
    assert run.code == 0
    done = vexlab("recover")
    assert done.code == 0, done.stderr
    steps = ("unmounted", "systemctl stop vexlab-daemon.service", "rmmod memfs", "rmmod memnumber", "nothing is left")
    assert sorted(map(done.stderr.index, steps)) == [done.stderr.index(step) for step in steps]
    left = vexlab("ssh", "cut -d ' ' -f 1 /proc/modules; systemctl is-active vexlab-daemon").stdout.split()
    assert not {"memfs", "memnumber", "active"} & set(left)


def test_module_that_is_missing_from_the_list_is_named(vexlab: Vexlab, tree: Tree, run: Done) -> None:
    assert run.code == 0
    done = vexlab("test", "--stage", "load", "--target", tree.target_with(taints=["C"]), "--json")
    assert done.code == 1
    assert "memfs needs module memnumber, which neither is among these modules nor the kernel's" in done.stderr


def test_taint_that_the_target_does_not_name_is_told(vexlab: Vexlab, tree: Tree, run: Done) -> None:
    assert run.code == 0
    done = vexlab("test", "--stage", "load", "--target", tree.target_with(modules=[FIRST]), "--json")
    failed = [name for name, verdict in verdicts(done).items() if verdict == "failed"]
    assert failed == ["load.taint_of_the_module_is_as_expected", "kernel.taint_is_explained"]
