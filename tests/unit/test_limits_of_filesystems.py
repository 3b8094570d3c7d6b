"""Checks do no more than a filesystem can, by what its target says or by what they measured, and try each edge."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vexlab.guest.inside import (
    amounts,
    churn,
    damage,
    directories,
    edges,
    files,
    limits,
    links,
    lookups,
    metadata,
    name_edges,
    system,
    trees,
    truncate,
    writers,
)
from vexlab.guest.inside.filesystem import MEASURED, Filesystem

ROOT = Path(__file__).parents[2]
CAN = [
    "directories",
    "rename",
    "hard-links",
    "symbolic-links",
    "truncate",
    "mmap",
    "sync",
    "timestamps",
    "sparse-files",
]
TINY: dict[str, Any] = {
    "name_bytes": 11, "symbolic_link_bytes": 31, "file_bytes": 4096, "directory_entries": 16, "files": 40,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_measured_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amounts, "_reached", {})


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Filesystem]:
    """Makes a filesystem of a directory of this machine, with limits as a target has them."""
    monkeypatch.chdir(tmp_path)
    return lambda **limits: Filesystem(
        image="", point=str(tmp_path), device="", kind="toy", options="", read_only_options="", persistent=False,
        shape="none", source="", disk=[], can=CAN, limits=limits,
    )  # fmt: skip


def largest(place: Path) -> dict[str, int]:
    """The largest of what is in a tree: bytes of a name, a file and a link, entries of a directory, files in all."""
    found = list(place.rglob("*"))
    return {
        "name_bytes": max((len(os.fsencode(path.name)) for path in found), default=0),
        "file_bytes": max((path.lstat().st_size for path in found if path.is_file()), default=0),
        "symbolic_link_bytes": max((len(str(path.readlink())) for path in found if path.is_symlink()), default=0),
        "directory_entries": max(len(list(path.iterdir())) for path in [place, *found] if path.is_dir()),
        "files": len(found),
    }


def grow(fs: Filesystem, step: Callable[[], object]) -> dict[str, int]:
    """What `largest` says after each system call of a step, at most: a file that was removed again counts as well."""
    most = largest(Path(fs.point))

    def look(event: str, _: tuple[object, ...]) -> None:
        nonlocal most
        if event in ("os.rename", "os.remove", "os.rmdir", "os.truncate") and watching:
            watching.clear()
            most = {name: max(value, most[name]) for name, value in largest(Path(fs.point)).items()}
            watching.append(True)

    watching = [True]
    sys.addaudithook(look)
    step()
    watching.clear()
    return {name: max(value, most[name]) for name, value in largest(Path(fs.point)).items()}


@pytest.mark.parametrize(
    "step",
    [
        lambda fs: churn.run(fs, 7, 600, CAN),
        directories.nested,
        lambda fs: directories.list_many(fs, 1000, 51),
        lambda fs: files.reread(fs, [0, 1, 4095, 4096]),
        lambda fs: files.big_file(fs, 3, 60),
        files.overwrite_the_middle,
        links.last_name,
        lambda fs: trees.plant(fs, CAN),
        lambda fs: truncate.make_all(fs, list(truncate.CASES)),
        lambda fs: limits.make_small_files(fs, 1000),
        lambda fs: limits.make_deep_tree(fs, 200),
        lambda fs: damage.fill(fs, CAN),
        lambda fs: amounts.write_files([f"p{n}" for n in range(6)], amounts.portions(fs, 8 << 20)),
        lambda fs: writers.write_at_once(fs, 4, *writers.amounts(fs, 4, 30)),
    ],
    ids=[
        "churn", "nested", "many", "files", "big file", "overwrite", "links", "tree", "truncate", "small files", "deep",
        "damage", "portions", "writers",
    ],
)  # fmt: skip
def test_nothing_is_larger_than_the_target_says(make: Callable[..., Filesystem], step: Callable[..., object]) -> None:
    """A check that does more is a false alarm on a filesystem that is right."""
    fs = make(**TINY)
    found = grow(fs, lambda: step(fs))
    assert found["files"] > 0
    assert {name: value for name, value in found.items() if value > TINY[name]} == {}


def test_filesystem_without_statfs_is_measured_all_the_same(
    make: Callable[..., Filesystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_path: str) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    fs = make()
    monkeypatch.setattr(os, "statvfs", missing)  # as of one whose super_operations have no statfs
    assert amounts.most(fs, "files", 50) == 50
    assert amounts.room() > 1 << 40
    assert system.free() == 0
    assert name_edges.names(fs) == []
    assert lookups.lengths(fs, CAN)["mkdir(2) of the longest name"] == ["done", [0]]


def test_limit_that_is_named_is_demanded(make: Callable[..., Filesystem]) -> None:
    fs = make(symbolic_link_bytes=8000)
    seen = links.symbolic_links(fs, {"x": "t" * 5000, "y": "t"})
    wrong = "symlink of 5000 bytes: ENAMETOOLONG, the target says 8000 (vexlab_limits, symbolic_link_bytes)"
    assert seen == {"refused": {"x": ["ENAMETOOLONG", wrong]}, "read": {"y": [1, "t"]}}


def test_limit_that_is_not_named_is_measured_and_noted(
    make: Callable[..., Filesystem], capsys: pytest.CaptureFixture[str]
) -> None:
    fs = make()
    assert links.symbolic_links(fs, {"x": "t" * 5000}) == {"refused": {"x": ["ENAMETOOLONG", ""]}, "read": {}}
    assert amounts.most(fs, "symbolic_link_bytes", 5000) == 4095
    assert amounts.most(fs, "symbolic_link_bytes", 6000) == 4095
    said = "targets of symbolic links have 4095 bytes at most; to demand that, name it: vexlab_limits has "
    told = f"{MEASURED}symbolic_link_bytes 4095\n{amounts.NOTE}{said}symbolic_link_bytes: 4095\n"
    assert capsys.readouterr().out == told
    assert amounts.most(fs, "name_bytes", 300) == 255
    assert amounts.most(fs, "file_bytes", 1 << 20) == 1 << 20
    assert not list(Path(fs.point).iterdir())


def test_another_error_than_a_limit_is_none(make: Callable[..., Filesystem]) -> None:
    fs = make()
    with pytest.raises(FileNotFoundError):
        amounts.refused(Path("nowhere").rmdir)
    with pytest.raises(AssertionError, match=r"^it: ENOENT, which is no limit's errno$"):
        amounts.allowed(fs, "files", 1, "it", FileNotFoundError(2, "no"))


def test_a_write_that_writes_nothing_and_says_nothing_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own files try for ever then, until a deadline of two minutes."""
    with pytest.raises(AssertionError, match=r"^write of 1 bytes returned 0, neither a byte nor an errno"):
        from vexlab.guest.inside import system

        monkeypatch.setattr(os, "write", lambda _descriptor, _data: 0)
        system.write(str(tmp_path / "x"), b"x")


# What is wrong at the edges of a directory of this machine, for limits that it keeps and for such as it doesn't.
EDGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "names": ("bytes", {"name_bytes": 255}, ""),
    "names, more than is kept": ("bytes", {"name_bytes": 256}, "a name of 256 bytes: ENAMETOOLONG, the target"),
    "names, less": ("bytes", {"name_bytes": 28}, "open with O_CREAT of a name of 29 bytes: done, not ENAMETOOLONG"),
    "characters, less": ("characters", {"name_characters": 20}, "a name of 21 characters of 2 bytes: done"),
    "characters": ("characters", {"name_characters": 127, "name_bytes": 255}, ""),
    "case": ("case", {"name_case": "sensitive"}, ""),
    "case, another": ("case", {"name_case": "preserving"}, "names are case-sensitive, the target says p"),
    "links": ("symbolic_link_bytes", {"symbolic_link_bytes": 4095}, ""),
    "links, less": ("symbolic_link_bytes", {"symbolic_link_bytes": 59}, "symlink of 60 bytes: done, though it is"),
    "file, less": ("file_bytes", {"file_bytes": 70000}, "a write of a byte behind 70000 bytes: done, though"),
    "entries, less": ("directory_entries", {"directory_entries": 20}, "one more than the limit could be made"),
    "files, less": ("files", {"files": 40, "directory_entries": 30}, "one more than the limit could be made"),
    "hard links, less": ("hard_links", {"hard_links": 3}, "link number 4: done, though it is beyond the limit"),
    "times": ("times", {"time_granularity_ns": 1}, ""),
    "times, less exact": ("times", {"time_granularity_ns": 10**9}, "says that times are 1000000000 ns apart"),
    "times, less": ("times", {"time_latest": 4_000_000_000}, "a day beyond time_latest: 4000086400 s became 40000864"),
}  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
def test_edge_is_found(make: Callable[..., Filesystem], case: str) -> None:
    which, named, said = EDGES[case]
    fs = make(**named)
    wrong = (edges.wrong_at if which in edges.EDGES else name_edges.wrong_with)(fs, which)
    assert bool(wrong) == bool(said), wrong
    assert said in "; ".join(wrong)
    assert not list(Path(fs.point).iterdir())


def test_longest_name_is_measured(make: Callable[..., Filesystem]) -> None:
    fs = make()
    assert name_edges.wrong_with(fs, "bytes") == []
    assert name_edges.statfs_of_names(fs) == ""
    said = "statfs says that names may have 255 bytes, and they can have 28 (as the target says)"
    assert name_edges.statfs_of_names(make(name_bytes=28)) == said


SMALL = """
import os, sys
sys.path.insert(0, sys.argv[1])
from vexlab.guest.inside import edges
from vexlab.guest.inside.filesystem import MEASURED, Filesystem
os.chdir("/mnt")
fs = Filesystem(
    image="", point="/mnt", device="", kind="toy", options="", read_only_options="", persistent=False, shape="none",
    source="", disk=[], can=["directories"], limits={"files": int(sys.argv[2])},
)
print("; ".join(edges.wrong_at(fs, "files")) or "nothing")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="nobody else can mount a filesystem with few inodes")
@pytest.mark.parametrize(
    ("named", "said"),
    [(31, "nothing"), (40, "with 31 there, one more is refused with ENOSPC; the target says: there is room for 40")],
)
def test_number_of_files_of_a_filesystem_that_keeps_it(named: int, said: str) -> None:
    """A tmpfs with 32 inodes has room for 31 files, beside its root."""
    mount = 'mount -t tmpfs -o nr_inodes=32 none /mnt && exec "$@"'
    code = [sys.executable, "-c", SMALL, str(ROOT), str(named)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", *code], capture_output=True, text=True, check=False
    )
    if "mount" in done.stderr:
        pytest.skip(f"this machine lets nothing be mounted: {done.stderr.strip()}")
    assert done.stdout.startswith(said), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("case", "seen", "named", "wrong", "remark"),
    [
        ("mode 4755", ["4755", "4755"], {}, "", ""),
        (
            "mode 4755",
            ["4755", "755"],
            {},
            "mode 4755 came to 4755 at once, and after a remount 755, which is neither",
            "",
        ),
        ("owner 70000:4000000000", ["70000:4000000000", "65534:65534"], {}, "", "which is a limit to name: owner_bits"),
        ("owner 70000:4000000000", ["70000:4000000000", "65534:65534"], {"owner_bits": 16}, "", ""),
        (
            "owner 70000:4000000000",
            ["70000:4000000000", "65534:65534"],
            {"owner_bits": 32},
            "is within what the target",
            "",
        ),
        ("owner 70000:4000000000", ["70000:4000000000", "4464:10240"], {}, "which is neither what was set nor", ""),
        ("owner 70000:4000000000", ["EOVERFLOW"], {"owner_bits": 16}, "", ""),
        ("time 1", ["315532800", "315532800"], {}, "", "a limit to name: time_earliest or time_latest"),
        ("time 1", ["315532800", "315532800"], {"time_earliest": 315532800}, "", ""),
        ("time 1", ["1", "315532800"], {}, "which is neither what was set nor an errno", ""),
        ("time 2000000000", ["2000000000", "-147483648"], {}, "which is neither", ""),
        ("time 2000000000", ["EIO"], {}, "time 2000000000 came to EIO, which is neither", ""),
    ],
)
def test_what_is_set_is_kept_or_refused(
    case: str, seen: list[str], named: dict[str, Any], wrong: str, remark: str
) -> None:
    for found, said in zip(metadata.wrong(case, seen, named), (wrong, remark), strict=True):
        assert bool(found) == bool(said), found
        assert said in found
