"""Packages of a kernel, made here: tiny, with the layouts that Debian's and Ubuntu's have."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_config

RELEASE = "6.12.1-amd64"
IMAGE = b"\0" * 0x202 + b"HdrS" + b"\0" * 100
CONFIG = "\n".join(
    [
        *(f"CONFIG_{name}=y" for name in kernel_config.BUILT_IN),
        *(f"CONFIG_{name}=m" for name in kernel_config.LOADABLE),
    ]
)
Files = Mapping[str, bytes | str]  # content, or "-> where a link leads"

# A program that ends well: x86-64, exit(0), in a file of one segment.
_CODE = bytes.fromhex("b83c00000031ff0f05")
PROGRAM = (
    b"\x7fELF\x02\x01\x01"
    + bytes(9)
    + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 0x78 + len(_CODE), 0x78 + len(_CODE), 0x1000)
    + _CODE
)

_HEADERS = f"usr/src/linux-headers-{RELEASE}"
HEADERS: Files = {
    f"{_HEADERS}/Makefile": b"include /usr/src/linux-headers-6.12.1-common/Makefile\n",
    f"{_HEADERS}/.kernelvariables": b"CC = $(if $(X),$(CCACHE)) $(CROSS_COMPILE)gcc-10\n",
    f"{_HEADERS}/Module.symvers": b"",
    f"{_HEADERS}/scripts": "-> ../../lib/linux-kbuild-6.12/scripts",
    f"usr/lib/modules/{RELEASE}/build": f"-> /{_HEADERS}",
}
COMMON: Files = {"usr/src/linux-headers-6.12.1-common/Makefile": b"all:\n"}
KBUILD: Files = {
    "usr/lib/linux-kbuild-6.12/scripts/mod/modpost": b"#!/bin/sh\n",
    "usr/lib/linux-kbuild-6.12/scripts/basic/fixdep": PROGRAM,
}
MODULES: Files = {f"lib/modules/{RELEASE}/kernel/fs/9p.ko": b"module"}
OLD_IMAGE: Files = {**MODULES, f"boot/vmlinuz-{RELEASE}": IMAGE, f"boot/config-{RELEASE}": CONFIG.encode()}
NEW_BINARY: Files = {f"usr/lib/modules/{RELEASE}/vmlinuz": IMAGE}
NEW_BASE: Files = {f"usr/lib/modules/{RELEASE}/config": CONFIG.encode()}


def deb(directory: Path, name: str, files: Files, *, arch: str = "amd64") -> Path:
    """Make a package of files."""
    tree = directory / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: {arch}\nMaintainer: vexlab\nDescription: of a test\n"
    )
    write(tree, files)
    path = directory / f"{name}_1_{arch}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, path], check=True, capture_output=True)
    return path


def write(tree: Path, files: Files) -> None:
    """Write files and links to a tree."""
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_bytes(content)
            path.chmod(0o755 if content.startswith(b"\x7fELF") else 0o644)


def debian(directory: Path, **other: Files) -> list[Path]:
    """Image and headers as Debian had them before 6.19; `other` replaces files of a package."""
    packages = {"image": OLD_IMAGE, "headers": HEADERS, "common": COMMON, "kbuild": KBUILD} | other
    names = {
        "image": f"linux-image-{RELEASE}", "headers": f"linux-headers-{RELEASE}",
        "common": "linux-headers-6.12.1-common", "kbuild": "linux-kbuild-6.12",
    }  # fmt: skip
    return [deb(directory, names[part], files) for part, files in packages.items()]
