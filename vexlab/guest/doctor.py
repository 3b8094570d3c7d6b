"""Whether this machine can run the lab: each thing that it needs, and what to do about a missing one."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.guest import accelerator
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.lab_files import (
    GuestError,
    LabFiles,
    runtime_directory,
)
from ansible_collections.vexfs.vexlab.plugins.module_utils.guest.private import private_directory

from vexlab.config import user_directories
from vexlab.guest import lab as labs

# Programs that the roles vexlab_image and vexlab_guest start, and the Debian package of each.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "bwrap": "bubblewrap",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
FOR_BUILDS = ("mmdebstrap", "bwrap", "rsync")  # of them, what building without a guest takes
TOOLS_UNPRIVILEGED = {"newuidmap": "uidmap", "newgidmap": "uidmap"}
SPACE_NEEDED_MIB = 6144  # a root filesystem, its disk image and its compressed copy, while an image is built


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `ok` None means that it is no obstacle, only worth knowing."""

    what: str
    ok: bool | None
    detail: str
    remedy: str = ""
    package: str = ""


def examine(*, builds_only: bool = False) -> list[Finding]:
    """Look at everything, or at what building without a guest takes; changes nothing."""
    tools = {name: TOOLS[name] for name in FOR_BUILDS} if builds_only else TOOLS
    tools = tools | (TOOLS_UNPRIVILEGED if os.geteuid() else {})
    findings = [_tool(name, package) for name, package in tools.items()]
    findings += [_python(), *([] if builds_only else [_space()])]
    if os.geteuid():
        findings += [_subordinate_ids(name) for name in ("/etc/subuid", "/etc/subgid")] + [_user_namespaces()]
    if all(finding.ok for finding in findings) and not builds_only:
        findings.append(_accelerator())
    return findings


def missing_packages(findings: list[Finding]) -> list[str]:
    """Debian packages that would bring what is missing."""
    return sorted({finding.package for finding in findings if finding.ok is False and finding.package})


def _tool(name: str, package: str) -> Finding:
    # mke2fs is in /usr/sbin, which an ordinary user's PATH need not hold; the role looks there as well.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    return Finding(name, found is not None, found or "missing", f"apt-get install {package}", package)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or later")


def _space() -> Finding:
    directory = user_directories.cache_directory()
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free >> 20
    detail = f"{free} MiB free in {directory}"
    return Finding(
        "disk space", free >= SPACE_NEEDED_MIB, detail, f"an image needs {SPACE_NEEDED_MIB} MiB while it is built"
    )


def _subordinate_ids(table: str) -> Finding:
    user = getpass.getuser()
    try:
        ranges = [line.split(":") for line in Path(table).read_text().splitlines() if line.count(":") == 2]
    except OSError:
        ranges = []
    enough = any(name in (user, str(os.getuid())) and int(count) >= 65536 for name, _, count in ranges)
    option = "--add-subuids" if table.endswith("subuid") else "--add-subgids"
    remedy = f"sudo usermod {option} 100000-165535 {user} (take a range that {table} doesn't have yet)"
    return Finding(table, enough, "65536 ids for you" if enough else f"no 65536 ids for {user}", remedy)


def _user_namespaces() -> Finding:
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "true"], capture_output=True, text=True, check=False
        )
    except OSError as problem:
        return Finding("user namespaces", False, str(problem), "apt-get install util-linux", "util-linux")
    remedy = "sudo sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    return Finding("user namespaces", done.returncode == 0, done.stderr.strip() or "usable", remedy)


def _accelerator() -> Finding:
    """What would run a guest, as a guest's start finds out: what one of them was told, the other is told as well."""
    image = _image_to_try()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sockets = runtime_directory("", Path(scratch))
            private_directory(sockets.parent)
            inputs = {"lab": "doctor", "directory": scratch, "runtime_directory": str(sockets), "image": image}
            version = accelerator.qemu_version()
            chosen, reason = accelerator.accelerator("auto", LabFiles(inputs), version)
    except GuestError as problem:
        return Finding("QEMU", False, problem.message, problem.hint)
    if chosen != "kvm":
        said = f"emulation, about 10 times slower: {reason}; QEMU {version}"
        return Finding("accelerator", None, said, way_to_kvm())
    untried = "" if image else "; without an image, no guest's kernel was tried"
    return Finding("accelerator", True, f"KVM ({reason}{untried}); QEMU {version}")


def way_to_kvm(kvm: Path = Path("/dev/kvm")) -> str:
    """What lets this user open the device, where nothing but its mode is in the way; else empty."""
    try:
        belongs_to = kvm.group() if kvm.stat().st_mode & 0o060 == 0o060 else ""
    except (OSError, KeyError):
        return ""
    if not belongs_to or os.access(kvm, os.R_OK | os.W_OK):
        return ""
    return f"sudo usermod -aG {belongs_to} {getpass.getuser()} (and log in again)"


def _image_to_try() -> str:
    """The image that a lab used last, or else the newest that is cached; empty when there is none."""
    cache = user_directories.cache_directory()
    whole = sorted(cache.glob("*/manifest.json"), key=lambda manifest: -manifest.stat().st_mtime)
    keys = [key for key in (labs.image_used_last(), *(manifest.parent.name for manifest in whole)) if key]
    return next((str(cache / key) for key in keys if (cache / key / "vmlinuz").is_file()), "")
