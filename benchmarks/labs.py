"""What all sections share: scratch directories that go at the end, the `vexlab` command, guests without a lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ansible_collections.vexfs.vexlab.plugins.module_utils.image.cache import Wanted, ensure
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import Spec

from benchmarks.measure import BenchmarkError, Finished, run, say
from vexlab.config import installation, settings, user_directories

ROOT = Path(__file__).resolve().parent.parent
GUEST = [sys.executable, "-m", "ansible_collections.vexfs.vexlab.plugins.modules.guest"]
# What marks the processes of a run; not named VEXLAB_…, since vexlab keeps such variables from guests.
MARK = "BENCHMARK_MARK"


class Bench:
    """One invocation: a directory of its own for everything, and an image to start from."""

    def __init__(self, scratch: Path) -> None:
        """Take an empty directory; its path is short, because sockets are made in it."""
        self.scratch = scratch
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VEXLAB_", "ANSIBLE_"))},
            "PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.directory("tmp")),
            "XDG_STATE_HOME": str(self.directory("state")), "XDG_RUNTIME_DIR": str(self.directory("run")),
            MARK: scratch.name,
        }  # fmt: skip

    def directory(self, name: str) -> Path:
        """A directory in the scratch directory, made if need be."""
        path = self.scratch / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def new_directory(self, prefix: str) -> Path:
        """An empty directory that didn't exist before."""
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.scratch))

    # --- the command

    def vexlab(self, *arguments: str, env: dict[str, str] | None = None) -> Finished:
        """Run a command of vexlab; raises BenchmarkError when it fails."""
        return run([sys.executable, "-m", "vexlab", *arguments], env=env or self.environment, cwd=ROOT)

    def stages(self, *arguments: str) -> tuple[Finished, dict[str, Any]]:
        """Run `vexlab up` or `test`; also returns the results, which must be those of a run that passed."""
        finished = self.vexlab(*arguments, "--json")
        document: dict[str, Any] = json.loads(finished.stdout)
        if document["verdict"] != "passed":
            raise BenchmarkError(f"vexlab {' '.join(arguments)}: {document['verdict']}, so its time says nothing")
        return finished, document

    def lab(self, name: str) -> Path:
        """Directory of a lab."""
        return self.scratch / "state" / "vexlab" / "labs" / name

    def source(self, name: str) -> Path:
        """A copy of the source of the bundled target, for a lab that edits it or for one that doesn't."""
        copy = self.scratch / "sources" / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.contract["vexlab_source"], copy, ignore=shutil.ignore_patterns(".git", "*.o", "*.ko"))
        return copy

    @cached_property
    def contract(self) -> dict[str, Any]:
        """The lab contract with the bundled target in it."""
        return settings.make("benchmark", settings.Options()).contract

    @cached_property
    def prepared(self) -> dict[str, Any]:
        """The record of a first guest. After it the image and the state of a booted guest are there."""
        say("preparing: the image, and a first guest from it")
        self.vexlab("image", "build", "--name", "prepare")
        parameters = {
            "image": str(image_directory(self.contract)), "memory_mb": self.contract["vexlab_memory_mb"],
            "cpus": self.contract["vexlab_cpus"], "accelerator": self.contract["vexlab_accelerator"],
            "source": str(self.source("still")), "mount_tag": "vexfs_source", "kernel_arguments": "",
        }  # fmt: skip
        inputs = self._inputs("first", parameters)
        try:
            record: dict[str, Any] = self.guest("running", inputs)[1]["guest"]
        finally:
            self.guest("absent", inputs)
        if not record["warm"]:
            raise BenchmarkError(f"guests can't be saved and restored here: {record['warm_reason']}")
        return record

    @property
    def image(self) -> Path:
        """Directory of the image."""
        return Path(self.prepared["parameters"]["image"])

    # --- guests without a lab, by the module that vexlab starts them with

    def guest_inputs(self, name: str, **changes: Any) -> dict[str, Any]:
        """Inputs of role vexlab_guest for a guest in the scratch directory."""
        known = {**self.prepared["parameters"], "accelerator": self.prepared["accelerator"]}
        return self._inputs(name, {**known, **changes})

    def _inputs(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            "lab": name, "directory": str(self.scratch / "guests" / name), "warm": True, "checkpoint": "",
            "from_checkpoint": False, "disks": [],
            "runtime_directory": str(self.scratch / "run" / name), "ssh_port": self.contract["vexlab_ssh_port"],
            "boot_deadline": self.contract["vexlab_boot_deadline"], **parameters,
        }  # fmt: skip

    def guest(self, state: str, inputs: dict[str, Any]) -> tuple[Finished, dict[str, Any]]:
        """Have the module bring a state about; returns its answer, too."""
        arguments = {"ANSIBLE_MODULE_ARGS": {**inputs, "state": state}}
        finished = run([*GUEST, json.dumps(arguments)], env=self.environment, cwd=ROOT)
        answer: dict[str, Any] = json.loads(finished.stdout)
        return finished, answer

    @contextmanager
    def running_guest(self, name: str, **changes: Any) -> Iterator[tuple[Finished, dict[str, Any]]]:
        """Start a guest, and end it afterwards; gives what the start took and the guest's record."""
        inputs = self.guest_inputs(name, **changes)
        try:
            finished, answer = self.guest("running", inputs)
            record = answer["guest"]
            if record["warm"] is not inputs["warm"]:
                raise BenchmarkError(f"the guest is not as it was to be started: {record['warm_reason']}")
            yield finished, record
        finally:
            self.guest("absent", inputs)

    def clear_away(self) -> None:
        """End every guest that was started from the scratch directory."""
        # All are found before the first goes, since its directory goes with it.
        for record in list(self.scratch.rglob("guest.json")):
            known = json.loads(record.read_text())
            inputs = {
                **known["parameters"], "lab": known["lab"], "directory": str(record.parent), "boot_deadline": 60,
                "runtime_directory": str(Path(known["control_path"]).parent),
            }  # fmt: skip
            self.guest("absent", inputs)


@contextmanager
def bench() -> Iterator[Bench]:
    """A scratch directory with nothing left of it afterwards: no guest, no file. SIGTERM counts as Ctrl-C."""
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in ends}
    # Not below TMPDIR: the path of a socket has room for 108 bytes.
    scratch = Path(tempfile.mkdtemp(prefix="vexlab-bench-", dir="/var/tmp"))
    scratch.chmod(0o711)  # mmdebstrap as an ordinary user: root of the user namespace is somebody else
    made = Bench(scratch)
    try:
        yield made
    finally:
        for number in ends:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut this short
        made.clear_away()
        shutil.rmtree(scratch)
        for number in ends:
            signal.signal(number, before[number])


def image_directory(contract: dict[str, Any]) -> Path:
    """Where role vexlab_image keeps the image of a contract that `vexlab image build` has built."""
    role = ROOT / "roles" / "vexlab_image"
    known = installation.read_yaml(role / "vars" / "main.yml")
    base, names = known["__vexlab_image_base_packages"], known["__vexlab_image_files"]
    spec = Spec(
        contract["vexlab_kernel_suite"], (*base, *contract["vexlab_packages"]),
        tuple(contract["vexlab_source_packages"]), contract["vexlab_disk_size_mb"],
    )  # fmt: skip
    files = {name: (role / "files" / name).read_text(encoding="utf-8") for name in names}
    found = ensure(Wanted(user_directories.cache_directory(), spec, files), check=True)
    if found.changed:
        raise BenchmarkError(f"{found.directory} should be the image, but: {found.reason}")
    return Path(found.directory)


def ssh_control(record: dict[str, Any]) -> list[str]:
    """The ssh command that goes through a guest's open connection."""
    return ["ssh", "-F", "/dev/null", "-o", f"ControlPath={record['control_path']}", "guest"]


def mebibytes_of(directory: Path) -> float:
    """MiB that a directory takes on the disk."""
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) / 2048


def default_cache() -> Path:
    """Where the images are that everybody uses."""
    return user_directories.cache_directory()
