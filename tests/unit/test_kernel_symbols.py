"""Where a kernel's debug information can be had, and where it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import kernel_symbols
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.package_lists import Package
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError

RELEASE = "6.12.118+deb13-amd64"
NAME = f"linux-image-{RELEASE}-dbg"


def package(name: str, version: str) -> Package:
    return Package(name, version, 10, "0", ())


LISTS = {
    "trixie": {NAME: package(NAME, "6.12.118-1"), f"linux-image-{RELEASE}": package(f"linux-image-{RELEASE}", "1")},
    "bookworm": {NAME: package(NAME, "6.12.118-1~bpo12+1")},
}


def test_the_first_suite_that_has_it_gives_it() -> None:
    found = kernel_symbols.offer(RELEASE, LISTS)
    assert (found.suite, found.package.version) == ("trixie", "6.12.118-1")


def test_a_kernel_of_which_nobody_has_it_is_told() -> None:
    with pytest.raises(ImageError, match=r"None of trixie, bookworm has .* 6\.1\.0-9-amd64 \(linux-image-6") as problem:
        kernel_symbols.offer("6.1.0-9-amd64", LISTS)
    assert problem.value.of_request


def test_what_is_kept_is_found_by_its_release(tmp_path: Path) -> None:
    assert kernel_symbols.find(tmp_path, RELEASE) is None
    path = tmp_path / "symbols" / RELEASE / "vmlinux"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x7fELF")
    assert kernel_symbols.find(tmp_path, RELEASE) == path
