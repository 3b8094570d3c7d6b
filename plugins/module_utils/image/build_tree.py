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


def release_of(build: Path) -> str:
    """The release of a kernel's build tree; raises ImageError when it isn't one, or isn't built."""
    if (build / "source").exists():
        raise refusal(f"{build} was built from another directory (O=).", "Make packages of it: make bindeb-pkg.")
    needed = (
        "include/config/kernel.release", ".config", "arch/x86/boot/bzImage", "modules.order", "Module.symvers",
        "scripts/mod/modpost",
    )  # fmt: skip
    missing = [name for name in needed if not (build / name).is_file()]
    if missing:
        raise refusal(f"{build} is no built kernel, it lacks {', '.join(missing)}.", "Build it: make bzImage modules.")
    return (build / needed[0]).read_text(encoding="utf-8").strip()


def take(build: Path, tree: Path) -> None:
    """Copy to a tree what a guest needs of it."""
    release = release_of(build)
    modules, headers = tree / kernel_tree.MODULES / release, tree / kernel_tree.SOURCES / f"linux-headers-{release}"
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
    _copy_headers(build, headers)
    (modules / "build").symlink_to(f"/{kernel_tree.SOURCES}/{headers.name}")
    kernel_tree.make_readable(tree)


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
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("*.o", "*.cmd", ".git*"))
        elif source.is_file():
            shutil.copy(source, target)
    for pattern in _MAKEFILES:
        for path in (build / "arch/x86").rglob(pattern):
            target = headers / path.relative_to(build)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
