"""A failure that travels: made on one machine, and run again in another home, where nothing of the first is left."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Done, Vexlab, edit

pytestmark = pytest.mark.thorough

TARGET = yaml.safe_load((ROOT / "examples" / "targets" / "vexfs.yml").read_text())

FAULT = "	if (attr->ia_valid & ATTR_MODE)\n		attr->ia_valid &= ~ATTR_CTIME;\n"
CHECK = "mount/times.change_moves_the_change_time[chmod(2)]"


@pytest.fixture(scope="module")
def failed(vexlab: Vexlab, source: Path) -> Done:
    """A run in which chmod(2) leaves the change time as it is: one check fails, and its guest lives."""
    copy = "	setattr_copy(idmap, inode, attr);\n"
    edit(source / "kernel" / "inode.c", copy, f"{FAULT}{copy}")
    words = ("--name", "first", "--source", str(source), "--seed", "4711", "--builder", "sandbox", "--check", CHECK)
    return vexlab("test", "--json", *words)


@pytest.fixture(scope="module")
def bundle(vexlab: Vexlab, failed: Done) -> Path:
    """The bundle of that run; its source, its lab and its run are gone afterwards."""
    path = vexlab.home / "failure.tar.zst"
    made = vexlab("bundle", failed.document["run"], "--output", str(path), "--json")
    assert made.code == 0, made.stderr
    assert made.document["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.document["lacks"] == []
    return path


@pytest.fixture(scope="module")
def elsewhere(bundle: Path, source: Path) -> Iterator[Vexlab]:
    """Another person's home with no lab, no run and other directories; the source of the first is out of reach."""
    home = Path(tempfile.mkdtemp(prefix="vexlab-e2e-"))
    other = Vexlab(home)
    shutil.copy(bundle, home / "failure.tar.zst")
    source.rename(source.with_name("moved-away"))
    try:
        yield other
    finally:
        other.end()
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def replayed(elsewhere: Vexlab) -> Done:
    digest = hashlib.sha256((elsewhere.home / "failure.tar.zst").read_bytes()).hexdigest()
    return elsewhere("replay", "failure.tar.zst", "--sha256", digest, "--json")


def test_only_the_check_fails(failed: Done) -> None:
    assert failed.code == 1, failed.stderr
    wrong = [check["name"] for check in failed.stage("mount")["checks"] if check["verdict"] == "failed"]
    assert [f"mount/{name}" for name in wrong] == [CHECK]


def test_image_that_it_failed_on_travels_along(failed: Done, vexlab: Vexlab, bundle: Path) -> None:
    """Of the check's own filesystem, as large as the target has it, with the magic of the format."""
    [name] = [path for path in failed.document["evidence"].values() if path.endswith(".img")]
    image = vexlab.runs / failed.document["run"] / name
    listed = subprocess.run(
        ["tar", "--zstd", "-tf", str(bundle)], capture_output=True, text=True, check=True
    ).stdout.split()  # fmt: skip
    assert f"run/{name}" in listed
    assert image.stat().st_size == TARGET["vexlab_device_size_mb"] << 20
    assert image.stat().st_blocks * 512 < image.stat().st_size // 2
    offset, magic = TARGET["vexlab_superblock_magic_offset"], bytes.fromhex(TARGET["vexlab_superblock_magic"])
    assert image.read_bytes()[offset : offset + len(magic)] == magic


def test_it_comes_out_the_same_in_another_home(replayed: Done, failed: Done) -> None:
    assert replayed.code == 0, replayed.stderr
    assert "it came out the same" in replayed.stderr
    document: Any = replayed.document
    assert (document["same"], document["check"], document["came"]) == (True, CHECK, "failed")
    assert document["differences"] == []
    assert document["run"] != failed.document["run"]


def test_what_was_built_is_the_same_module(replayed: Done, failed: Done, elsewhere: Vexlab) -> None:
    """Byte for byte, from the source in the bundle."""
    results = json.loads((elsewhere.runs / replayed.document["run"] / "results.json").read_text())
    assert results["module"]["sha256"] == failed.document["module"]["sha256"]


def test_run_was_the_one_that_was_asked_for(replayed: Done, elsewhere: Vexlab) -> None:
    contract = json.loads((elsewhere.runs / replayed.document["run"] / "contract.json").read_text())
    assert contract["vexlab_source"].startswith(str(elsewhere.home / "state" / "vexlab" / "bundles"))
    assert contract["vexlab_seed"] == 4711
    results = json.loads((elsewhere.runs / replayed.document["run"] / "results.json").read_text())
    assert results["chosen"] == [CHECK]


def test_nothing_is_left_running(replayed: Done, elsewhere: Vexlab) -> None:
    assert elsewhere.processes() == []


def test_unpacked_bundle_that_was_edited_is_refused(elsewhere: Vexlab, replayed: Done) -> None:
    """Before a guest is started: what comes out would be of another source."""
    assert replayed.code == 0
    [unpacked] = (elsewhere.home / "state" / "vexlab" / "bundles").iterdir()
    edit(unpacked / "source" / "kernel" / "inode.c", FAULT, "")
    again = elsewhere("replay", "failure.tar.zst")
    assert again.code == 2
    assert "source/kernel/inode.c was edited" in again.stderr


def test_script_makes_the_same_steps(elsewhere: Vexlab, replayed: Done) -> None:
    """And refuses this machine, unless it is a VM: then nothing is run here, either."""
    assert replayed.code == 0
    shutil.rmtree(elsewhere.home / "state" / "vexlab" / "bundles")
    done = elsewhere("replay", "failure.tar.zst", "--sh")
    assert done.code == 0, done.stderr
    assert "# def test_change_moves_the_change_time(" in done.stdout
    fake = elsewhere.home / "tools"
    fake.mkdir()
    (fake / "systemd-detect-virt").write_text("#!/bin/sh\nexit 1\n")
    (fake / "systemd-detect-virt").chmod(0o755)
    ran = subprocess.run(
        ["sh", "-s", str(elsewhere.home)], input=done.stdout, text=True, capture_output=True, check=False,
        env=os.environ | {"PATH": f"{fake}:/usr/bin:/bin"},
    )  # fmt: skip
    assert ran.returncode == 3
    assert "this is no VM" in ran.stderr
