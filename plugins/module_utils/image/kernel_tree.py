"""The files of a kernel as they lie in a guest, from `.deb` files, Debian's or Ubuntu's; and what such a tree holds."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import kernel_config
from .store import ImageError

MODULES, SOURCES = Path("usr/lib/modules"), Path("usr/src")
UNPACKED = ("./boot", "./lib/modules", "./usr/lib", "./usr/libexec", "./usr/src", "./usr/bin")  # of a package
_PARTS = re.compile(r"linux-(?!.*-dbg$)|(?:gcc|cpp|libgcc)-\d")
_HEADERS = re.compile(r"linux-(?!.*-dbg$|image|binary|modules)|(?:gcc|cpp|libgcc)-\d")
# What boots, and what is built against; packages that nobody signed are called after it as well.
_OF_RELEASE = re.compile(
    r"(?!.*-dbg$)linux-(?P<part>image|binary|headers)-(?:unsigned-)?(?P<release>\d.*?)(?:-unsigned)?"
)
# What neither a guest nor a build reads of a package.
_LEFT_OUT = ("./usr/share", "./etc", "./usr/lib/debug")
LINKS = 40  # that a path may lead over, as for the kernel
_BOOT_MAGIC = (0x202, b"HdrS")  # of a kernel for x86, see the kernel's Documentation/arch/x86/boot.rst


@dataclass(frozen=True)
class Contents:
    """What a tree holds: one kernel, where its image is, and the compiler that its headers name, if they name one."""

    release: str
    image: Path
    compiler: str


def refusal(message: str, hint: str = "") -> ImageError:
    """What is said of something that was asked for and can't be had."""
    return ImageError(message, hint, of_request=True)


def debs_of(paths: Iterable[Path], *, headers_only: bool = False) -> list[Path]:
    """The packages of a kernel and its compiler among files and in directories, without those of debug symbols."""
    every = [deb for path in paths for deb in (sorted(path.glob("*.deb")) if path.is_dir() else [path])]
    wanted = _HEADERS if headers_only else _PARTS
    names = {deb: _checked(deb) for deb in every}
    _refuse_strangers(names.values())
    found = [deb for deb in every if wanted.match(names[deb])]
    if not found:
        raise refusal(f"{', '.join(map(str, paths))}: no package of a kernel.", "Name .deb files of image and headers.")
    return found


def _refuse_strangers(names: Iterable[str]) -> None:
    """Raise ImageError when there are images and headers among packages, and no headers are of an image."""
    releases: dict[str, set[str]] = {"image": set(), "headers": set()}
    for name in names:
        if found := _OF_RELEASE.fullmatch(name):
            releases["headers" if found["part"] == "headers" else "image"].add(found["release"])
    images, headers = sorted(releases["image"]), sorted(releases["headers"])
    if images and headers and not releases["image"] & releases["headers"]:
        raise _not_of_it(images, [name for name in headers if not name.endswith("-common")] or headers)


def _not_of_it(images: Sequence[str], headers: Sequence[str]) -> ImageError:
    """What is said of headers that are for another kernel than the image."""
    return refusal(
        f"The headers are for {', '.join(headers)}, and the kernel is {', '.join(images)}.",
        f"Name linux-headers-{images[0]}, with its -common and linux-kbuild.",
    )


def _checked(deb: Path) -> str:
    """The name of a package that a guest can take; raises ImageError for what isn't one."""
    try:
        deb.open("rb").close()
    except OSError as problem:
        raise refusal(f"{deb} can't be read: {problem.strerror}.", "Make it a file that you can read.") from None
    done = subprocess.run(
        ["dpkg-deb", "--field", str(deb), "Package", "Architecture"], capture_output=True, text=True, check=False
    )
    fields = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    if done.returncode or "Package" not in fields:
        raise refusal(f"{deb} is damaged, or no Debian package.", "Fetch it again.")
    if fields["Architecture"] not in ("amd64", "all"):
        raise refusal(f"{deb} is for {fields['Architecture']}, and guests are amd64.", "Name packages for amd64.")
    return fields["Package"]


def unpack(debs: Sequence[Path], tree: Path) -> None:
    """Unpack packages over each other, none of whose scripts runs. Raises ImageError for a damaged one."""
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    for deb in debs:
        extract(deb, tree, _LEFT_OUT)
    (tree / "lib").unlink()
    make_readable(tree)


def extract(deb: Path, tree: Path, left_out: Iterable[str] = ()) -> None:
    """Extract a package to a tree, but for what is left out. Raises ImageError for a damaged one."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as packed:
        done = subprocess.run(
            ["tar", "--extract", f"--directory={tree}", "--no-same-owner", "--keep-directory-symlink", "--wildcards",
             *(f"--exclude={name}" for name in left_out)],
            stdin=packed.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
        complaint = packed.stderr.read().decode(errors="replace") if packed.stderr else ""
    if "No space left" in done.stderr:
        raise ImageError(f"The disk is full: {deb.name} can't be unpacked to {tree}.", "Free some space there.")
    if packed.returncode or done.returncode:
        said = " ".join((complaint or done.stderr).split())[-300:]
        raise refusal(f"{deb} is damaged ({said}).", "Fetch it again.")


def make_readable(tree: Path) -> None:
    """Let whoever builds read it; Ubuntu keeps the kernel for root."""
    for place, directories, files in os.walk(tree):
        for name in (*directories, *files):
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if name in directories else 0o644))


def inspect(tree: Path) -> Contents:
    """What a tree holds; raises ImageError for one that a guest can't boot, or that no module can be built with."""
    there = [path for path in (tree / MODULES).glob("*") if path.is_dir()]
    images = [path.name for path in there if (path / "kernel").is_dir()]
    headers = [path.name for path in there if (path / "build").is_symlink()]
    if len(images) != 1:
        what = f"{len(images)} kernels: {', '.join(sorted(images))}" if images else "no modules of a kernel"
        raise refusal(
            f"The packages hold {what}.", "Name the image of one, from 6.19 on with its -modules and -binary."
        )
    release = images[0]
    if release not in headers:
        if headers:
            raise _not_of_it([release], headers)
        raise refusal(
            f"There are no headers for kernel {release}.",
            f"Name linux-headers-{release}, with its -common and linux-kbuild.",
        )
    _check_config(tree, release)
    _check_headers(tree, release)
    return Contents(release, _image(tree, release), _compiler(tree, release))


def inspect_headers(tree: Path) -> tuple[str, str]:
    """The kernel whose headers a tree holds, and the compiler that they name, if any; raises ImageError."""
    there = sorted(path.name for path in (tree / MODULES).glob("*") if (path / "build").is_symlink())
    if len(there) != 1:
        what = f"headers of {len(there)} kernels: {', '.join(there)}" if there else "no headers of a kernel"
        raise refusal(f"The packages hold {what}.", "Name linux-headers of one, with its -common and linux-kbuild.")
    _check_headers(tree, there[0])
    return there[0], _compiler(tree, there[0])


def inside(tree: Path, path: Path) -> Path:
    """Where a path of a guest is in the tree, all links followed as the guest would."""
    here, left, links = tree, list(path.parts), 0
    while left:
        part = left.pop(0)
        if part == "/":
            here = tree
        elif part == "..":
            here = here.parent if here != tree else tree
        elif (here / part).is_symlink() and links < LINKS:
            left[:0] = (here / part).readlink().parts
            links += 1
        else:
            here /= part
    return here


def _image(tree: Path, release: str) -> Path:
    for path in (tree / MODULES / release / "vmlinuz", tree / "boot" / f"vmlinuz-{release}"):
        if path.is_file():
            with path.open("rb") as file:
                file.seek(_BOOT_MAGIC[0])
                if file.read(4) == _BOOT_MAGIC[1]:
                    return path
            raise refusal(f"{path.name} is no kernel for x86.", "Name packages for amd64.")
    raise refusal(
        f"The image of kernel {release} is missing.",
        f"Name its package: linux-image-{release}, or linux-binary-{release}.",
    )


def _check_config(tree: Path, release: str) -> None:
    build = inside(tree, Path("/", MODULES, release, "build"))
    for path in (tree / MODULES / release / "config", tree / "boot" / f"config-{release}", build / ".config"):
        if path.is_file():
            lacking = kernel_config.missing(path.read_text(encoding="utf-8", errors="replace"))
            if lacking:
                raise refusal(
                    f"Kernel {release} lacks what a guest of the lab needs: {', '.join(lacking)}.",
                    "Take another one, or build it with them.",
                )
            return
    raise refusal(
        f"Kernel {release} comes without its configuration.", f"Name linux-base-{release} or linux-modules-{release}."
    )


def _check_headers(tree: Path, release: str) -> None:
    """Raise ImageError when the headers lead to what isn't there."""
    build = inside(tree, Path("/", MODULES, release, "build"))
    makefile = build / "Makefile"
    if not makefile.is_file():
        raise refusal(
            f"The headers of kernel {release} are not whole: {makefile.relative_to(tree)} is missing.",
            "Name all of them.",
        )
    included = re.findall(
        r"^include (/usr/src/\S+)$", makefile.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
    )
    for needed in (
        *included,
        f"{'/' / build.relative_to(tree)}/scripts/mod/modpost",
        f"{'/' / build.relative_to(tree)}/Module.symvers",
    ):
        if not inside(tree, Path(needed)).is_file():
            raise refusal(
                f"The headers of kernel {release} are not whole: {needed} is missing.",
                "Name linux-headers of it, their -common, and its linux-kbuild.",
            )


def _compiler(tree: Path, release: str) -> str:
    variables = inside(tree, Path("/", MODULES, release, "build")) / ".kernelvariables"
    if not variables.is_file():
        return ""
    found = re.search(r"^CC = .*\bgcc-(\d+)", variables.read_text(encoding="utf-8"), re.MULTILINE)
    return f"gcc-{found[1]}" if found else ""
