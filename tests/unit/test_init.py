"""`vexlab init`: from a source tree to a target file that is right where it is sure, and says so where it isn't."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.by_hand import APFS_DIFFERS, VEXFS_DIFFERS
from tests.unit.odd_files import NAMES, OTHERS
from tests.unit.source_trees import APFS, MAKEFILE, MKFS_C, TOYFS, TOYFS_C, write
from vexlab.config import target
from vexlab.errors import UsageProblem
from vexlab.report import target_file
from vexlab.source import facts, proposal, trouble
from vexlab.source.proposal import Proposal

ROOT = Path(__file__).parents[2]
TARGETS = ROOT / "examples/targets"

pytestmark = pytest.mark.timeout(60)  # ends a test that waits for a FIFO


def proposed(root: Path, module: str | None = None) -> Proposal:
    return proposal.propose(facts.read(root, module), ".")


def values(root: Path, module: str | None = None) -> dict[str, Any]:
    """What the file that is written says, read as any YAML."""
    parsed = yaml.safe_load(target_file.render(proposed(root, module), "here"))
    assert isinstance(parsed, dict)
    return parsed


def notes(root: Path) -> list[str]:
    return [f"{note.place}: {note.words}" for note in trouble.notes(facts.read(root))]


def by_hand(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((TARGETS / f"{name}.yml").read_text(encoding="utf-8"))
    return parsed


def vexlab(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vexlab", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, env=environment, timeout=50, check=False
    )


def test_vexfs_is_what_was_written_by_hand_but_for_named_differences() -> None:
    found = yaml.safe_load(target_file.render(proposal.propose(facts.read(ROOT / "examples/vexfs"), "../vexfs"), "x"))
    hand = by_hand("vexfs")
    assert {name for name in found | hand if found.get(name) != hand.get(name)} == set(VEXFS_DIFFERS)
    assert set(found["vexlab_capabilities"]) <= set(hand["vexlab_capabilities"])
    assert set(found["vexlab_exclude"]) <= set(hand["vexlab_exclude"])


def test_superblock_of_vexfs_is_laid_out_as_by_hand() -> None:
    """Computed from the C structure, member by member; the file has it as a comment."""
    text = target_file.render(proposed(ROOT / "examples/vexfs"), "x")
    listed = text.partition("# vexlab_superblock_fields:\n")[2]
    found = yaml.safe_load(re.sub(r"^#", "", listed, flags=re.MULTILINE))
    hand = [
        {name: field[name] for name in ("name", "offset", "size")}
        for field in by_hand("vexfs")["vexlab_superblock_fields"]
    ]
    assert found == hand


def test_a_tree_like_apfs_is_what_was_written_by_hand_but_for_named_differences(tmp_path: Path) -> None:
    found, hand = values(write(tmp_path, APFS)), by_hand("apfs")
    assert 'magic: "4e585342"' in target_file.render(proposed(tmp_path), "x")
    assert {name for name in found | hand if found.get(name) != hand.get(name)} == set(APFS_DIFFERS)
    assert set(found["vexlab_capabilities"]) <= set(hand["vexlab_capabilities"])


@pytest.mark.parametrize("tree", ["vexfs", "nodev", "stacked"])
def test_all_that_a_tree_can_be_asked_for_can_be_measured(tree: str) -> None:
    """The target that is measured claims everything, and passes the schema."""
    found = proposed(ROOT / "examples" / tree)
    asked = found.possible(target.not_claimed([]))
    text = target_file.render(found.with_measured(asked, {}, {}, ""), "x")
    assert target.problems_of(yaml.safe_load(text)) == []
    assert set(by_hand(tree)["vexlab_capabilities"]) <= set(asked)


def test_what_was_measured_takes_the_place_of_what_was_read() -> None:
    """What was not seen to work stands beside, with the reason; what needs a claim that is lost goes with it."""
    claims, why_not = ["read-write", "rename", "crash-recovery"], {"sync": "mount/data.synced: it is gone " + "x" * 200}
    found = proposed(ROOT / "examples/vexfs").with_measured(claims, {"name_bytes": 28}, why_not, "Measured.")
    text = target_file.render(found, "x")
    parsed = yaml.safe_load(text)
    assert (parsed["vexlab_capabilities"], parsed["vexlab_limits"]) == (["read-write", "rename"], {"name_bytes": 28})
    assert target.problems_of(parsed) == []
    (line,) = [line for line in text.splitlines() if line.startswith("#  - sync ")]
    assert "mount/data.synced: it is gone" in line
    assert len(line) <= target_file.WIDTH
    assert "Nothing of it was built" not in text


def test_what_is_claimed_by_hand_is_claimed() -> None:
    """To take the sign of the comment away is all that it takes, whatever is noted beside the name."""
    found = proposed(ROOT / "examples/vexfs").with_measured(["read-write"], {}, {"sync": "it: failed [x]"}, "Measured.")
    text = re.sub(r"^#  - (?!\{)", "  - ", target_file.render(found, "x"), flags=re.MULTILINE)
    assert set(yaml.safe_load(text)["vexlab_capabilities"]) == set(found.possible(target.not_claimed([])))


def test_limit_of_what_does_not_work_is_left_out() -> None:
    """A filesystem can have met a limit of links before its links failed; the file is a target all the same."""
    met = {"symbolic_link_bytes": 31, "hard_links": 8, "name_bytes": 28, "time_latest": 100, "name_characters": 50}
    found = proposed(ROOT / "examples/vexfs").with_measured(["read-write", "timestamps"], met, {}, "Measured.")
    parsed = yaml.safe_load(target_file.render(found, "x"))
    assert parsed["vexlab_limits"] == {"name_bytes": 28}
    assert target.problems_of(parsed) == []


@pytest.mark.parametrize("files", [TOYFS, APFS], ids=["toyfs", "apfs"])
def test_what_is_written_passes_the_schema(tmp_path: Path, files: dict[str, str]) -> None:
    assert not target.problems_of(dict(values(write(tmp_path, files))))


def test_toyfs_is_read_whole(tmp_path: Path) -> None:
    found = values(write(tmp_path, TOYFS))
    assert found["vexlab_build_command"] == 'make -j"$JOBS" KDIR="$KDIR"'
    assert found["vexlab_module_file"] == "toyfs.ko"
    assert found["vexlab_filesystem_type"] == "toyfs"
    assert found["vexlab_mkfs_command"] == './mkfs.toyfs "$DEVICE"'
    assert (found["vexlab_superblock_magic"], found["vexlab_superblock_magic_offset"]) == ("66796f74", 32)
    assert found["vexlab_capabilities"] == []


COMMANDS = {
    "kernel in the recipe": (
        "obj-m := toyfs.o\nall:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD) modules\n",
        'make -C "$KDIR" M="$PWD" -j"$JOBS" modules && cc -O2 -o mkfs.toyfs mkfs.toyfs.c',
    ),
    "a directory above build": (
        "obj-m := toyfs.o\nK := /lib/modules/$(shell uname -r)\nall: ko mkfs.toyfs\nko:\n"
        "\t$(MAKE) -C $(K)/build M=$(PWD) modules\n",
        'make -j"$JOBS" K="/lib/modules/$KERNEL_RELEASE"',
    ),
    "a release": (
        "obj-m := toyfs.o\nV ?= $(shell uname -r)\nall: mkfs.toyfs\n\tmake -C /lib/modules/$(V)/build M=$(PWD)\n",
        'make -j"$JOBS" V="$KERNEL_RELEASE"',
    ),
    "KERNELRELEASE, which has kbuild think that it is called": (
        "KERNELRELEASE ?= $(shell uname -r)\nobj-m := toyfs.o\nall: mkfs.toyfs\n"
        "\tmake -C /lib/modules/$(KERNELRELEASE)/build M=$(PWD) modules\n",
        'make -C "$KDIR" M="$PWD" -j"$JOBS" modules && make mkfs.toyfs',
    ),
    "insmod in the default goal": (
        MAKEFILE.replace("modules\n", "modules\n\tsudo insmod toyfs.ko\n"),
        'make -C "$KDIR" M="$PWD" -j"$JOBS" modules && make mkfs.toyfs',
    ),
    "words about insmod": (
        MAKEFILE.replace("modules\n", "modules\n\t@echo now say sudo insmod toyfs.ko; mkdir -p mount x\n"),
        'make -j"$JOBS" KDIR="$KDIR"',
    ),
    "insmod after another command": (
        MAKEFILE.replace("modules\n", "modules\n\t-rmmod toyfs; insmod toyfs.ko\n"),
        'make -C "$KDIR" M="$PWD" -j"$JOBS" modules && make mkfs.toyfs',
    ),
    "insmod in another goal": (MAKEFILE + "load:\n\tsudo insmod toyfs.ko\n", 'make -j"$JOBS" KDIR="$KDIR"'),
    "SUBDIRS": (
        MAKEFILE.replace("M=", "SUBDIRS="),
        'make -C "$KDIR" M="$PWD" -j"$JOBS" modules && make mkfs.toyfs',
    ),
    "an option of the kernel": (
        "obj-$(CONFIG_TOYFS) += toyfs.o\n",
        'make -C "$KDIR" M="$PWD" -j"$JOBS" CONFIG_TOYFS=m modules && cc -O2 -o mkfs.toyfs mkfs.toyfs.c',
    ),
    "a variable that must be given": (
        "ifndef LINUX_SRC\n$(error say where the kernel is)\nendif\n" + MAKEFILE,
        'make -j"$JOBS" KDIR="$KDIR" LINUX_SRC="$KDIR"',
    ),
    "mkfs with the module": (
        "obj-m := toyfs.o\nall:\n\tmake -C $(KDIR) M=$(PWD)\n\tgcc -o mkfs.toyfs mkfs.toyfs.c\n",
        'make -j"$JOBS" KDIR="$KDIR"',
    ),
}


@pytest.mark.parametrize(("makefile", "command"), COMMANDS.values(), ids=COMMANDS)
def test_build_command(tmp_path: Path, makefile: str, command: str) -> None:
    assert values(write(tmp_path, TOYFS | {"Makefile": makefile}))["vexlab_build_command"] == command


def test_modules_below_the_root_are_built_where_they_are(tmp_path: Path) -> None:
    """The kernel's part in one directory, programs in another, the root without a Makefile."""
    kernel = (
        "obj-m := toy-fs.o\ntoy-fs-objs := super.o\nall:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD)\n"
    )
    user = "CXX ?= g++\nBIN = mkfs.toyfs\n$(BIN): mkfs.o\n\t$(CXX) mkfs.o -o $(BIN)\n"
    files = {"kern/Makefile": kernel, "kern/super.c": TOYFS_C, "kern/toyfs.h": TOYFS["toyfs.h"], "user/Makefile": user,
             "user/mkfs.cpp": MKFS_C}  # fmt: skip
    found = values(write(tmp_path, files))
    assert found["vexlab_build_command"] == 'make -C "$KDIR" M="$PWD/kern" -j"$JOBS" modules && make -C user mkfs.toyfs'
    assert (found["vexlab_module_file"], found["vexlab_module_name"]) == ("kern/toy-fs.ko", "toy_fs")
    assert found["vexlab_mkfs_command"] == './user/mkfs.toyfs "$DEVICE"'


def test_command_of_dkms_is_taken_with_the_labs_variables(tmp_path: Path) -> None:
    dkms = 'PACKAGE_NAME=toy\nBUILT_MODULE_NAME[0]="toyfs"\nMAKE[0]="make all KVER=$kernelver K=${kernel_source_dir}"\n'
    found = values(write(tmp_path, TOYFS | {"dkms.conf": dkms}))
    assert found["vexlab_build_command"] == "make all KVER=$KERNEL_RELEASE K=$KDIR && make mkfs.toyfs"


MKFS = {
    "label and force by getopt": (
        'getopt(argc, argv, "fL:b:");\nputs(" -f  force\\n -L <label>  set the label\\n");',
        './mkfs.toyfs -L "$LABEL" "$DEVICE"',
        './mkfs.toyfs -f -L "$LABEL" "$DEVICE"',
    ),
    "long options": (
        'struct option o[] = {{"label", required_argument, NULL, \'n\'}};\ngetopt_long(argc, argv, "n:", o, NULL);',
        './mkfs.toyfs -n "$LABEL" "$DEVICE"',
        None,
    ),
    "none": ("", './mkfs.toyfs "$DEVICE"', None),
}


@pytest.mark.parametrize(("code", "command", "force"), MKFS.values(), ids=MKFS)
def test_options_of_mkfs(tmp_path: Path, code: str, command: str, force: str | None) -> None:
    files = TOYFS | {"mkfs.toyfs.c": MKFS_C.replace("return 0;", f"{code}\nreturn 0;")}
    found = values(write(tmp_path, files))
    assert found["vexlab_mkfs_command"] == command
    assert found.get("vexlab_mkfs_force_command") == force


def test_names_are_quoted_for_the_shell(tmp_path: Path) -> None:
    files = {
        "Makefile": "obj-m := toyfs.o\n",
        "toyfs.c": TOYFS_C,
        "toyfs.h": TOYFS["toyfs.h"],
        "a b/mkfs.toyfs.c": MKFS_C,
    }
    found = values(write(tmp_path, files))
    assert found["vexlab_mkfs_command"] == "'./a b/mkfs.toyfs' \"$DEVICE\""
    assert found["vexlab_build_command"].endswith("&& cc -O2 -o 'a b/mkfs.toyfs' 'a b/mkfs.toyfs.c'")


def test_mkfs_that_wants_more_than_a_device_is_marked(tmp_path: Path) -> None:
    files = TOYFS | {"mkfs.toyfs.c": MKFS_C.replace("return 0;", "if (argc != 3 && argc != 4) return 1;")}
    text = target_file.render(proposed(write(tmp_path, files)), "x")
    assert re.search(
        r"not found: mkfs.toyfs.c wants 2 arguments.*\n?vexlab_mkfs|^vexlab_mkfs.*wants 2 arguments", text, re.M
    )


MAGICS = {
    "big endian": (("__le32 magic", "__be32 magic"), "746f7966", 32, False),
    "processor's order is a guess": (("__le32 magic", "uint32_t magic"), "66796f74", 32, True),
    "a pointer in the structure is padded to": (("__u8 uuid[16];", "char a; void *p;"), "66796f74", 32, False),
    "another block": (("TOYFS_BLOCK 0", "TOYFS_BLOCK 2"), "66796f74", 2 * 1024 + 32, False),
    "letters as a suffix": (("0x746f7966UL", "0xDEADCELL"), "ceadde00", 32, False),
}


@pytest.mark.parametrize(("change", "stored", "offset", "guessed"), MAGICS.values(), ids=MAGICS)
def test_magic_number(tmp_path: Path, change: tuple[str, str], stored: str, offset: int, guessed: bool) -> None:
    code = TOYFS_C.replace("struct buffer_head", "int bits = sb_min_blocksize(sb, 1 << 10);\n\tstruct buffer_head")
    files = TOYFS | {"toyfs.c": code, "toyfs.h": TOYFS["toyfs.h"].replace(*change)}
    root = write(tmp_path, files)
    found = values(root)
    assert (found["vexlab_superblock_magic"], found["vexlab_superblock_magic_offset"]) == (stored, offset)
    field = next(field for field in proposed(root).fields if field.name == "vexlab_superblock_magic")
    assert field.unsure == guessed


def test_letters_tell_a_filesystem_better_than_the_mark_of_a_boot_sector(tmp_path: Path) -> None:
    """As exFAT has both: 55 AA is in every boot sector."""
    header = (
        '#define SIGNATURE 0xAA55\n#define NAME "TOY     "\n#define TOYFS_BLOCK 0\n'
        "struct toyfs_super { __u8 jump[3]; __u8 name[8]; __u8 code[499]; __le16 signature; } __packed;\n"
    )
    code = TOYFS_C.replace("le32_to_cpu(raw->magic) != TOYFS_MAGIC",
                           "le16_to_cpu(raw->signature) != SIGNATURE || memcmp(raw->name, NAME, 8)")  # fmt: skip
    found = values(write(tmp_path, TOYFS | {"toyfs.c": code, "toyfs.h": header}))
    assert (bytes.fromhex(found["vexlab_superblock_magic"]), found["vexlab_superblock_magic_offset"]) == (
        b"TOY     ",
        3,
    )


def test_what_is_not_found_is_marked(tmp_path: Path) -> None:
    code = TOYFS_C.replace("struct toyfs_super *raw = (struct toyfs_super *)bh->b_data;", "").replace("raw->magic", "x")
    files = {"Makefile": "obj-m := toyfs.o\n", "toyfs.c": code}
    text = target_file.render(proposed(write(tmp_path, files)), "x")
    assert re.search(r"^# not found: no program.*\nvexlab_mkfs_command: mkfs.toyfs", text, re.MULTILINE)
    assert re.search(r'^vexlab_superblock_magic: "00" # not found', text, re.MULTILINE)
    assert not target.problems_of(yaml.safe_load(text))


NO_DEVICE = {
    "none": ("sb_bread(sb, TOYFS_BLOCK)", "none"),
    "directory": ("sb_bread(sb, kern_path(dev, 0, &path))", "directory"),
}


@pytest.mark.parametrize(("code", "kind"), NO_DEVICE.values(), ids=NO_DEVICE)
def test_filesystem_without_a_block_device(tmp_path: Path, code: str, kind: str) -> None:
    """Neither formatted nor told by a magic number, and without what has to do with that."""
    without = TOYFS_C.replace("\t.fs_flags = FS_REQUIRES_DEV,\n", "").replace("sb_bread(sb, TOYFS_BLOCK)", code)
    files = {"Makefile": "obj-m := toyfs.o\n", "toyfs.c": without, "toyfs.h": TOYFS["toyfs.h"]}
    root = write(tmp_path, files)
    found = values(root)
    assert found["vexlab_device_kind"] == kind
    assert not [name for name in found if "mkfs" in name or "superblock" in name]
    assert not re.search("label|mkfs-", target_file.render(proposed(root), "x"))


def test_a_mount_function_for_devices_is_as_good_as_the_flag(tmp_path: Path) -> None:
    code = TOYFS_C.replace("\t.fs_flags = FS_REQUIRES_DEV,\n", "\t.mount = toyfs_mount,\n")
    code += "struct dentry *toyfs_mount(void) { return mount_bdev(t, 0, dev, data, toyfs_fill_super); }\n"
    assert "vexlab_device_kind" not in values(write(tmp_path, TOYFS | {"toyfs.c": code}))


NOTES = {
    "another kernel": (
        {"Makefile": MAKEFILE + "old:\n\tmake -C /lib/modules/5.4.0-42-generic/build\n"},
        "Makefile:8: names one kernel, /lib/modules/5.4.0-42-generic",
    ),
    "author's directory": (
        {"Makefile": "T = /home/me/linux\n" + MAKEFILE},
        "Makefile:1: names a directory of its author's, /home/me/linux",
    ),
    "insmod": (
        {"Makefile": MAKEFILE.replace("modules\n", "modules\n\tsudo insmod toyfs.ko\n")},
        "Makefile:5: plain make runs sudo",
    ),
    "SUBDIRS": ({"Makefile": MAKEFILE.replace("M=", "SUBDIRS=")}, "Makefile:4: SUBDIRS= is ignored since Linux 5.3"),
    "git": ({"Makefile": "V := $(shell git describe)\n" + MAKEFILE}, "Makefile:1: calls git"),
    "stale objects": (
        {"toyfs.ko": b"\x7fELF", ".toyfs.ko.cmd": "x"},
        ".toyfs.ko.cmd: is left from an earlier build and 1 more",
    ),
    "object without source": ({"blob.o": b"\x7fELF"}, "blob.o: is an object without a source"),
    "no licence": ({"toyfs.c": TOYFS_C.replace('MODULE_LICENSE("GPL");', "")}, "Makefile:1: no MODULE_LICENSE"),
    "licence": ({"toyfs.c": TOYFS_C.replace('"GPL"', '"MIT"')}, "Makefile:1: MODULE_LICENSE is 'MIT': it taints"),
    "another module": (
        {"Makefile": MAKEFILE.replace("toyfs.o\n", "toyfs.o helper.o\n", 1), "helper.c": "int a;"},
        "Makefile:1: builds helper.ko too",
    ),
    "demanded": (
        {"Makefile": "ifeq ($(FOO),)\n$(error give FOO)\nendif\n" + MAKEFILE},
        "Makefile:2: make stops unless FOO is given: give FOO",
    ),
    "option": (
        {"Makefile": "obj-$(CONFIG_TOYFS) += toyfs.o\n"},
        "Makefile:1: the module is built if CONFIG_TOYFS is m",
    ),
    "two names": (
        {"toyfs.c": TOYFS_C.replace('.name = "toyfs",', '.name = "toyfs",\n#else\n.name = "foofs",\n')},
        "toyfs.c:13: the type may also be foofs",
    ),
    "large": ({"large.c": b"x" * (1 << 21)}, "large.c: is larger than 1 MiB"),
}


@pytest.mark.parametrize(("files", "said"), NOTES.values(), ids=NOTES)
def test_what_a_first_run_would_stumble_over_is_told_with_its_place(
    tmp_path: Path, files: dict[str, str | bytes], said: str
) -> None:
    assert not notes(write(tmp_path / "good", TOYFS))
    assert [note for note in notes(write(tmp_path / "tree", TOYFS | files)) if note.startswith(said)]


OTHER_C = TOYFS_C.replace("toyfs_type", "foofs_type").replace('"toyfs"', '"foofs"')
REFUSED = {
    "no module": ({"Makefile": "all:\n"}, "builds a module (obj-m); toyfs.c registers a filesystem"),
    "no filesystem": ({"toyfs.c": 'MODULE_LICENSE("GPL");'}, "no module in {root} registers a filesystem (toyfs.ko)"),
    "two": (
        {"Makefile": "obj-m := toyfs.o foofs.o\n", "foofs.c": OTHER_C},
        "register a filesystem: toyfs.ko, foofs.ko",
    ),
    "kernel": (
        dict.fromkeys(["MAINTAINERS", "Kconfig", "fs/x.c", "kernel/x.c", "mm/x.c"], ""),
        "is the kernel's own tree",
    ),
}


@pytest.mark.parametrize(("files", "said"), REFUSED.values(), ids=REFUSED)
def test_a_tree_that_no_target_is_of_is_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(UsageProblem) as refusal:
        facts.read(write(tmp_path, TOYFS | files))
    assert said.format(root=tmp_path) in refusal.value.message
    assert refusal.value.hint
    assert refusal.value.exit_code == 2


def test_of_two_filesystems_one_is_chosen_by_name_or_path(tmp_path: Path) -> None:
    files = {"Makefile": "obj-m := toyfs.o b/toyfs.o foofs.o\n", "foofs.c": OTHER_C, "b/toyfs.c": TOYFS_C}
    root = write(tmp_path, TOYFS | files)
    assert values(root, "foofs")["vexlab_filesystem_type"] == "foofs"
    assert values(root, "b/toyfs.ko")["vexlab_module_file"] == "b/toyfs.ko"
    with pytest.raises(UsageProblem, match="'barfs' is no module"):
        facts.read(root, "barfs")


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_neither_file_nor_link_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    root = write(tmp_path / "tree", TOYFS)
    OTHERS[kind](root / "odd")
    with pytest.raises(UsageProblem, match="odd in the source is"):
        facts.read(root)


def test_odd_content_and_names_are_read_without_an_error(tmp_path: Path) -> None:
    root = write(tmp_path / "tree", TOYFS)
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(root) + b"/" + name + b".c")).write_bytes(b"\xff\x00 /* { \x80")
        Path(os.fsdecode(os.fsencode(root) + b"/mkfs" + name)).write_bytes(b"#!/bin/sh\n")
    write(root, {
        "Makefile.odd":
            b"\xff\xfe\0\n$(\nX = $(X) $(X)\nX += $(Y\nA = $(A)\nobj-m += $(X).o $(A).o\n\tx\n\\",
        "odd.mk": "a" * 70000 + "\\",
        "deep.h":
            "struct deep { struct deep inner; };\n#define A B\n#define B A\n#define C (1 << 99)\n"
            "struct c { char x[A][C]; int b:3; };",
        "open.c": '/* never closed', "quote.c": '"never closed {', "brace.c": "int f(void) { { {",
    })  # fmt: skip
    (root / "loop").symlink_to(".")
    (root / "Kbuild").symlink_to("/etc/passwd")
    assert values(root, "toyfs")["vexlab_module_file"] == "toyfs.ko"


def test_command_writes_the_file_once(tmp_path: Path) -> None:
    """Beside where it is called; the tree stays as it is, and what is there already too."""
    write(tmp_path / "tree", TOYFS)
    before = sorted((tmp_path / "tree").iterdir())
    done = vexlab(tmp_path, "init", "--no-guest", "tree")
    assert done.returncode == 0, done.stderr
    assert "vexlab up --target vexlab.yml" in done.stderr
    assert sorted((tmp_path / "tree").iterdir()) == before
    written = target.load_target(tmp_path / "vexlab.yml")
    assert written["vexlab_source"] == str(tmp_path / "tree")
    (tmp_path / "vexlab.yml").write_text("mine")
    again = vexlab(tmp_path, "init", "--no-guest", "tree")
    assert (again.returncode, (tmp_path / "vexlab.yml").read_text()) == (2, "mine")
    assert "--force" in again.stderr
    assert vexlab(tmp_path, "init", "--no-guest", "tree", "--force").returncode == 0
    assert target.load_target(tmp_path / "vexlab.yml") == written


def test_command_prints_the_file_alone_on_stdout(tmp_path: Path) -> None:
    done = vexlab(write(tmp_path / "tree", TOYFS), "init", "--no-guest", "--output", "-")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["vexlab_source"] == "."
    assert not (tmp_path / "tree/vexlab.yml").exists()


@pytest.mark.parametrize("directory", ["absent", "empty", "file"])
def test_command_refuses_what_is_no_tree(tmp_path: Path, directory: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    done = vexlab(tmp_path, "init", directory)
    assert done.returncode == 2
    assert directory in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "vexlab.yml").exists()
