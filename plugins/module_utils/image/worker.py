"""One build: what it needs, the process that does it, its log, and what its failure means."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from .store import ImageError, Spec, remove_tree, write_manifest

NEEDED_MB = 5000  # root file system, raw disk and qcow2 exist side by side for a moment
LAST_LINES = 12

# A line of the build's log, and what it means. The first match in this order is the cause.
CAUSES = (
    ("No space left on device", "The disk is full.", "Free about {needed} MB for {cache}, then run again."),
    ("Disk quota exceeded", "Your disk quota is used up.", "Free about {needed} MB for {cache}, then run again."),
    ("Unable to locate package", "Debian {suite} has no such package.", "Check {packages}."),
    ("has no installation candidate", "Debian {suite} cannot install one of the packages.", "Check {packages}."),
    ("unmet dependencies", "Debian {suite} cannot install these packages together.", "Check {packages}."),
    ("NO_PUBKEY", "The keys of Debian {suite} are not here.", "Run: sudo apt-get install debian-archive-keyring"),
    ("does not have a Release file", "Debian has no suite {suite}.", "Check vexlab_image_suite."),
    ("Failed to fetch", "Packages could not be downloaded.", "Check that apt works here: sudo apt-get update"),
)
PACKAGES = "vexlab_image_packages and vexlab_image_source_packages"


class BuildLog:
    """The log of one build: every line with the time, in a file that stays and in short form in memory."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        """Write to `stream`, which is open on `path`."""
        self.path = path
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.causes: list[str] = []
        self.step = "before the first step"
        self._stream = stream

    def line(self, text: str) -> None:
        """Append one line, at once: whoever shows progress reads this file."""
        print(datetime.datetime.now().astimezone().isoformat(timespec="seconds"), text, file=self._stream, flush=True)
        if text:
            self.last.append(text)
        if text.startswith("vexlab: step "):
            self.step = text[len("vexlab: ") :]
        if any(pattern in text for pattern, _, _ in CAUSES):
            self.causes.append(text)

    def failure(self, otherwise: str, spec: Spec, cache: Path) -> ImageError:
        """Turn a failed child into one error: the cause when it is known, the last lines, and where the log is."""
        meaning, remedy = otherwise, f"Read {self.path}, then run again."
        for pattern, known, hint in CAUSES:
            if any(pattern in text for text in self.causes):
                values = {"suite": spec.suite, "cache": cache, "needed": NEEDED_MB, "packages": PACKAGES}
                meaning, remedy = known.format(**values), hint.format(**values)
                break
        quoted = "\n".join(f"  {text}" for text in (*self.causes[:3], *self.last))
        return ImageError(f"{meaning} No image was built ({self.step}). {self.path} ends with:\n{quoted}\n", remedy)


@contextlib.contextmanager
def build_log(path: Path, *, fresh: bool) -> Iterator[BuildLog]:
    """Open the log of a key; a build starts a fresh one, and somebody who waits for it adds to it."""
    if fresh:
        path.unlink(missing_ok=True)
    with path.open("a", encoding="utf-8", errors="replace") as stream:
        yield BuildLog(path, stream)


def check_host(cache: Path) -> None:
    """Find out before the work what would end it, and say how to change it."""
    if platform.machine() != "x86_64":
        raise ImageError(
            f"Images are for amd64, and this machine is {platform.machine()}.", "Use an x86-64 machine as hypervisor."
        )
    packages = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "mount": "mount"}
    missing = sorted(package for tool, package in packages.items() if not shutil.which(tool, path=_path()))
    if missing:
        raise ImageError(
            f"Building an image needs {', '.join(missing)}, which this machine does not have.",
            f"Run: sudo apt-get install --no-install-recommends {' '.join(missing)}, or apply the role vexlab_host.",
        )
    free = shutil.disk_usage(cache).free // 1_000_000
    if free < NEEDED_MB:
        raise ImageError(
            f"There is no space for an image: {cache} has {free} MB free, and building needs {NEEDED_MB} MB.",
            "Free some space there, or set vexlab_image_cache to a directory on a larger file system.",
        )
    if os.geteuid() != 0:
        _check_user_namespace()


def _path() -> str:
    """PATH, with the directories that a plain user's may lack and that mke2fs is in."""
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def _check_user_namespace() -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    for name in ("/etc/subuid", "/etc/subgid"):
        try:
            lines = Path(name).read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        if not any(line.split(":")[0] == user for line in lines):
            raise ImageError(
                f"The user {user} has no subordinate ids: {name} has no line for it.",
                f"Run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user} "
                "(any 65536 ids that nobody else has), or build as root.",
            )
    if not shutil.which("newuidmap", path=_path()):
        raise ImageError(
            "newuidmap is not installed.", "Run: sudo apt-get install uidmap, or apply the role vexlab_host."
        )
    tried = subprocess.run(
        ["mmdebstrap", "--unshare-helper", "true"],
        env={**os.environ, "PATH": _path()}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        said = " ".join((tried.stderr or tried.stdout).split())
        raise ImageError(
            f"Unprivileged user namespaces do not work on this machine ({said}).",
            "Run: sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
            "(on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0), or build as root.",
        )


@dataclass(frozen=True)
class Job:
    """One build of the image of a key, whose lock (an open descriptor) the caller holds."""

    cache: Path
    key: str
    spec: Spec
    files: Mapping[str, str]  # the text of each by its name
    lock: int

    def build(self) -> None:
        """Build it. The image appears under its name when it is whole, or not at all."""
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{self.key}.", suffix=".tmp", dir=self.cache))
            try:
                with build_log(self.cache / f"{self.key}.log", fresh=True) as log:
                    self._assemble(temporary, log)
            finally:
                remove_tree(temporary)
        except OSError as error:
            raise ImageError(
                f"No image was built: {error}.",
                f"It takes {NEEDED_MB} MB in {self.cache}, which you must be able to write.",
            ) from error

    def _assemble(self, temporary: Path, log: BuildLog) -> None:
        log.line(f"vexlab: step 1/6: preparing {temporary}")
        work, image = temporary / "work", temporary / "image"
        self._prepare(work)
        self._run(["mmdebstrap", "--unshare-helper", "sh", "files/assemble.sh", *self._arguments()], work, log)
        log.line("vexlab: step 5/6: compacting the disk image")
        image.mkdir(mode=0o755)
        self._run(["sh", "files/compact.sh", "../image"], work, log)
        log.line("vexlab: step 6/6: writing the manifest")
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(work / name, image / name)
        for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
            (image / name).chmod(0o644)
        release = (work / "kernel_release").read_text(encoding="utf-8").strip()
        write_manifest(image, self.spec, self.key, release, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        image.rename(self.cache / self.key)
        log.line("vexlab: done")

    def _arguments(self) -> list[str]:
        spec = self.spec
        packages = ",".join(sorted(set(spec.packages)))
        return [spec.suite, str(spec.disk_size_mb), packages, *sorted(set(spec.source_packages))]

    def _prepare(self, work: Path) -> None:
        """Make the work directory.

        Root of the user namespace is somebody else outside of it, hence the mode; the temporary directory around it
        lets nobody but its owner through.
        """
        work.mkdir()
        work.chmod(0o777)
        for name, text in self.files.items():
            target = work / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o644)
        for directory, _, _ in os.walk(work / "files"):
            Path(directory).chmod(0o755)

    def _run(self, command: list[str], work: Path, log: BuildLog) -> None:
        """Run one child into the log. However this function is left, no process of the child's remains."""
        environment = {**os.environ, "PATH": _path(), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        # The kernel's package would make an initramfs twice, 20 seconds each; customize.sh makes a smaller one.
        environment["INITRD"] = "No"
        for name in ("TMPDIR", "SOURCE_DATE_EPOCH", "APT_CONFIG"):
            environment.pop(name, None)
        # setpriv: the child ends when this process is killed. Its own session: Ctrl-C at a terminal reaches this
        # process alone, which ends the child. Standard input is never written: its end tells assemble.sh of our death.
        with subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command], cwd=work, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(self.lock,),
            text=True, errors="replace",
        ) as child:  # fmt: skip
            try:
                for text in cast("TextIO", child.stdout):
                    log.line(text.rstrip())
                status = child.wait()
            finally:
                # The first process of the PID namespace is in this group, and all others end with it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
        if status != 0:
            raise log.failure(f"{command[0]} ended with status {status}.", self.spec, self.cache)
