"""Which kernels Debian's package lists have, image and headers, and which packages make one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .store import ImageError

# What a kernel is made of, and the compiler that its headers name.
_OF_A_KERNEL = re.compile(r"linux-(?:image|headers|binary|modules|base|kbuild|compiler)-.+")
_OF_A_COMPILER = re.compile(r"(?:gcc|cpp|libgcc)-\d+(?:-.+)?")
# `5.10.0-46-amd64`, `6.1.0-0.deb11.52-amd64`, `7.3.4+deb13-amd64`; not the flavours cloud and rt.
_IMAGE = re.compile(r"linux-image-(\d+\.\d+\.\d[^-]*(?:-\d[^-]*)?-amd64)")
NEWEST = "linux-image-amd64"  # a package of nothing but a dependency on the suite's newest image


@dataclass(frozen=True)
class Package:
    """A package of a suite, with the names that it depends on, the first of each alternative."""

    name: str
    version: str
    size: int
    sha256: str
    depends: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """A kernel of a suite; without headers no module can be built for it."""

    suite: str
    release: str
    version: str  # of the kernel's authors, such as 5.10.262
    has_headers: bool


def parse(text: str) -> dict[str, Package]:
    """The packages of kernels and compilers in package lists, the newest version of each."""
    found: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Size|SHA256|Depends): (.+)$", stanza, re.MULTILINE))
        name = fields.get("Package", "")
        if not (_OF_A_KERNEL.fullmatch(name) or _OF_A_COMPILER.fullmatch(name)):
            continue
        package = Package(
            name, fields["Version"], int(fields["Size"]), fields["SHA256"], _names(fields.get("Depends", ""))
        )  # fmt: skip
        if name not in found or age(found[name].version) < age(package.version):
            found[name] = package
    return found


def _names(depends: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s:(|]", part.strip())[0] for part in depends.split(",") if part.strip())


def age(version: str) -> list[tuple[list[int], int]]:
    """What versions are compared by, as dpkg compares them: `~` is before the end, letters before other signs."""

    def weight(sign: str) -> int:
        return -1 if sign == "~" else ord(sign) if sign.isalpha() else ord(sign) + 256

    parts = re.findall(r"(\D*)(\d*)", version)
    return [([*map(weight, text), 0], int(number or 0)) for text, number in parts]


def kernels(suite: str, packages: Mapping[str, Package]) -> list[Kernel]:
    """The kernels of a suite, the newest first."""
    found = []
    for name, package in packages.items():
        if image := _IMAGE.fullmatch(name):
            upstream = re.split(r"[-+~]", package.version)[0]
            found.append(
                (age(package.version), Kernel(suite, image[1], upstream, f"linux-headers-{image[1]}" in packages))
            )
    return [kernel for _, kernel in sorted(found, key=lambda one: one[0], reverse=True)]


def offered(suite: str, packages: Mapping[str, Package]) -> list[Kernel]:
    """The newest kernel of each series of a suite, one with headers where there is one; the newest series first."""
    found: dict[str, Kernel] = {}
    for kernel in kernels(suite, packages):
        known = found.get(series(kernel.version))
        if known is None or (kernel.has_headers and not known.has_headers):
            found[series(kernel.version)] = kernel
    return list(found.values())


def series(version: str) -> str:
    """The two first numbers of a version."""
    return ".".join(version.split(".")[:2])


def newest(suite: str, packages: Mapping[str, Package]) -> Kernel:
    """The kernel that a suite gives by itself: the newest of its series that has headers. Raises ImageError."""
    known = [kernel for kernel in kernels(suite, packages) if kernel.has_headers]
    if not known:
        raise ImageError(f"Debian {suite} has no kernel with its headers.", "Name another suite.", of_request=True)
    given = packages[NEWEST].version if NEWEST in packages else known[0].version
    return next((kernel for kernel in known if series(kernel.version) == series(given)), known[0])


def is_of(kernel: Kernel, word: str) -> bool:
    """Whether a kernel is of the release that a person wrote, whole or in its first numbers."""
    return any(
        whole == word or re.match(rf"{re.escape(word)}[.+-]", whole) for whole in (kernel.release, kernel.version)
    )


def has(word: str, suite: str, packages: Mapping[str, Package]) -> bool:
    """Whether a suite has image and headers of the release that a person wrote."""
    return any(kernel.has_headers and is_of(kernel, word) for kernel in kernels(suite, packages))


def of_release(word: str, suites: Mapping[str, Mapping[str, Package]]) -> Kernel:
    """The newest kernel of a release in the first suite that has its image and headers. Raises ImageError."""
    every = [kernel for suite, packages in suites.items() for kernel in kernels(suite, packages)]
    for kernel in every:
        if kernel.has_headers and is_of(kernel, word):
            return kernel
    there = dict.fromkeys(f"{series(kernel.version)} ({kernel.suite})" for kernel in every if kernel.has_headers)
    bare = next((kernel.suite for kernel in every if is_of(kernel, word)), "")
    reason = f"has an image of kernel {word}, and no headers for it" if bare else f"has a kernel {word}"
    raise ImageError(
        f"Debian {bare} {reason}." if bare else f"None of {', '.join(suites)} {reason}.",
        f"With image and headers there are {', '.join(there)}; or give its .deb files.", of_request=True,
    )  # fmt: skip


def packages_of(
    kernel: Kernel, packages: Mapping[str, Package], has_compiler: Callable[[str], bool], *, headers_only: bool = False
) -> tuple[Package, ...]:
    """The packages of a kernel and, unless the user space has it already, of the compiler that its headers name."""
    left = [f"linux-headers-{kernel.release}", *([] if headers_only else [f"linux-image-{kernel.release}"])]
    found: dict[str, Package] = {}
    while left:
        name = left.pop()
        if name in found or name not in packages:
            continue
        compiler = re.match(r"(?:gcc|cpp|libgcc)-(\d+)", name)
        if compiler and has_compiler(f"gcc-{compiler[1]}"):
            continue
        found[name] = packages[name]
        left += [other for other in packages[name].depends if _is_part(other)]
    return tuple(found[name] for name in sorted(found))


def _is_part(name: str) -> bool:
    return bool(_OF_A_KERNEL.fullmatch(name) or _OF_A_COMPILER.fullmatch(name))
