"""What a replay refuses before a guest is started, what it asks of the lab, and what it says of what came out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.bundle_site import CHECK, NAME, Site, with_manifest
from vexlab.bundle import archive_file, comparison, contents, script
from vexlab.bundle.comparison import Comparison
from vexlab.bundle.manifest import Failure, architecture
from vexlab.cli.bundle import options_for
from vexlab.config import settings
from vexlab.errors import HostProblem, UsageProblem
from vexlab.results import results_file
from vexlab.results.model import Check, Stage, Verdict


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_bundle_of_another_hash_is_refused(site: Site) -> None:
    bundle = site.bundle()
    digest = archive_file.sha256_of(bundle)
    assert site.command("replay", str(bundle), "--sha256", digest.upper(), "--sh").stdout.startswith("#!/bin/sh\n")
    with pytest.raises(UsageProblem, match=f"has sha256 {digest}, and not the one that was given"):
        site.command("replay", str(bundle), "--sha256", "0" * 64)
    with pytest.raises(UsageProblem, match="can't be read"):
        site.command("replay", str(site.root / "none.tar.zst"))


def test_bundle_of_another_architecture_is_refused_but_for_its_script(site: Site) -> None:
    machine = {"architecture": "riscv64", "kernel": "6.12.0", "accelerator": "tcg"}
    bundle = with_manifest(site.bundle(), machine=machine)
    with pytest.raises(HostProblem, match=f"of a machine with riscv64, and this one has {architecture()}") as told:
        site.command("replay", str(bundle))
    assert told.value.exit_code == 3
    assert not (site.state / "vexlab" / "bundles").exists()
    assert "insmod" in site.command("replay", str(bundle), "--sh").stdout


def test_unpacked_bundle_that_was_edited_is_not_used(site: Site) -> None:
    bundle = site.bundle()
    site.command("replay", str(bundle), "--sh")
    site.command("replay", str(bundle), "--sh")
    [unpacked] = (site.state / "vexlab" / "bundles").iterdir()
    (unpacked / "reproduce.sh").write_text("rm -rf /\n")
    with pytest.raises(UsageProblem, match=r"no longer what the bundle holds: reproduce\.sh was edited"):
        site.command("replay", str(bundle), "--sh")


def test_replay_asks_for_what_was_run(site: Site) -> None:
    """In another home, with nothing but the bundle: target, source, variant, kernel, amounts and seed."""
    bundle = site.bundle()
    manifest = archive_file.read_manifest(bundle)
    archive_file.unpack(bundle, manifest, site.root / "elsewhere")
    shutil.rmtree(site.home)
    shutil.rmtree(site.state)
    target, source = site.root / "elsewhere" / "target.yml", site.root / "elsewhere" / "source"
    made = settings.make("replay", options_for(manifest, target, source)).contract
    wanted = {
        "source": str(source), "variant": "c-only", "kernel": "trixie", "seed": 4711, "load_cycles": 7,
        "mount_cycles": 7, "memory_mb": 2048, "cpus": 2, "target_file": str(target), "quick": False,
    }  # fmt: skip
    assert {name: made[f"vexlab_{name}"] for name in wanted} == wanted
    assert contents.versions_in(site.root / "elsewhere")["linux-image-6.12.0-amd64"] == "6.12.0-1"
    with pytest.raises(UsageProblem, match="an option that a replay doesn't take: source"):
        options_for(replace(manifest, options={"source": "/etc"}), target, source)


@pytest.mark.parametrize(
    ("check", "same", "words"),
    [
        (CHECK, True, "it came out the same: mount/times"),
        (replace(CHECK, message="chmod(2) left the ctime of 17 files"), True, "it came out the same"),
        (replace(CHECK, message="chmod(2): EIO"), False, "came out otherwise, other words: chmod(2): EIO"),
        (replace(CHECK, verdict=Verdict.PANICKED), False, "came out otherwise, panicked"),
        (replace(CHECK, verdict=Verdict.PASSED, message=""), False, "passed here; in the bundle it is failed"),
        (replace(CHECK, verdict=Verdict.NOT_RUN), False, "was not reached"),
        (replace(CHECK, name="times.other"), False, "was not reached"),
    ],
    ids=["same", "numbers", "cause", "verdict", "passed", "not run", "not there"],
)
def test_same_is_the_same_verdict_and_the_same_cause(site: Site, check: Check, same: bool, words: str) -> None:
    manifest = archive_file.read_manifest(site.bundle())
    was = results_file.read(site.run / "results.json")
    run = replace(was, stages=(Stage("mount", check.verdict, 1.0, "", (check,)),))
    found = comparison.compare(manifest, run, {"a": "1"}, {"a": "1"})
    assert (found.same, words in found.words) == (same, True), found.words


def test_addresses_are_no_part_of_a_cause() -> None:
    was = Failure("load", "", Verdict.PANICKED, "BUG: unable to handle page fault for address: ffff888003c4e000")
    came = replace(was, words="BUG: unable to handle page fault for address: ffff8880aa11bb22")
    assert Comparison(was, came).same
    assert not Comparison(was, replace(came, words="BUG: sleeping function called")).same


def test_what_was_different_is_said(site: Site) -> None:
    manifest = archive_file.read_manifest(site.bundle())
    run = replace(results_file.read(site.run / "results.json"), kernel="6.12.9-amd64", suite="another")
    here = {"libc6": "2.41-12", "make": "4.4"}
    there = {"libc6": "2.41-11", "make": "4.4", "gone": "1"}
    assert comparison.compare(manifest, run, here, there).differences == [
        "kernel 6.12.9-amd64 here, 6.12.0-amd64 there",
        "the checks are others, of the same version of vexlab",
        "gone not here, 1 there",
        "libc6 2.41-12 here, 2.41-11 there",
    ]
    run = results_file.read(site.run / "results.json")
    assert comparison.compare(manifest, run, {}, there).differences == ["package versions are not known on both sides"]
    many = {f"package-{number}": "1" for number in range(20)}
    assert comparison.compare(manifest, run, {"x": "1"}, many).differences[-1] == "15 more packages"


def script_of(site: Site, failure: Failure, **contract: Any) -> str:
    known = settings.of_target(None) | contract
    return script.render("toyfs", failure, known, {"variant": "c-only", "seed": 4711})


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        ("build", ["make"]),
        ("load", ["make", "mkfs", "insmod"]),
        ("mkfs", ["make", "mkfs"]),
        ("mount", ["make", "mkfs", "insmod", "mount"]),
        ("errors", ["make", "mkfs", "insmod", "mount"]),
    ],
)
def test_script_goes_no_further_than_the_failure(site: Site, stage: str, steps: list[str]) -> None:
    text = script_of(site, Failure(stage, "", Verdict.FAILED, "it broke"))
    starts = {"make": "\nmake ", "mkfs": "\n./mkfs/mkfs.vexfs ", "insmod": "\ninsmod ", "mount": "\nmount -t vexfs "}
    assert [name for name, start in starts.items() if start in text] == steps
    path = site.root / "reproduce.sh"
    path.write_text(text)
    linted = subprocess.run(
        ["shellcheck", "--severity=warning", str(path)], capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout


def test_script_says_what_the_check_does(site: Site) -> None:
    text = script_of(site, Failure("mount", NAME, Verdict.FAILED, "it broke"))
    assert "# def test_change_moves_the_change_time(" in text
    assert "# Its case: chmod(2)" in text
    assert "# Its seed: 4711" in text
    own = Failure("mount", "target_checks.declared[vectors of files]", Verdict.FAILED, "no vector")
    assert '\nkernel/tests/test_vector store "$MOUNT"\n' in script_of(site, own)


def test_words_of_a_guest_are_no_commands(site: Site) -> None:
    words = "first\nrm -rf /\n\x1b]0;title\x07\r\nexit 0\u2028touch /evil"
    text = script_of(site, Failure("mount", "a\nrm -rf /b", Verdict.FAILED, words))
    lines = text.splitlines()
    assert not [line for line in lines if line.startswith(("rm ", "exit 0", "touch"))]
    assert "\x1b" not in text


def test_script_refuses_a_machine_that_is_no_vm(site: Site) -> None:
    """Before anything is copied, built or loaded."""
    path = site.root / "reproduce.sh"
    path.write_text(script_of(site, Failure("load", "", Verdict.FAILED, "it broke")))
    tools = site.root / "pretended"
    tools.mkdir()
    answers = {"systemd-detect-virt": "exit 1", "mktemp": "touch reached; exit 1", "id": "echo 0"}
    for name, what in answers.items():
        (tools / name).write_text(f"#!/bin/sh\n{what}\n")
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", str(path), str(site.source)], capture_output=True, text=True, check=False, cwd=site.root,
        env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        3,
        "reproduce: this is no VM: the module may crash or damage the machine\n",
    )
    assert not (site.root / "reached").exists()
    (tools / "systemd-detect-virt").write_text("#!/bin/sh\nexit 0\n")
    done = subprocess.run(
        ["/bin/sh", str(path), str(site.source)], capture_output=True, text=True, check=False, cwd=site.root,
        env=environment,
    )  # fmt: skip
    assert (site.root / "reached").exists()
    done = subprocess.run(["/bin/sh", str(path)], capture_output=True, text=True, check=False, env=environment)
    assert "name the directory of the source" in done.stderr
