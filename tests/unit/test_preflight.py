"""What a role refuses of its inputs: a message names the input that is wrong and what to do, and no other one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
# Inputs with which a role has nothing to say, beside its defaults.
GOOD: dict[str, dict[str, Any]] = {
    "vexfs_structure": {"vexfs_structure_source": "/home/me/myfs"},
    "vexfs_build": {"vexfs_build_module_file": "myfs.ko"},
    "vexfs_load": {"vexfs_load_module_name": "myfs", "vexfs_load_module_file": "/lab/myfs.ko"},
    "vexfs_mkfs": {"vexfs_mkfs_command": "mkfs.myfs {device}"},
    "vexfs_mount": {"vexfs_mount_type": "myfs"},
    "vexlab_guest": {"vexlab_guest_image": "/images/x"},
    "vexlab_backup": {
        "vexlab_backup_device": "/dev/disk/by-id/x",
        "vexlab_backup_serial": "S1",
        "vexlab_backup_file": "/b/1.img.zst",
    },
    "vexlab_recover": {"vexlab_recover_type": "myfs"},
}
# For a role: an input, a value that can't be, and words of the message.
WRONG: list[tuple[str, str, object, str]] = [
    ("vexfs_structure", "vexfs_structure_source", "src", "must be an absolute directory"),
    ("vexfs_structure", "vexfs_structure_destination", "/copy", "two levels deep at least"),
    ("vexfs_structure", "vexfs_structure_destination", "/home/me/myfs/copy", "which is never written"),
    ("vexfs_structure", "vexfs_structure_destination", "/home/me", "where it would be removed"),
    ("vexfs_structure", "vexfs_structure_destination", "/home/me/myfs", "where it would be removed"),
    ("vexfs_build", "vexfs_build_module_file", "", "is empty"),
    ("vexfs_build", "vexfs_build_module_file", "/myfs.ko", "must be relative"),
    ("vexfs_build", "vexfs_build_jobs", -1, "is -1"),
    ("vexfs_build", "vexfs_build_deadline", 0, "seconds above 0"),
    ("vexfs_build", "vexfs_build_record", "/elsewhere/record", "must be beside the build directory"),
    ("vexfs_load", "vexfs_load_module_name", "my-fs", "as /proc/modules has it"),
    ("vexfs_load", "vexfs_load_module_file", "myfs.ko", "must be an absolute path"),
    ("vexfs_load", "vexfs_load_from", "kernel", "by the type of its filesystem"),
    ("vexfs_load", "vexfs_load_modules", [{"name": "my-core"}], "is none"),
    ("vexfs_load", "vexfs_load_modules", [{"name": "core"}, {"name": "core"}], "is there twice"),
    ("vexfs_load", "vexfs_load_modules", [{"name": "myfs"}], "that of the module itself"),
    ("vexfs_mkfs", "vexfs_mkfs_command", "", "is empty"),
    ("vexfs_mkfs", "vexfs_mkfs_size_mb", 0, "1 MiB at least"),
    ("vexfs_mkfs", "vexfs_mkfs_image", "/device.img", "two levels deep at least"),
    ("vexfs_mkfs", "vexfs_mkfs_device", "/dev/sdb", "must be /dev/disk/by-id/NAME"),
    ("vexfs_mkfs", "vexfs_mkfs_device", "/dev/disk/by-id/x", "needs its serial number"),
    ("vexfs_mkfs", "vexfs_mkfs_second_size_mb", -1, "0 without a second device"),
    ("vexfs_mkfs", "vexfs_mkfs_second_device", "/dev/sdb", "as the first one"),
    ("vexfs_mkfs", "vexfs_mkfs_second_device", "/dev/disk/by-id/x", "it goes with a first one"),
    ("vexfs_mount", "vexfs_mount_type", "my fs", "as /proc/filesystems has it"),
    ("vexfs_mount", "vexfs_mount_point", "mnt", "must be an absolute directory"),
    ("vexfs_mount", "vexfs_mount_device", "device.img", "must be the absolute path"),
    ("vexlab_guest", "vexlab_guest_lab", "My Lab", "lower case letters"),
    ("vexlab_guest", "vexlab_guest_image", "", "role vexlab_image makes"),
    ("vexlab_guest", "vexlab_guest_memory_mb", 100, "512 MiB at least"),
    ("vexlab_guest", "vexlab_guest_ssh_port", 80, "from 1024 to 65535"),
    ("vexlab_guest", "vexlab_guest_disks", [{"serial": "1", "size_mb": 1}], "begins with a letter"),
    ("vexlab_guest", "vexlab_guest_disks", [{"serial": "A", "size_mb": 1}] * 2, "the same serial number"),
    ("vexlab_guest", "vexlab_guest_disks", [{"serial": "A", "size_mb": 0}], "1 MiB at least"),
    ("vexlab_backup", "vexlab_backup_device", "/dev/sdb", "must be /dev/disk/by-id/NAME"),
    ("vexlab_backup", "vexlab_backup_serial", "", "as you read it off it"),
    ("vexlab_backup", "vexlab_backup_directory", "/b", "two levels deep at least"),
    ("vexlab_backup", "vexlab_backup_file", "1.img.zst", "for state there it must be the absolute path"),
    ("vexlab_recover", "vexlab_recover_module", "my-fs", "as /proc/modules has it"),
    ("vexlab_recover", "vexlab_recover_type", "", "as /proc/filesystems has it"),
    ("vexlab_recover", "vexlab_recover_point", "mnt", "must be an absolute directory"),
]


def task(role: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The task of a role's preflight that looks at its inputs, with these."""
    tasks = yaml.safe_load((ROOT / "roles" / role / "tasks" / "preflight.yml").read_text(encoding="utf-8"))
    [found] = [each for each in tasks if each["name"] == "Refuse inputs that the types can't tell"]
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    return {**found, "name": name, "ignore_errors": True, "vars": {**defaults, **GOOD[role], **inputs, **found["vars"]}}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each task said, by its name; all are run by one Ansible."""
    directory = tmp_path_factory.mktemp("preflight")
    tasks = [task(role, f"good {role}", {}) for role in GOOD]
    tasks += [task(role, f"wrong {number}", {name: value}) for number, (role, name, value, _) in enumerate(WRONG)]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "localhost,", directory / "play.yml"],
        cwd=ROOT, env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_STRATEGY": "linear"}, text=True,
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    parts = re.findall(r"^TASK \[(.*?)\] \**\n(.*?)(?=^TASK|^PLAY)", done.stdout, re.M | re.S)
    assert len(parts) == len(tasks), done.stdout + done.stderr
    return {name: message(text) for name, text in parts}


def message(text: str) -> str:
    """The message of a task that failed, as Ansible shows it; empty for one that did not."""
    failed = re.search(r"FAILED! => (\{.*?\})\n", text, re.S)
    return str(json.loads(failed[1])["msg"]) if failed else ""


@pytest.mark.parametrize("role", GOOD)
def test_good_inputs_are_taken(role: str, said: dict[str, str]) -> None:
    assert said[f"good {role}"] == ""


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[f"{name}: {value}" for _, name, value, _ in WRONG])
def test_message_is_about_the_input_that_is_wrong(number: int, said: dict[str, str]) -> None:
    role, name, _, words = WRONG[number]
    told = said[f"wrong {number}"]
    assert words in told
    assert "\n" not in told
    others = set(re.findall(rf"\b{role}_\w+", told)) - {name}
    assert len(others) <= 1, told
