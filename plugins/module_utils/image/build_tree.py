"""A kernel's build tree: what a guest needs of it, which is copied. It is only read."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import kernel_tree
from .kernel_tree import refusal

# What building a module reads of it; scripts/package/install-extmod-build of the kernel has the same list.
HEADERS = (
    "Makefile", ".config", "Module.symvers", "include", "scripts", "arch/x86/include", "tools/objtool/objtool",
    "tools/bpf/resolve_btfids/resolve_btfids",
)  # fmt: skip
_MAKEFILES = ("Makefile*", "Kconfig*", "Kbuild*")
_NOT_COPIED = ("*.o", "*.cmd", ".git*")
_RELEASE = "include/config/kernel.release"


def release_of(build: Path, *, headers_only: bool = False) -> str:
    """The release of a kernel's build tree; raises ImageError when it isn't one, or isn't built."""
    if (build / "source").exists():
        raise refusal(f"{build} was built from another directory (O=).", "Make packages of it: make bindeb-pkg.")
    booted = () if headers_only else ("arch/x86/boot/bzImage", "modules.order")
    needed = (_RELEASE, ".config", *booted, "Module.symvers", "scripts/mod/modpost")
    missing = [name for name in needed if not (build / name).is_file()]
    if missing:
        raise refusal(f"{build} is no built kernel, it lacks {', '.join(missing)}.", "Build it: make bzImage modules.")
    return (build / _RELEASE).read_text(encoding="utf-8").strip()


def take(build: Path, tree: Path) -> None:
    """Copy to a tree what a guest needs of it."""
    modules = tree / kernel_tree.MODULES / release_of(build)
    for name in modules_of(build):
        target = modules / "kernel" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(build / name, target)
    (modules / "kernel").mkdir(parents=True, exist_ok=True)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        if (build / name).is_file():
            shutil.copy(build / name, modules / name)
    shutil.copy(build / "arch/x86/boot/bzImage", modules / "vmlinuz")
    shutil.copy(build / ".config", modules / "config")
    take_headers(build, tree)


def take_headers(build: Path, tree: Path) -> None:
    """Copy to a tree what building a module needs of it."""
    release = release_of(build, headers_only=True)
    modules, headers = tree / kernel_tree.MODULES / release, tree / kernel_tree.SOURCES / f"linux-headers-{release}"
    _copy_headers(build, headers)
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "build").symlink_to(f"/{kernel_tree.SOURCES}/{headers.name}")
    kernel_tree.make_readable(tree)


def headers_of(build: Path) -> list[str]:
    """The files that building a module may read of a build tree, by their paths in it."""
    found = [
        path for name in HEADERS for path in ((build / name).rglob("*") if (build / name).is_dir() else [build / name])
    ]
    return sorted(
        str(path.relative_to(build)) for path in found
        if path.is_file() and not any(path.match(pattern) for pattern in _NOT_COPIED)
    )  # fmt: skip


def modules_of(build: Path) -> list[str]:
    """The modules that a build tree has made, by their paths in it; raises ImageError for one that isn't there."""
    lines = (build / "modules.order").read_text(encoding="utf-8").split()
    names = [line.removeprefix("kernel/").removesuffix(".o").removesuffix(".ko") + ".ko" for line in lines]
    missing = [name for name in names if not (build / name).is_file()]
    if missing:
        raise refusal(f"{build} lacks {missing[0]}, which modules.order names.", "Build it: make modules.")
    return names


def _copy_headers(build: Path, headers: Path) -> None:
    headers.mkdir(parents=True)
    for name in HEADERS:
        source, target = build / name, headers / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        elif source.is_file():
            shutil.copy(source, target)
    for pattern in _MAKEFILES:
        for path in (build / "arch/x86").rglob(pattern):
            target = headers / path.relative_to(build)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
