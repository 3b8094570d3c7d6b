"""A state directory with one run that failed and the lab that it was of, and archives as nobody should make them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from click.testing import CliRunner
from msgspec.structs import replace

from tests.unit.example_runs import a_run
from vexlab.bundle import archive_file
from vexlab.bundle.archive_file import Piece
from vexlab.bundle.manifest import Manifest
from vexlab.cli.main import cli
from vexlab.config import settings
from vexlab.results import results_file
from vexlab.results.model import Amounts, Check, ModuleRecord, Stage, Verdict

MODULE = b"\x7fELF\0the module, with symbols"
RUN = "20261122-090000-ab12"
NAME = "times.change_moves_the_change_time[chmod(2)]"
CHECK = Check(
    NAME, Verdict.FAILED, 0.7, "chmod(2) left the ctime of 3 files", place="tests/stages/mount/test_times.py:157"
)


class Site:
    """One machine: its home, its state, the source of a module, and a run in which a check of stage mount failed."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = root / "home" / "ann"
        self.state = root / "state"
        self.source = self.home / "toyfs"
        self.run = self.state / "vexlab" / "runs" / RUN
        self.lab = self.state / "vexlab" / "labs" / "default"
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("XDG_STATE_HOME", str(self.state))
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        # A replay that isn't refused as it should be ends for lack of QEMU, and starts no guest.
        (root / "tools").mkdir()
        for tool in ("git", "rsync"):
            (root / "tools" / tool).symlink_to(str(shutil.which(tool)))
        monkeypatch.setenv("PATH", str(root / "tools"))
        monkeypatch.chdir(root)
        self.root = root
        self._write_source()
        self._write_lab()
        self._write_run()

    def _write_source(self) -> None:
        (self.source / "kernel").mkdir(parents=True)
        (self.source / "Kbuild").write_text("obj-m := vexfs.o\n")
        (self.source / "kernel" / "super.c").write_text("int answer = 42;\n")
        (self.source / "super.c").symlink_to("kernel/super.c")
        (self.source / "configure").write_text("#!/bin/sh\n")
        (self.source / "configure").chmod(0o755)

    def _write_lab(self) -> None:
        copy = self.lab / "build" / "source"
        copy.parent.mkdir(parents=True)
        shutil.copytree(self.source, copy, symlinks=True)
        (self.lab / "module.ko").write_bytes(MODULE)
        module = {"name": "vexfs", "sha256": hashlib.sha256(MODULE).hexdigest()}
        (self.lab / "module.json").write_text(json.dumps(module))

    def _write_run(self) -> None:
        (self.run / "stages" / "mount").mkdir(parents=True)
        (self.run / "stages" / "stress").mkdir()
        (self.run / "lab").write_text("default\n")
        (self.run / "console.log").write_text(f"booted from {self.state}/vexlab/labs/default and {self.home}/x\n")
        (self.run / "build.log").write_text(f"{self.source}/kernel/super.c:1: warning\n")
        (self.run / "stages" / "mount" / "kernel.log").write_text("[1.0] vexfs: loaded\n")
        (self.run / "stages" / "stress" / "seed").write_text("4711\n")
        (self.run / "events.jsonl").write_text("{}\n")
        (self.run / "stages" / "mount" / "vmcore").write_bytes(b"KDUMP   memory")
        contract = settings.of_target(None) | {"vexlab_source": str(self.source), "vexlab_lab_directory": str(self.lab)}
        (self.run / "contract.json").write_text(json.dumps(contract))
        stages = (Stage("mount", Verdict.FAILED, 2.0, f"{NAME}: it", (CHECK,)), Stage("stress"))
        run = a_run({}, stages=stages, selected=("mount",), verdict=Verdict.FAILED, kernel="6.12.0-amd64")
        module = ModuleRecord("vexfs", hashlib.sha256(MODULE).hexdigest(), "0123ABC", "c-only")
        amounts = Amounts(quick=False, load_cycles=7, mount_cycles=7, churn_operations=100, seed=0)
        results_file.write(self.run / "results.json", replace(run, module=module, amounts=amounts))
        images = self.root / "cache" / "vexlab" / "images"
        images.mkdir(parents=True)
        (images / "01234567.log").write_text(
            "2026-11-28T11:16:48+00:00 Setting up libaudit1:amd64 (1:4.0.2-2+deb13u1) ...\n"
            "2026-11-28T11:16:49+00:00 Setting up linux-image-6.12.0-amd64 (6.12.0-1) ...\n"
            "2026-11-28T11:16:50+00:00 Setting up nothing of this kind\n"
        )

    def command(self, *words: str) -> Any:
        done = CliRunner().invoke(cli, list(words), standalone_mode=False)
        if done.exception:
            raise done.exception
        return done

    def bundle(self) -> Path:
        """Make a bundle of the run."""
        path = self.root / "b.tar.zst"
        self.command("bundle", RUN, "--output", str(path))
        return path


def contents_of(bundle: Path) -> dict[str, bytes]:
    """The members of an archive, read by nothing of vexlab."""
    plain = zstandard.ZstdDecompressor().stream_reader(bundle.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar}


def made_over(bundle: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Path:
    """The archive with other members, as somebody with bad intent makes it."""
    plain = zstandard.ZstdDecompressor().stream_reader(bundle.open("rb")).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar]
    change(members)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for header, content in members:
            if header.isreg():
                header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    path = bundle.with_name("bad.tar.zst")
    path.write_bytes(zstandard.compress(buffer.getvalue()))
    return path


def with_manifest(bundle: Path, **changes: Any) -> Path:
    """The archive with another list."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        document = json.loads(members[0][1]) | changes
        members[0] = (members[0][0], json.dumps(document).encode())

    return made_over(bundle, change)


def archive_of(path: Path, pieces: Sequence[Piece], manifest: Manifest) -> Path:
    """An archive of these pieces, with a list that fits."""
    members = {piece.name: piece.member() for piece in pieces}
    archive_file.write(path, msgspec.structs.replace(manifest, members=members, links={}), pieces)
    return path
