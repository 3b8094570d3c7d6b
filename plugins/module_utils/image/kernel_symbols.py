"""A kernel with its debug information: Debian has it in a package of its own, of which `vmlinux` alone is kept.

It is kept in `symbols/<release>/` among the kernels.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from . import downloads, store
from .downloads import Download
from .kernels import Store, check_room
from .package_lists import Package
from .store import ImageError
from .worker import BuildLog, build_log

DIRECTORY = "symbols"
VMLINUX = "vmlinux"
UNPACKED = 600_000_000  # bytes that a vmlinux takes, roughly


@dataclass(frozen=True)
class Offer:
    """The package that has the debug information of a kernel, and the suite that has the package."""

    suite: str
    package: Package


def find(kernels: Path, release: str) -> Path | None:
    """The kernel of a release with its debug information, if it was fetched; `kernels` is where kernels are kept."""
    path = kernels / DIRECTORY / release / VMLINUX
    return path if path.is_file() else None


def offer(release: str, lists: Mapping[str, Mapping[str, Package]]) -> Offer:
    """Where the debug information of a kernel can be had; raises ImageError when no suite has it."""
    name = f"linux-image-{release}-dbg"
    for suite, packages in lists.items():
        if name in packages:
            return Offer(suite, packages[name])
    raise ImageError(
        f"None of {', '.join(lists)} has the debug information of kernel {release} ({name}).",
        "Debian has that of its newest kernels alone; `vexlab kernel list --refresh` fetches the lists anew.",
        of_request=True,
    )


def ensure(kernels: Store, found: Offer, release: str) -> Path:
    """Have it there; raises ImageError. It appears when it is whole, or not at all."""
    with store.locked(kernels.directory, f"{DIRECTORY}-{release}", lambda _: None) as lock:
        known = find(kernels.directory, release)
        if known is not None:
            return known
        check_room(kernels.cache, (found.package.size + UNPACKED) // 1_000_000, "the kernel's debug information")
        place = kernels.directory / DIRECTORY
        place.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{release}.", suffix=".tmp", dir=place))
        work.chmod(0o755)  # root of the user namespace is somebody else
        try:
            with build_log(place / f"{release}.log", fresh=True) as log:
                job = Download(kernels.directory, release, kernels.spec, {}, cast("int", lock))
                [deb] = downloads.fetch_packages(job, found.suite, [found.package], work / "debs", log)
                _take(deb, release, work / VMLINUX, log)
            shutil.rmtree(work / "debs")
            work.rename(place / release)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return place / release / VMLINUX


def _take(deb: Path, release: str, target: Path, log: BuildLog) -> None:
    """Take the kernel alone out of a package; raises ImageError."""
    member = f"./usr/lib/debug/boot/{VMLINUX}-{release}"
    log.line(f"vexlab: unpacking {member}")
    with (
        target.open("wb") as file,
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as packed,
    ):
        done = subprocess.run(
            ["tar", "--extract", "--to-stdout", "--occurrence=1", member],
            stdin=packed.stdout, stdout=file, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if packed.stdout is not None:
            packed.stdout.close()
    if done.returncode or not target.stat().st_size:
        said = " ".join(done.stderr.split())[-300:]
        raise ImageError(f"{deb.name} has no {member} ({said}).", "Is the disk full?")
