"""Which kernel is meant by what a person writes, and what of Debian's package lists makes it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import downloads, kernel_config, kernel_word, kernels
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import package_lists as lists
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.downloads import OutdatedError
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.store import ImageError, Spec
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.worker import build_log

from vexlab.config.settings import Options


def stanza(name: str, version: str, depends: str = "", sha256: str = "0") -> str:
    """A package as a list of Debian's has it."""
    return f"Package: {name}\nVersion: {version}\nSize: 10\nSHA256: {sha256}\nDepends: {depends}\n"


# Each suite as Debian has it: names, versions and dependencies are real.
BACKPORTS = "\n".join(
    [
        stanza("linux-image-amd64", "7.3.4-1~bpo13+1", "linux-image-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)"),
        stanza(
            "linux-image-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1",
            "dracut | initramfs-tools, linux-base-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), "
            "linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1), linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1~bpo13+1)",
        ),
        stanza("linux-base-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"),
        stanza("linux-binary-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"),
        stanza("linux-modules-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1", "kmod"),
        stanza(
            "linux-headers-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1",
            "gcc-14-for-host, linux-base (>= 4.12~), linux-headers-7.3.4+deb13-common, linux-kbuild-7.3.4+deb13",
        ),
        stanza("linux-headers-7.3.4+deb13-common", "7.3.4-1~bpo13+1"),
        stanza("linux-kbuild-7.3.4+deb13", "7.3.4-1~bpo13+1", "pahole, libc6 (>= 2.38)"),
        stanza("linux-base", "4.17~bpo13+1"),
        stanza("linux-image-7.1.13+deb13-amd64", "7.1.13-1~bpo13+1"),
        stanza("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
        stanza("linux-image-7.3.4+deb13-amd64-dbg", "7.3.4-1~bpo13+1"),
    ]
)  # fmt: skip
BULLSEYE = "\n".join(
    [
        stanza("linux-image-amd64", "5.10.223-1"),
        stanza("linux-image-amd64", "5.10.262-1"),
        stanza("linux-image-5.10.0-46-amd64", "5.10.262-1", "kmod"),
        stanza("linux-headers-5.10.0-46-amd64", "5.10.262-1", "linux-kbuild-5.10, linux-compiler-gcc-10-x86"),
        stanza("linux-image-5.10.0-9-amd64", "5.10.70-1"),
        stanza("linux-headers-5.10.0-9-amd64", "5.10.70-1"),
        stanza("linux-image-5.10.0-47-amd64", "5.10.270-1"),  # whose headers are not there yet
        stanza("linux-image-6.1.0-0.deb11.52-amd64", "6.1.180-1~deb11u1"),
        stanza("linux-headers-6.1.0-0.deb11.52-amd64", "6.1.180-1~deb11u1"),
        stanza("linux-kbuild-5.10", "5.10.223-1", sha256="old"),
        stanza("linux-kbuild-5.10", "5.10.262-1", sha256="new"),
        stanza("linux-compiler-gcc-10-x86", "5.10.262-1", "gcc-10"),
        stanza("gcc-10", "10.2.1-6", "cpp-10 (= 10.2.1-6), libgcc-10-dev, libc6 (>= 2.14), binutils"),
        stanza("cpp-10", "10.2.1-6", "gcc-10-base"),
        stanza("libgcc-10-dev", "10.2.1-6"),
        stanza("gcc-10-base", "10.2.1-6"),
    ]
)
SUITES = {"trixie-backports": lists.parse(BACKPORTS), "bullseye": lists.parse(BULLSEYE)}


def names(word: str, *, compiler: str = "gcc-14") -> list[str]:
    """The packages of the kernel of a release, for a user space that has a compiler."""
    kernel = lists.of_release(word, SUITES)
    return [one.name for one in lists.packages_of(kernel, SUITES[kernel.suite], lambda name: name == compiler)]


def test_kernel_of_a_suite_is_its_own_and_has_headers() -> None:
    """Not the newest that is there: that is a kernel of another series, or one without headers."""
    assert lists.newest("bullseye", SUITES["bullseye"]).release == "5.10.0-46-amd64"
    assert lists.newest("trixie-backports", SUITES["trixie-backports"]).release == "7.3.4+deb13-amd64"
    with pytest.raises(ImageError, match="Debian x has no kernel with its headers") as refused:
        lists.newest("x", {})
    assert refused.value.of_request


@pytest.mark.parametrize(
    ("word", "release"),
    [
        ("7.3", "7.3.4+deb13-amd64"),
        ("7.3.4", "7.3.4+deb13-amd64"),
        ("7.3.4+deb13-amd64", "7.3.4+deb13-amd64"),
        ("5.10", "5.10.0-46-amd64"),
        ("5.10.262", "5.10.0-46-amd64"),
        ("5.10.0-9", "5.10.0-9-amd64"),
        ("6.1", "6.1.0-0.deb11.52-amd64"),
    ],
)
def test_release_is_found_in_the_suite_that_has_it(word: str, release: str) -> None:
    assert lists.of_release(word, SUITES).release == release


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("7.1", "Debian trixie-backports has an image of kernel 7.1, and no headers for it"),
        ("5.1", "None of trixie-backports, bullseye has a kernel 5.1."),
        ("9.9", "None of trixie-backports, bullseye has a kernel 9.9."),
    ],
)
def test_release_that_nobody_has_is_told_with_what_there_is(word: str, said: str) -> None:
    with pytest.raises(ImageError) as refused:
        lists.of_release(word, SUITES)
    assert refused.value.message.startswith(said)
    assert "7.3 (trixie-backports)" in refused.value.hint
    assert refused.value.of_request


def test_packages_are_those_of_the_kernel_alone() -> None:
    assert names("7.3") == [
        "linux-base-7.3.4+deb13-amd64", "linux-binary-7.3.4+deb13-amd64", "linux-headers-7.3.4+deb13-amd64",
        "linux-headers-7.3.4+deb13-common", "linux-image-7.3.4+deb13-amd64", "linux-kbuild-7.3.4+deb13",
        "linux-modules-7.3.4+deb13-amd64",
    ]  # fmt: skip


def test_compiler_that_the_user_space_lacks_comes_along() -> None:
    of_compiler = {"cpp-10", "gcc-10", "gcc-10-base", "libgcc-10-dev"}
    assert of_compiler <= set(names("5.10"))
    assert not of_compiler & set(names("5.10", compiler="gcc-10"))


def test_newest_version_of_a_package_counts() -> None:
    assert SUITES["bullseye"]["linux-kbuild-5.10"].sha256 == "new"


def test_one_kernel_of_each_series_is_offered() -> None:
    found = [(one.release, one.has_headers) for one in lists.offered("bullseye", SUITES["bullseye"])]
    assert found == [("6.1.0-0.deb11.52-amd64", True), ("5.10.0-46-amd64", True)]
    assert [one.has_headers for one in lists.offered("x", SUITES["trixie-backports"])] == [True, False]


@pytest.mark.parametrize(
    ("older", "newer"),
    [("5.10.70-1", "5.10.223-1"), ("7.3.4-1~bpo13+1", "7.3.4-1"), ("6.1.192-2", "6.1.192-3"), ("6.9-1", "6.12-1"),
     ("6.12~rc1-1", "6.12-1"), ("4.12.1~deb12u1", "4.17~bpo13+1")],
)  # fmt: skip
def test_versions_are_compared_as_dpkg_does(older: str, newer: str) -> None:
    subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)
    assert lists.age(older) < lists.age(newer)


@pytest.mark.parametrize(
    "word", ["", "trixie", "trixie-backports", "6.12", "7.3.4+deb13-amd64", "./x.deb,./y.deb", "/x"]
)
def test_words_that_name_a_kernel(word: str) -> None:
    assert not kernel_word.problem(word)


@pytest.mark.parametrize("word", ["?", "Trixie", "6", "v6.12", "6.12 7.3", "-"])
def test_words_that_name_none(word: str) -> None:
    assert "names no kernel" in kernel_word.problem(word)


def test_paths_hold_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options(kernel="a.deb,./b.deb").absolute().kernel == f"{tmp_path}/a.deb,{tmp_path}/b.deb"
    assert Options(kernel="bookworm").absolute().kernel == "bookworm"
    assert Options(kernel="./a.deb,").absolute().kernel == f"{tmp_path}/a.deb", "this directory was not named"


@pytest.mark.parametrize("word", ["../x", "--setup-hook=touch x", "Foo bar", "6.12", ""])
def test_what_cannot_be_a_suite_reaches_neither_a_path_nor_a_mirror(word: str, tmp_path: Path) -> None:
    there = kernels.Store(tmp_path, Spec("", (), (), 0), (), tmp_path)
    with pytest.raises(ImageError, match="is no name of a suite of Debian") as refused:
        there.lists([word], refresh=False)
    assert refused.value.of_request
    assert not any(tmp_path.rglob("*.log"))


def test_home_of_nobody_is_a_path_that_leads_nowhere() -> None:
    """A shell leaves it as it is, too."""
    word = Options(kernel="~nobody-has-this-name/linux", source="~nobody-has-this-name/x").absolute()
    assert word.kernel == str(Path.cwd() / "~nobody-has-this-name/linux")
    assert word.source == str(Path.cwd() / "~nobody-has-this-name/x")
    with pytest.raises(ImageError, match="There is no kernel at ~nobody-has-this-name/linux"):
        kernel_word.paths("~nobody-has-this-name/linux")


def test_path_that_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="There is no kernel at") as refused:
        kernel_word.paths(f"{tmp_path}/nothing.deb")
    assert refused.value.of_request


def needed() -> Iterator[str]:
    """A configuration of all that the lab needs, line by line."""
    yield from (f"CONFIG_{name}=y" for name in kernel_config.BUILT_IN)
    yield from (f"CONFIG_{name}=m" for name in kernel_config.LOADABLE)


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("CONFIG_9P_FS=m", "# CONFIG_9P_FS is not set", "CONFIG_9P_FS"),
        ("CONFIG_EXT4_FS=m", "", "CONFIG_EXT4_FS"),
        ("CONFIG_VIRTIO_BLK=m", "CONFIG_VIRTIO_BLK=n", "CONFIG_VIRTIO_BLK"),
        ("CONFIG_DEVTMPFS=y", "CONFIG_DEVTMPFS=m", "CONFIG_DEVTMPFS=y"),
    ],
)
def test_option_that_a_guest_needs_is_missed(line: str, instead: str, told: str) -> None:
    config = "\n".join(needed())
    assert kernel_config.missing(config) == []
    assert kernel_config.missing(config.replace(line, instead)) == [told]


# As mmdebstrap 1.3 and apt said it, with the addresses left out.
NO_SUITE = "E: The repository 'debian sarge Release' does not have a Release file."
NO_MIRROR = "E: Failed to fetch dists/trixie/InRelease  Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111)"
GONE = "E: Version '7.3.3-1' for 'linux-base-7.3.3+deb13-amd64' was not found"
EXPIRED = "E: Release file for dists/sid/InRelease is expired (invalid since 22d). Updates will not be applied."


@pytest.mark.parametrize(
    ("line", "said", "of_request"),
    [
        (NO_SUITE, "Debian has no suite sarge.", True),
        (NO_MIRROR, "Debian's mirror can't be reached for suite sarge:", False),
        (EXPIRED, "is expired (invalid since 22d)", False),
        ("tar: x: Cannot write: No space left on device", "The disk is full", False),
    ],
)
def test_failed_download_is_explained(tmp_path: Path, line: str, said: str, *, of_request: bool) -> None:
    with build_log(tmp_path / "sarge.log", fresh=True) as log:
        for text in ("I: running apt-get update...", line, "I: removing tempdir /tmp/mmdebstrap.x..."):
            log.line(text)
        problem = downloads.explained("sarge", log)
    assert said in problem.message
    assert problem.of_request is of_request
    assert problem.hint


def test_package_that_the_mirror_replaced_makes_lists_outdated(tmp_path: Path) -> None:
    with build_log(tmp_path / "x.log", fresh=True) as log:
        log.line(GONE)
        assert isinstance(downloads.explained("trixie-backports", log), OutdatedError)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"packages": [{"name": "x"}]}'])
def test_list_that_was_cut_is_fetched_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    assert downloads.read_list(tmp_path / "x.json") == {}
