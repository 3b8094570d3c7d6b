"""What is fetched of Debian for a kernel, package lists and packages: by mmdebstrap, which knows Debian's mirrors."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .package_lists import Package, parse
from .store import ImageError, sha256, write_whole
from .worker import BuildLog, Job, build_log

# What mmdebstrap says, and what it means.
_GONE = re.compile(r"Version '.+' for '.+' was not found|Unable to locate package")
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")
_NO_SUITE = re.compile(r"does not have a Release file|404 +Not Found")
_NO_MIRROR = re.compile(r"Failed to fetch|Could not (resolve|connect)|Temporary failure|Unable to connect")
_OPTIONS = ('Acquire::Languages "none"', 'Acquire::Retries "2"', 'APT::Sandbox::User "root"')


class OutdatedError(ImageError):
    """The mirror no longer has what the package lists named that were fetched last."""


class Download(Job):
    """A job whose child processes fetch things into their current directory."""

    def fetch(self, suite: str, hooks: Iterable[str], work: Path, log: BuildLog) -> None:
        """Have mmdebstrap read the lists of a suite into an empty root, and run hooks there. Raises ImageError."""
        options = ["--variant=custom", "--format=null", *_hooked(hooks)]
        self._debootstrap(suite, "/dev/null", options, work, log)

    def install(self, suite: str, options: Iterable[str], hooks: Iterable[str], work: Path, log: BuildLog) -> Path:
        """Have mmdebstrap make a small Debian by these options; returns it, packed by tar. Raises ImageError."""
        options = ["--variant=minbase", "--format=tar", *options, *_hooked(hooks)]
        self._debootstrap(suite, "userspace.tar", options, work, log)
        return work / "userspace.tar"

    def _debootstrap(self, suite: str, target: str, options: list[str], work: Path, log: BuildLog) -> None:
        command = ["mmdebstrap", "--architectures=amd64", "--mode=unshare", *options]
        command += [f"--aptopt={option}" for option in _OPTIONS]
        try:
            self.run([*command, suite, target], work, log)
        except ImageError as problem:
            raise explained(suite, log) from problem

    def run(self, command: list[str], work: Path, log: BuildLog) -> None:
        """Run a child into the log; raises ImageError when it fails."""
        self._run(command, work, log)


def _hooked(hooks: Iterable[str]) -> list[str]:
    return [f"--customize-hook={hook}" for hook in hooks]


def explained(suite: str, log: BuildLog) -> ImageError:
    """What a failed download means, by its log."""
    said = log.path.read_text(encoding="utf-8", errors="replace")
    complaints = [text for text in log.last if text.startswith(("E: ", "W: Failed"))]
    last = "\n".join(f"  {text}" for text in complaints[:3] or list(log.last)[-3:])
    if _NO_ROOM.search(said):
        return ImageError(f"The disk is full: {log.path.parent} can't take the kernel.", "Free some space there.")
    if _GONE.search(said):
        return OutdatedError(f"Debian {suite} has no such package any more:\n{last}\n", "vexlab kernel list --refresh")
    if _NO_SUITE.search(said):
        return ImageError(
            f"Debian has no suite {suite}.", "`vexlab kernel list` names suites and kernels.", of_request=True
        )
    if _NO_MIRROR.search(said):
        return ImageError(
            f"Debian's mirror can't be reached for suite {suite}:\n{last}\n",
            "Check that apt works here: sudo apt-get update",
        )
    return ImageError(
        f"Packages of Debian {suite} could not be fetched. {log.path} ends with:\n{last}\n", "Run it again."
    )


def downloading(names: Iterable[str]) -> list[str]:
    """The hooks of mmdebstrap that bring packages to the current directory, and install none."""
    download = 'mkdir "$1/vexlab" && cd "$1/vexlab" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download'
    return [f"{download} {' '.join(names)}", "sync-out /vexlab ."]


def lists_of(job: Download, suite: str, *, refresh: bool) -> dict[str, Package]:
    """The packages of kernels that a suite has, by the lists that were fetched last. Raises ImageError."""
    kept = list_file(job.cache, suite)
    if not refresh and (known := read_list(kept)):
        return known
    if not shutil.which("mmdebstrap"):
        raise ImageError("mmdebstrap is not installed, which fetches packages.", "Run: sudo apt-get install mmdebstrap")
    kept.parent.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{suite}.", suffix=".tmp", dir=kept.parent))
    work.chmod(0o777)  # root of the user namespace is somebody else
    try:
        with build_log(kept.with_suffix(".log"), fresh=True) as log:
            log.line(f"vexlab: fetching the package lists of Debian {suite}")
            job.fetch(suite, ["sync-out /var/lib/apt/lists ."], work, log)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(work.glob("*_Packages"))]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = parse("\n\n".join(texts))
    packages = [dataclasses.asdict(package) for package in found.values()]
    write_whole(kept, json.dumps({"fetched": time.time(), "packages": packages}))
    return found


def list_file(kernels: Path, suite: str) -> Path:
    """Where the packages of a suite are noted, among the kernels."""
    return kernels / "lists" / f"{suite}.json"


def read_list(path: Path) -> dict[str, Package]:
    """The packages that were noted; empty when there are none, or none that can be read."""
    try:
        packages = [Package(**one) for one in json.loads(path.read_text(encoding="utf-8"))["packages"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {one.name: dataclasses.replace(one, depends=tuple(one.depends)) for one in packages}


def fetch_packages(job: Download, suite: str, packages: Sequence[Package], work: Path, log: BuildLog) -> list[Path]:
    """Download packages to a directory; raises ImageError, OutdatedError when the mirror has others by now."""
    log.line(f"vexlab: fetching {len(packages)} packages of Debian {suite}")
    work.mkdir()
    work.chmod(0o777)
    job.fetch(suite, downloading(f"{package.name}={package.version}" for package in packages), work, log)
    found = sorted(work.glob("*.deb"))
    sums = {sha256(path) for path in found}
    if missing := [package.name for package in packages if package.sha256 not in sums]:
        raise OutdatedError(
            f"Debian {suite} has another {', '.join(missing)} than its lists said.", "vexlab kernel list --refresh"
        )
    return found
