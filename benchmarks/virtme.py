"""virtme-ng (`vng`) with the kernel and the root filesystem of vexlab's image.

It is no dependency of vexlab: the extra `bench` of pyproject.toml has it, and without it the benchmark says so.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.labs import Bench
from benchmarks.measure import BenchmarkError, Command, run

TOOLS = {
    "vng": "pip install '.[bench]'",
    "debugfs": "apt-get install e2fsprogs",
    "qemu-img": "apt-get install qemu-utils",
}


def obstacle(bench: Bench) -> str:
    """Why virtme-ng can't be run here; empty when it can."""
    path = bench.environment["PATH"]
    return "; ".join(f"{tool} is missing ({how})" for tool, how in TOOLS.items() if not shutil.which(tool, path=path))


class Virtme:
    """What vng needs: a kernel with its modules beside it, and a root filesystem as a directory."""

    def __init__(self, bench: Bench) -> None:
        """Unpack the image's disk; nothing of this is timed."""
        self.bench = bench
        directory = bench.directory("virtme")
        self.root, self.kernel = _unpack(bench, directory)
        self.environment = dict(bench.environment)
        if not shutil.which("modprobe", path=bench.environment["PATH"]):
            self._lend_modprobe(directory / "bin")
        kvm = bench.prepared["accelerator"] == "kvm"
        self.options = ["--root", str(self.root), *([] if kvm else ["--disable-kvm"])]
        if not _has_virtiofsd(bench.environment["PATH"]):
            self.options.append("--force-9p")

    @property
    def shown(self) -> str:
        """The command as it is shown to people."""
        return " ".join(["vng -r KERNEL", *self.options, "-- true"]).replace(str(self.root), "ROOT")

    def run(self) -> float:
        """Boot, run `true`, end: seconds."""
        command: Command = ["vng", "-r", self.kernel, *self.options, "--", "true"]
        return run(command, env=self.environment).seconds

    def _lend_modprobe(self, directory: Path) -> None:
        """Give vng the image's own modprobe, with its own libraries: not every host has one."""
        usr = self.root / "usr"
        loader, libraries = usr / "lib64" / "ld-linux-x86-64.so.2", usr / "lib" / "x86_64-linux-gnu"
        directory.mkdir()
        wrapper = directory / "modprobe"
        wrapper.write_text(
            f'#!/bin/sh\nexec {loader} --argv0 modprobe --library-path {libraries} {usr}/bin/kmod "$@"\n'
        )
        wrapper.chmod(0o755)
        self.environment["PATH"] = f"{directory}:{self.environment['PATH']}"


def _has_virtiofsd(path: str) -> bool:
    """Whether there is one that vng can use. For the one that came with QEMU before version 8 it waits in vain."""
    return shutil.which("virtiofsd", path=f"{path}:/usr/libexec:/usr/lib/virtiofsd:/usr/lib") is not None


def _unpack(bench: Bench, directory: Path) -> tuple[Path, Path]:
    """Root filesystem of the image as a directory, and its kernel, with the modules apart from it.

    vng takes from them what its initramfs needs. In the root filesystem, udev would load drivers for all it finds,
    which takes a third longer and helps nothing: each contestant is measured at its best.
    """
    disk, root = directory / "disk.raw", directory / "root"
    root.mkdir()
    run(["qemu-img", "convert", "-O", "raw", bench.image / "disk.qcow2", disk], env=bench.environment)
    run(["debugfs", "-R", f"rdump / {root}", disk], env=bench.environment)
    disk.unlink()
    release = json.loads((bench.image / "manifest.json").read_text())["kernel_release"]
    modules, kernel = root / "usr" / "lib" / "modules" / release, root / "boot" / f"vmlinuz-{release}"
    # debugfs tells of its failures in words only.
    if not kernel.is_file() or not (modules / "modules.dep").is_file():
        raise BenchmarkError(f"debugfs did not unpack {bench.image / 'disk.qcow2'}: no kernel {release} in it")
    apart = directory / "kernel"
    (apart / "lib" / "modules").mkdir(parents=True)
    (apart / "boot").mkdir()
    modules.rename(apart / "lib" / "modules" / release)
    return root, kernel.rename(apart / "boot" / kernel.name)
