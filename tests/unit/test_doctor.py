"""What `vexlab doctor` says of the accelerator is what a guest's start finds out."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import accelerator
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import LabFiles

from vexlab.guest import doctor
from vexlab.guest import lab as labs

needs_kvm = pytest.mark.skipif(
    not os.access("/dev/kvm", os.R_OK | os.W_OK) or not shutil.which("qemu-system-x86_64"),
    reason="there is no KVM to be told about",
)


@pytest.fixture(autouse=True)
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of a user who has used nothing of vexlab yet."""
    for name in ("CACHE_HOME", "STATE_HOME", "RUNTIME_DIR"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))


def image(tmp_path: Path, key: str, written: int) -> Path:
    """A cached image whose kernel runs nowhere: it has no code."""
    directory = tmp_path / "CACHE_HOME/vexlab/images" / key
    directory.mkdir(parents=True)
    for name in ("vmlinuz", "manifest.json"):
        (directory / name).write_text("{}")
        os.utime(directory / name, (written, written))
    return directory


def finding() -> str:
    """What doctor says of the accelerator."""
    return next(found.detail for found in doctor.examine() if found.what in ("accelerator", "QEMU"))


@needs_kvm
def test_kernel_of_the_image_is_tried_as_a_start_tries_it(tmp_path: Path) -> None:
    lab = LabFiles({"lab": "x", "directory": str(tmp_path), "runtime_directory": str(tmp_path / "RUNTIME_DIR/vexlab/x"),
               "image": str(image(tmp_path, "aa", 1))})  # fmt: skip
    lab.runtime.mkdir(parents=True, mode=0o700)
    problem = accelerator.kvm_problem(lab, accelerator.qemu_version())
    assert problem
    assert finding() == f"emulation, about 10 times slower: {problem}; QEMU {accelerator.qemu_version()}"


@needs_kvm
def test_answer_is_kept_for_the_start_that_follows(tmp_path: Path) -> None:
    image(tmp_path, "aa", 1)
    finding()
    assert len(list((tmp_path / "RUNTIME_DIR/vexlab").glob("kvm-probe-*"))) == 1


def test_user_who_may_not_open_kvm_is_told_how(tmp_path: Path) -> None:
    """By the group of the device, if its mode lets that group in."""
    kvm = tmp_path / "kvm"
    assert doctor.way_to_kvm(kvm) == ""
    kvm.touch()
    assert doctor.way_to_kvm(kvm) == ""
    kvm.chmod(0o060)  # its owner is one of those who may not
    told = f"sudo usermod -aG {kvm.group()} {getpass.getuser()} (and log in again)"
    assert doctor.way_to_kvm(kvm) == ("" if os.geteuid() == 0 else told)
    kvm.chmod(0o000)
    assert doctor.way_to_kvm(kvm) == ""


def test_image_of_the_lab_that_was_used_last(tmp_path: Path) -> None:
    assert labs.image_used_last() == ""
    for number, name in enumerate(("newer", "older")):
        lab = labs.Lab(name, tmp_path / "STATE_HOME/vexlab/labs" / name)
        lab.directory.mkdir(parents=True)
        lab.remember_image(f"image-of-{name}")
        os.utime(lab.image_record, (1000 - number, 1000 - number))
    assert labs.image_used_last() == "image-of-newer"
