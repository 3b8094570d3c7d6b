"""User spaces for builds without an image: headers alone, put over a user space; what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import (
    build_tree,
    cache,
    downloads,
    kernel_tree,
    kernels,
    package_lists,
    sandboxes,
    store,
)
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.cache import Wanted
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec

from tests.unit import kernel_packages as made
from tests.unit import modules
from tests.unit.kernel_packages import RELEASE
from tests.unit.test_kernel_choice import BULLSEYE

SPEC = Spec("trixie", ("fio",), (), 8192)
BASE: made.Files = {
    "usr/bin/make": b"make", "usr/lib/modules/6.12.0/build": "-> /usr/src/linux-headers-6.12.0",
    "usr/src/linux-headers-6.12.0/Makefile": b"old", "usr/src/apfs/Makefile": b"a target's source",
    "etc/passwd": b"", "usr/bin/gcc-10": made.PROGRAM,
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A cache with a whole, tiny image."""
    directory = tmp_path / "images"
    key = cache.key_of(SPEC, {})
    made.write(directory / key / "sandbox", BASE)
    for name in store.IMAGE_FILES:
        (directory / key / name).write_text(name)
    store.write_manifest(directory / key, SPEC, key, "6.12.0", "2026-01-01T00:00:00Z")
    return directory


@pytest.fixture
def debs(tmp_path: Path) -> Path:
    """A directory with the packages of a kernel, without its image."""
    directory = tmp_path / "debs"
    directory.mkdir()
    for deb in made.debian(directory, image={"usr/share/doc/x": b""}):
        if "image" in deb.name:
            deb.unlink()
    return directory


def wanted(place: Path, kernel: str) -> Wanted:
    return Wanted(place, SPEC, {}, kernel, ("bullseye",))


def whole(directory: Path) -> Iterator[str]:
    """The files below a directory that a build would see."""
    return (str(path.relative_to(directory)) for path in sorted(directory.rglob("*")) if not path.is_dir())


@pytest.mark.parametrize("word", ["", "trixie", "6.12", "6.12.0"])
def test_own_kernel_of_an_image_takes_its_user_space_as_it_is(place: Path, word: str) -> None:
    found = sandboxes.ensure(wanted(place, word))
    assert (found.root, found.release) == (place / wanted(place, "").key / "sandbox", "6.12.0")


def test_headers_alone_suffice_and_take_the_place_of_the_others(place: Path, debs: Path) -> None:
    said: list[str] = []
    found = sandboxes.ensure(wanted(place, str(debs)), (), said.append)
    assert (found.release, found.compiler) == (RELEASE, "gcc-10")
    assert [path.name for path in (found.root / "usr/lib/modules").iterdir()] == [RELEASE]
    assert (found.root / "usr/src/apfs/Makefile").samefile(
        place / wanted(place, "").key / "sandbox/usr/src/apfs/Makefile"
    )
    assert not (found.root / "usr/src/linux-headers-6.12.0").exists()
    assert len(said) == 2
    again = sandboxes.ensure(wanted(place, str(debs)), (), said.append)
    assert again == found
    assert len(said) == 2, "what is there is not made again"


def test_user_space_that_lost_what_it_is_for_is_made_again(place: Path, debs: Path) -> None:
    found = sandboxes.ensure(wanted(place, str(debs)))
    (found.root / "usr/lib/modules" / RELEASE / "build").unlink()
    said: list[str] = []
    again = sandboxes.ensure(wanted(place, str(debs)), (), said.append)
    assert said
    assert (again.root / "usr/lib/modules" / RELEASE / "build").is_symlink()


def test_other_headers_of_the_same_release_are_another_user_space(place: Path, debs: Path, tmp_path: Path) -> None:
    """Else what was built with the former would count as built with these."""
    first = sandboxes.ensure(wanted(place, str(debs)))
    symvers = f"usr/src/linux-headers-{RELEASE}/Module.symvers"
    (tmp_path / "more").mkdir()
    changed = made.debian(tmp_path / "more", headers={**made.HEADERS, symvers: b"0x1 a"})
    assert sandboxes.ensure(wanted(place, ",".join(map(str, changed)))).identity != first.identity


def test_image_without_headers_is_refused_by_name(place: Path, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    deb = made.deb(tmp_path / "image", f"linux-image-{RELEASE}", made.OLD_IMAGE)
    with pytest.raises(ImageError, match="no package of a kernel") as refused:
        sandboxes.ensure(wanted(place, str(deb)))
    assert refused.value.of_request


@pytest.mark.parametrize("link", [f"/usr/src/linux-headers-{RELEASE}", f"../../../src/linux-headers-{RELEASE}"])
def test_headers_are_found_wherever_their_link_leads(tmp_path: Path, link: str) -> None:
    """An absolute link leads out of the tree, to what isn't there."""
    made.write(
        tmp_path, {**made.HEADERS, **made.COMMON, **made.KBUILD, f"usr/lib/modules/{RELEASE}/build": f"-> {link}"}
    )
    assert kernel_tree.inspect_headers(tmp_path) == (RELEASE, "gcc-10")


def test_headers_of_two_kernels_are_refused(tmp_path: Path) -> None:
    made.write(tmp_path, {**made.HEADERS, "usr/lib/modules/7/build": "-> /usr/src/linux-headers-7"})
    with pytest.raises(ImageError, match=rf"headers of 2 kernels: {RELEASE}, 7"):
        kernel_tree.inspect_headers(tmp_path)


def test_packages_of_the_headers_have_no_image() -> None:
    packages = package_lists.parse(BULLSEYE)
    kernel = package_lists.of_release("5.10", {"bullseye": packages})
    names = [one.name for one in package_lists.packages_of(kernel, packages, lambda _: False, headers_only=True)]
    assert "linux-headers-5.10.0-46-amd64" in names
    assert "gcc-10" in names
    assert not [name for name in names if name.startswith("linux-image")]


def test_only_the_suites_that_are_needed_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror of an old suite may be away; a kernel of a newer one can be had all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing can be fetched
    there = kernels.Store(tmp_path, SPEC, ("bullseye", "away"), tmp_path, headers_only=True)
    known = downloads.list_file(there.listed, "bullseye")
    known.parent.mkdir(parents=True)
    packages = [vars(package) for package in package_lists.parse(BULLSEYE).values()]
    known.write_text(json.dumps({"packages": packages}))
    there.refuse("5.10")
    with pytest.raises(ImageError, match="mmdebstrap is not installed"):
        there.refuse("7.3")


def a_build_tree(place: Path) -> Path:
    made.write(
        place,
        {
            "include/config/kernel.release": b"7.9.0-mine\n", "include/linux/fs.h": b"1", ".config": b"",
            "Makefile": b"", "Module.symvers": b"", "scripts/mod/modpost": b"", "scripts/mod/modpost.o": b"",
            "drivers/x.c": b"",
        },
    )  # fmt: skip
    return place


def test_build_tree_without_a_kernel_gives_headers(tmp_path: Path) -> None:
    """What `make modules_prepare` leaves, and a Module.symvers: enough to build against, though nothing boots."""
    tree = a_build_tree(tmp_path / "linux")
    with pytest.raises(ImageError, match=r"it lacks arch/x86/boot/bzImage, modules\.order"):
        build_tree.release_of(tree)
    build_tree.take_headers(tree, tmp_path / "tree")
    assert sorted(whole(tmp_path / "tree/usr/src/linux-headers-7.9.0-mine")) == [
        ".config", "Makefile", "Module.symvers", "include/config/kernel.release", "include/linux/fs.h",
        "scripts/mod/modpost",
    ]  # fmt: skip


def test_edited_header_of_a_build_tree_is_another_kernel(tmp_path: Path) -> None:
    tree = a_build_tree(tmp_path / "linux")
    there = kernels.Store(tmp_path, SPEC, (), tmp_path, headers_only=True)
    assert there.find(str(tree)) is None
    header = "include/linux/fs.h"
    assert header in build_tree.headers_of(tree)
    keys = {
        there._key(there._recipe(str(tree), refresh=False))
        for header_text in "12"
        if (tree / header).write_text(header_text)
    }
    assert len(keys) == 2
    assert "drivers/x.c" not in build_tree.headers_of(tree)


def test_prune_keeps_what_a_cell_was_built_in_and_what_that_is_made_of(place: Path, debs: Path) -> None:
    found = sandboxes.ensure(wanted(place, str(debs)))
    key, image = found.root.parent.name, wanted(place, "").key
    layer = sandboxes.manifest_of(found.root.parent)["layer"]
    said = modules.run("image", {"cache": str(place), "state": "pruned", "keep": [key]})
    assert said["kept"] == {
        f"sandboxes/{key}": "a cell of a matrix uses it", f"headers/{layer}": "a user space for builds has them",
    }  # fmt: skip
    assert set(said["removed"]) == {image}
    said = modules.run("image", {"cache": str(place), "state": "pruned"})
    assert set(said["removed"]) == {f"sandboxes/{key}", f"headers/{layer}"}
