"""The module from a fresh copy of its source: in the sandbox, in the guest, and by plain make in a chroot."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from benchmarks.labs import ROOT, Bench, ssh_control
from benchmarks.measure import BenchmarkError, Command, Contestant, interleave, run
from benchmarks.table import Row, at_most, ratio, seconds
from vexlab.config import installation

ROLE = ROOT / "roles" / "vexfs_build"
UTILS = ROOT / "plugins" / "module_utils"
SANDBOX, CHROOT, GUEST = "sandbox", "make in a chroot", "guest"


def build_inputs(contract: dict[str, Any]) -> dict[str, Any]:
    """Inputs of the role's build script, as the playbooks hand them over."""
    work, defaults = contract["vexlab_work_directory"], installation.read_yaml(ROLE / "defaults" / "main.yml")
    return {
        "source": f"{work}/source", "destination": f"{work}/build", "record": f"{work}/build.json",
        "directory": contract["vexlab_build_directory"], "before": contract["vexlab_build_before"],
        "command": contract["vexlab_build_command"], "variant": contract["vexlab_variant"],
        "module_file": contract["vexlab_module_file"], "kernel_release": "", "jobs": defaults["vexfs_build_jobs"],
        "clean": False,
        "deadline": defaults["vexfs_build_deadline"],
    }  # fmt: skip


def sandbox_inputs(bench: Bench, source: Path, work: Path) -> dict[str, Any]:
    """The same with what the sandbox needs to know of this machine."""
    contract = bench.contract
    return build_inputs(contract) | {
        "root": str(bench.image / "sandbox"), "work": str(work), "tree": str(source), "source_in_guest": "",
        "exclude": contract["vexlab_exclude"],
    }  # fmt: skip


class Builders:
    """The three builders over one source; each run begins with nothing built and tells its seconds."""

    def __init__(self, bench: Bench, guest: dict[str, Any]) -> None:
        """Take a running guest, which shares the source."""
        self.bench = bench
        self.source = bench.scratch / "sources" / "still"
        self.ssh = ssh_control(guest)
        self.inputs = build_inputs(bench.contract)
        self.modules: dict[str, str] = {}
        self._in_guest(f"mount --mkdir -t 9p -o ro,trans=virtio,version=9p2000.L vexfs_source {self._share()}")
        self._in_guest(f"mkdir -p {bench.contract['vexlab_work_directory']}")

    def sandbox(self) -> float:
        """The role's sandbox."""
        work = self.bench.new_directory("work")
        inputs = sandbox_inputs(self.bench, self.source, work)
        script: Command = ["python3", UTILS / "sandbox.py", json.dumps(inputs)]
        took = run(script, env=self.bench.environment, stdin=UTILS / "build.py").seconds
        self._note(SANDBOX, self._digest(work / "build"))
        shutil.rmtree(work)
        return took

    def chroot(self) -> float:
        """Make alone, in the same root filesystem, under the same paths; the copy of the source isn't timed."""
        work = self.bench.new_directory("work")
        shutil.copytree(self.source, work / "build")
        script: Command = ["sh", ROOT / "benchmarks" / "chroot_make.sh", self.bench.image / "sandbox", work]
        destination = str(Path(self.inputs["destination"]) / self.inputs["directory"])
        command = "\n".join([*self.inputs["before"], self.inputs["command"]])
        values = {"COMMAND": command, "DIRECTORY": destination, "VARIANT": self.inputs["variant"]}
        took = run(script, env=self.bench.environment | values).seconds
        self._note(CHROOT, self._digest(work / "build"))
        shutil.rmtree(work)
        return took

    def guest(self) -> float:
        """The role's build script in the guest, from the copy on its own disk."""
        source, destination = self.inputs["source"], self.inputs["destination"]
        self._in_guest(f"rm -rf {source} {destination} {self.inputs['record']} && cp -a {self._share()} {source}")
        command = ["python3", "-", "build", json.dumps(self.inputs)]
        build = [*self.ssh, shlex.join(command)]
        took = run(build, env=self.bench.environment, stdin=UTILS / "build.py").seconds
        module = self._in_guest(f"sha256sum {destination}/{self.inputs['module_file']}").split()[0]
        self._note(GUEST, module)
        return took

    def _share(self) -> str:
        return str(self.bench.contract["vexlab_share_directory"])

    def _in_guest(self, script: str) -> str:
        return run([*self.ssh, script], env=self.bench.environment).stdout

    def _digest(self, build: Path) -> str:
        return hashlib.sha256((build / self.inputs["module_file"]).read_bytes()).hexdigest()

    def _note(self, builder: str, digest: str) -> None:
        """Refuse to compare builders that don't build the same."""
        self.modules[builder] = digest
        if len(set(self.modules.values())) != 1:
            raise BenchmarkError(
                f"the builders made different modules, so their times can't be compared: {self.modules}"
            )


def measure(bench: Bench, runs: int) -> list[Row]:
    """Sandbox against guest and against make in a chroot."""
    source = str(bench.source("still"))
    with bench.running_guest("builder", source=source) as (_, record):
        builders = Builders(bench, record)
        contestants = [
            Contestant(SANDBOX, builders.sandbox),
            Contestant(CHROOT, builders.chroot),
            Contestant(GUEST, builders.guest),
        ]
        times = interleave(contestants, runs)
    return [
        seconds("build in the sandbox", times[SANDBOX]),
        seconds(
            "plain make in a chroot of the same root filesystem", times[CHROOT], remark="the same module, byte for byte"
        ),
        ratio("sandbox ÷ make in a chroot", times[SANDBOX], times[CHROOT], at_most(1.1)),
        seconds("build in the guest", times[GUEST]),
        ratio("guest ÷ sandbox", times[GUEST], times[SANDBOX]),
    ]
