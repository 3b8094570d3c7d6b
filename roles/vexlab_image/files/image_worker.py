"""One build: what it needs, the process that does it, its log, and what its failure means."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import os
import platform
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from image_store import ImageError, Spec, builder_files, remove_tree, write_manifest

NEEDED_MB = 5000  # root file system, raw disk and qcow2 exist side by side for a moment
PR_SET_PDEATHSIG = 1
LAST_LINES = 12

# A line of the build's log, and what it means. The first match in this order is the cause.
CAUSES = (
    ("No space left on device", "The disk is full.", "Free about {needed} MB on the file system of {cache}, then run again."),
    ("Disk quota exceeded", "Your disk quota is used up.", "Free about {needed} MB of your quota, then run again."),
    (
        "Unable to locate package",
        "Debian {suite} has no such package.",
        "Check the names in vexlab_image_packages and vexlab_image_source_packages.",
    ),
    ("has no installation candidate", "Debian {suite} cannot install one of the packages.", "Check vexlab_image_packages."),
    (
        "NO_PUBKEY",
        "The keys of Debian {suite} are not on this machine.",
        "sudo apt-get install debian-archive-keyring",
    ),
    ("does not have a Release file", "Debian has no suite {suite}.", "Check vexlab_image_suite."),
    (
        "Failed to fetch",
        "Packages could not be downloaded.",
        "Check that apt can download on this machine: sudo apt-get update",
    ),
)


class BuildLog:
    """The log of one build: every line with the time, in a file that stays and in short form in memory."""

    def __init__(self, path: Path, stream: TextIO) -> None:
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

    def failure(self, what: str, spec: Spec, cache: Path) -> ImageError:
        """Turn a failed child into one error: the cause when it is a known one, the last lines, the place of the log."""
        quoted = "\n".join(f"  {text}" for text in (*self.causes[:3], *self.last))
        for pattern, meaning, remedy in CAUSES:
            if any(pattern in text for text in self.causes):
                values = {"suite": spec.suite, "cache": cache, "needed": NEEDED_MB}
                return ImageError(
                    f"{meaning.format(**values)} The image was not built ({self.step}). {self.path} ends with:\n{quoted}",
                    remedy.format(**values),
                )
        return ImageError(
            f"{what} The image was not built ({self.step}). {self.path} ends with:\n{quoted}",
            f"Read {self.path}, then run again.",
        )


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
    packages = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils"}
    missing = sorted(package for tool, package in packages.items() if not shutil.which(tool, path=_path()))
    if missing:
        raise ImageError(
            f"Building an image needs {', '.join(missing)}, which this machine does not have.",
            f"sudo apt-get install --no-install-recommends {' '.join(missing)}, or apply the role vexlab_host.",
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
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user} "
                "(any 65536 ids that nobody else has), or build as root.",
            )
    if not shutil.which("newuidmap", path=_path()):
        raise ImageError("newuidmap is not installed.", "sudo apt-get install uidmap, or apply the role vexlab_host.")
    tried = subprocess.run(
        ["mmdebstrap", "--unshare-helper", "true"],
        env={**os.environ, "PATH": _path()}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode != 0:
        said = " ".join((tried.stderr or tried.stdout).split())
        raise ImageError(
            f"Unprivileged user namespaces do not work on this machine: {said}",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 "
            "(on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0), or build as root.",
        )


def build(cache: Path, key: str, spec: Spec, files: Path, lock: int) -> None:
    """Build the image of a key; the caller holds its lock. It appears under its name when it is whole, or not at all."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".tmp", dir=cache))
    try:
        with build_log(cache / f"{key}.log", fresh=True) as log:
            log.line(f"vexlab: step 1/6: preparing {temporary}")
            work = temporary / "work"
            _prepare(work, files)
            command = [
                "mmdebstrap", "--unshare-helper", "sh", "files/assemble.sh",
                spec.suite, str(spec.disk_size_mb), ",".join(sorted(set(spec.packages))), *sorted(set(spec.source_packages)),
            ]  # fmt: skip
            _run(command, work, log, lock, spec, cache)
            log.line("vexlab: step 5/6: compacting the disk image")
            image = temporary / "image"
            image.mkdir(mode=0o755)
            convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", "../image/disk.qcow2"]
            _run(convert, work, log, lock, spec, cache)
            log.line("vexlab: step 6/6: writing the manifest")
            _finish(work, image, spec, key)
            image.rename(cache / key)
            log.line("vexlab: done")
    except OSError as error:
        raise ImageError(
            f"The image was not built: {error}.", f"It needs {NEEDED_MB} MB in {cache}, which you must be able to write."
        ) from error
    finally:
        remove_tree(temporary)


def _prepare(work: Path, files: Path) -> None:
    """Make the work directory. Root of the user namespace is somebody else outside, hence its mode; the temporary
    directory around it lets nobody but its owner through."""
    work.mkdir()
    work.chmod(0o777)
    for path in builder_files(files):
        target = work / "files" / path.relative_to(files)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)
    for directory in (work / "files", *(path for path in (work / "files").rglob("*") if path.is_dir())):
        directory.chmod(0o755)


def _finish(work: Path, image: Path, spec: Spec, key: str) -> None:
    for name in ("vmlinuz", "initrd.img"):
        shutil.copyfile(work / name, image / name)
    for path in image.iterdir():
        path.chmod(0o644)
    release = (work / "kernel_release").read_text(encoding="utf-8").strip()
    write_manifest(image, spec, key, release, datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(command: list[str], work: Path, log: BuildLog, lock: int, spec: Spec, cache: Path) -> None:
    """Run one child into the log. However this function is left, no process of the child's remains."""
    environment = {**os.environ, "PATH": _path(), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    # INITRD: the kernel's package would make the initramfs twice, so its hook is told not to (assemble.sh makes it).
    environment["INITRD"] = "No"
    for name in ("TMPDIR", "SOURCE_DATE_EPOCH", "APT_CONFIG"):
        environment.pop(name, None)
    # Its own session: Ctrl-C at a terminal reaches this process alone, which then ends the child. Standard input is
    # never written to: assemble.sh takes its end as the death of this process.
    with subprocess.Popen(
        command, cwd=work, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, pass_fds=(lock,), preexec_fn=_die_with_parent, text=True, errors="replace",
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            for text in child.stdout:
                log.line(text.rstrip())
            status = child.wait()
        finally:
            # The first process of the PID namespace is in this group, and all others end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if status != 0:
        raise log.failure(f"{command[0]} ended with status {status}.", spec, cache)
