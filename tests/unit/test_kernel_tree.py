"""Kernels of `.deb` files and build trees: what is taken of each layout, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import build_tree, kernel_tree, kernels
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError

from tests.unit import kernel_packages as made
from tests.unit.kernel_packages import CONFIG, IMAGE, RELEASE


def unpacked(directory: Path, debs: list[Path]) -> Path:
    """The tree that packages make."""
    tree = directory / "tree"
    kernel_tree.unpack(kernel_tree.debs_of(debs), tree)
    return tree


def refusal(act: Callable[[], object]) -> str:
    """What is said of something that can't be had."""
    with pytest.raises(ImageError) as refused:
        act()
    assert refused.value.of_request
    assert refused.value.hint
    return refused.value.message


def test_kernel_of_the_layout_before_6_19(tmp_path: Path) -> None:
    tree = unpacked(tmp_path, made.debian(tmp_path))
    found = kernel_tree.inspect(tree)
    assert (found.release, found.compiler) == (RELEASE, "gcc-10")
    assert found.image == tree / "boot" / f"vmlinuz-{RELEASE}"
    assert (tree / "usr/lib/modules" / RELEASE / "kernel/fs/9p.ko").is_file()
    assert not (tree / "lib").exists()


def test_kernel_of_the_layout_since_6_19(tmp_path: Path) -> None:
    parts = {"linux-binary": made.NEW_BINARY, "linux-base": made.NEW_BASE, "linux-modules": made.MODULES}
    debs = [made.deb(tmp_path, f"{name}-{RELEASE}", files) for name, files in parts.items()]
    tree = unpacked(tmp_path, [*debs, *made.debian(tmp_path, image={"usr/share/doc/x": b""})])
    assert kernel_tree.inspect(tree).image == tree / "usr/lib/modules" / RELEASE / "vmlinuz"
    assert not (tree / "usr/share").exists()


def test_kernel_that_only_root_may_read(tmp_path: Path) -> None:
    """Ubuntu's: whoever builds may be somebody else."""
    made.write(tmp_path, made.OLD_IMAGE)
    image = tmp_path / "boot" / f"vmlinuz-{RELEASE}"
    image.chmod(0o600)
    kernel_tree.make_readable(tmp_path)
    assert image.stat().st_mode & 0o777 == 0o644


def test_directory_stands_for_its_packages(tmp_path: Path) -> None:
    """Without those of debug symbols, which take gigabytes, and those that have nothing to do with a kernel."""
    wanted = made.debian(tmp_path)
    made.deb(tmp_path, f"linux-image-{RELEASE}-dbg", {"usr/lib/debug/vmlinux": b""})
    made.deb(tmp_path, "hello", {"usr/bin/hello": b""})
    assert kernel_tree.debs_of([tmp_path]) == sorted(wanted)
    wanted[0].unlink()
    assert kernel_tree.debs_of([tmp_path], headers_only=True) == sorted(wanted[1:]), "the symbols are no image"


def test_package_for_another_machine(tmp_path: Path) -> None:
    path = made.deb(tmp_path, "linux-image-6.12-arm64", made.OLD_IMAGE, arch="arm64")
    assert refusal(lambda: kernel_tree.debs_of([path])) == f"{path} is for arm64, and guests are amd64."


def test_damaged_package(tmp_path: Path) -> None:
    debs = made.debian(tmp_path)
    whole = debs[0].read_bytes()
    debs[0].write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refusal(lambda: unpacked(tmp_path, debs))
    debs[0].write_bytes(b"<html>404</html>")
    assert "is damaged, or no Debian package" in refusal(lambda: kernel_tree.debs_of(debs))


def test_package_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "linux.deb").mkdir()
    assert refusal(lambda: kernel_tree.debs_of([tmp_path])) == f"{tmp_path}/linux.deb can't be read: Is a directory."


@pytest.mark.parametrize("headers_only", [False, True])
def test_headers_of_another_kernel_are_told_by_the_names_of_packages(tmp_path: Path, headers_only: bool) -> None:
    """Before anything is unpacked; and a build would take the headers, and say nothing of the image."""
    image = made.deb(tmp_path, "linux-image-7.3.4+deb13-amd64", {})
    other = made.debian(tmp_path)[1:]
    said = refusal(lambda: kernel_tree.debs_of([image, *other], headers_only=headers_only))
    assert said == f"The headers are for {RELEASE}, and the kernel is 7.3.4+deb13-amd64."


@pytest.mark.parametrize(
    "name", ["linux-image-{}", "linux-image-unsigned-{}", "linux-image-{}-unsigned", "linux-binary-{}"]
)
def test_headers_of_the_image_are_known_by_the_names_of_distributions(tmp_path: Path, name: str) -> None:
    image = made.deb(tmp_path, name.format(RELEASE), {})
    another = made.deb(tmp_path, "linux-image-7.3.4+deb13-amd64", {})
    assert len(kernel_tree.debs_of([image, another, *made.debian(tmp_path / "x")[1:]])) == 5


def test_directory_without_a_kernel(tmp_path: Path) -> None:
    made.deb(tmp_path, "hello", {"usr/bin/hello": b""})
    assert refusal(lambda: kernel_tree.debs_of([tmp_path])) == f"{tmp_path}: no package of a kernel."


OTHER = "6.1.0-9-amd64"
UNFIT = {
    "image alone": ({"headers": {}}, f"There are no headers for kernel {RELEASE}."),
    "headers of another": (
        {"headers": {f"usr/lib/modules/{OTHER}/build": "-> /usr/src/x"}},
        f"The headers are for {OTHER}, and the kernel is {RELEASE}.",
    ),
    "headers alone": ({"image": {}}, "The packages hold no modules of a kernel."),
    "two kernels": (
        {"common": {**made.COMMON, f"lib/modules/{OTHER}/kernel/x.ko": b""}},
        f"The packages hold 2 kernels: {OTHER}, {RELEASE}.",
    ),
    "no common headers": (
        {"common": {}},
        f"The headers of kernel {RELEASE} are not whole: /usr/src/linux-headers-6.12.1-common/Makefile is missing.",
    ),
    "no kbuild": (
        {"kbuild": {}},
        f"The headers of kernel {RELEASE} are not whole: "
        f"/usr/src/linux-headers-{RELEASE}/scripts/mod/modpost is missing.",
    ),
    "no image": (
        {"image": {**made.MODULES, f"boot/config-{RELEASE}": CONFIG.encode()}},
        f"The image of kernel {RELEASE} is missing.",
    ),
    "no configuration": (
        {"image": {**made.MODULES, f"boot/vmlinuz-{RELEASE}": IMAGE}},
        f"Kernel {RELEASE} comes without its configuration.",
    ),
    "no 9p": (
        {"image": {**made.OLD_IMAGE, f"boot/config-{RELEASE}": CONFIG.replace("CONFIG_9P_FS=m", "").encode()}},
        f"Kernel {RELEASE} lacks what a guest of the lab needs: CONFIG_9P_FS.",
    ),
    "no kernel of x86": (
        {"image": {**made.OLD_IMAGE, f"boot/vmlinuz-{RELEASE}": b"\x7fELF" * 1000}},
        f"vmlinuz-{RELEASE} is no kernel for x86.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("other", "said"), UNFIT.values(), ids=UNFIT)
def test_kernel_that_no_guest_can_have(tmp_path: Path, other: dict[str, made.Files], said: str) -> None:
    tree = unpacked(tmp_path, made.debian(tmp_path, **other))
    assert refusal(lambda: kernel_tree.inspect(tree)) == said


BUILT: made.Files = {
    "include/config/kernel.release": b"7.0.0-mine\n", "include/linux/fs.h": b"", ".config": CONFIG.encode(),
    "arch/x86/boot/bzImage": IMAGE, "arch/x86/Makefile": b"", "arch/x86/include/asm/x.h": b"",
    "arch/x86/kernel/a.c": b"",
    "modules.order": b"fs/9p/9p.o\nkernel/net/x.ko\n", "fs/9p/9p.ko": b"9", "net/x.ko": b"x", "fs/9p/9p.c": b"",
    "Module.symvers": b"", "scripts/mod/modpost": b"#!/bin/sh\n", "scripts/mod/modpost.o": b"", "Makefile": b"all:\n",
}  # fmt: skip


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A kernel's build tree."""
    made.write(tmp_path / "linux", BUILT)
    return tmp_path / "linux"


def test_build_tree(build: Path, tmp_path: Path) -> None:
    """Image, modules and headers are taken, its sources and objects are not; it is only read."""
    before = sorted((path, path.stat().st_mtime_ns) for path in build.rglob("*"))
    build_tree.take(build, tmp_path / "tree")
    found = kernel_tree.inspect(tmp_path / "tree")
    assert (found.release, found.compiler) == ("7.0.0-mine", "")
    here = tmp_path / "tree/usr/lib/modules/7.0.0-mine"
    assert {str(path.relative_to(here)) for path in here.rglob("*.ko")} == {"kernel/fs/9p/9p.ko", "kernel/net/x.ko"}
    headers = tmp_path / "tree/usr/src/linux-headers-7.0.0-mine"
    assert (headers / "include/linux/fs.h").is_file()
    assert (headers / "arch/x86/Makefile").is_file()
    assert not list(headers.rglob("*.[oc]"))
    assert sorted((path, path.stat().st_mtime_ns) for path in build.rglob("*")) == before


@pytest.mark.parametrize("name", ["Module.symvers", "arch/x86/boot/bzImage", ".config", "modules.order"])
def test_build_tree_that_is_not_built(build: Path, name: str) -> None:
    (build / name).unlink()
    assert refusal(lambda: build_tree.release_of(build)) == f"{build} is no built kernel, it lacks {name}."


@pytest.mark.parametrize("name", ["Module.symvers", ".config", "scripts/mod/modpost"])
def test_build_tree_that_nothing_can_be_built_against(build: Path, name: str) -> None:
    """Without a guest it needs no image and no modules; but without symbols every module would lack all of them."""
    (build / name).unlink()
    assert name in refusal(lambda: build_tree.release_of(build, headers_only=True))


def test_build_tree_that_lacks_a_module(build: Path) -> None:
    (build / "net/x.ko").unlink()
    assert refusal(lambda: build_tree.modules_of(build)) == f"{build} lacks net/x.ko, which modules.order names."


def test_build_tree_that_was_built_from_elsewhere(build: Path) -> None:
    (build / "source").symlink_to("/")
    assert "was built from another directory" in refusal(lambda: build_tree.release_of(build))


def test_links_are_followed_as_a_guest_would(tmp_path: Path) -> None:
    """Absolute ones lead into the tree, and a circle to nothing."""
    made.write(tmp_path, {"a/file": b"x", "b/to": "-> /a", "c": "-> b", "circle": "-> /circle"})
    assert kernel_tree.inside(tmp_path, Path("/c/to/file")).read_bytes() == b"x"
    assert not kernel_tree.inside(tmp_path, Path("/circle/file")).is_file()


def test_no_room_is_told_with_what_could_go(tmp_path: Path) -> None:
    """Headers and user spaces for builds are what a matrix fills a disk with."""
    for name in ("0" * 16, "kernels/" + "1" * 16, "headers/" + "2" * 16, "sandboxes/" + "3" * 16, "kernels/lists"):
        made.write(tmp_path / name, {"file": b"x" * (2 << 20)})
    with pytest.raises(ImageError) as refused:
        kernels.check_room(tmp_path, 10**9, "a kernel")
    assert refused.value.message.startswith("There is no space for a kernel:")
    assert refused.value.hint == (
        "`vexlab image prune` removes of these what no lab uses: 0000000000000000 2 MiB, "
        "headers/2222222222222222 2 MiB, kernels/1111111111111111 2 MiB, sandboxes/3333333333333333 2 MiB."
    )
    assert not refused.value.of_request
