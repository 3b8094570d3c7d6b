"""What runs in the guest are functions: called here, on a filesystem that is right, they find nothing wrong.

And they find what is made wrong. What needs a filesystem under test, or root, is left to the guest.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vexlab.guest.inside import (
    churn,
    content,
    directories,
    files,
    fresh,
    limits,
    links,
    names,
    rename,
    space,
    trees,
    truncate,
    writers,
)
from vexlab.guest.inside.attempts import ended, outcome, outcomes, shell
from vexlab.guest.inside.calls import name_of, named
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.images import blocks, copy, digest
from vexlab.guest.inside.system import free, write_out

CAN = (
    "directories", "rename", "hard-links", "symbolic-links", "truncate", "permissions", "mmap", "sync", "timestamps",
)  # fmt: skip


@pytest.fixture
def fs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filesystem:
    """A directory of this machine, which can't be remounted: what isn't persistent never is."""
    monkeypatch.chdir(tmp_path)
    return Filesystem(
        image="", point=str(tmp_path), device="", kind="", options="", read_only_options="", persistent=False,
        shape="block", source="", disk=[], can=list(CAN),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("errors", "table"),
    [(files.errors, files.ERRORS), (directories.errors, directories.ERRORS), (rename.errors, rename.ERRORS)],
    ids=["files", "directories", "rename"],
)
def test_linux_answers_as_the_tables_say(
    fs: Filesystem,
    errors: Callable[[Filesystem], dict[str, str]],
    table: dict[str, tuple[Callable[[], object], str]],
) -> None:
    came = errors(fs)
    assert set(came) == set(table)
    wrong = {name: found for name, found in came.items() if found not in table[name][1].split(" or ")}
    assert wrong == {}


def test_directories(fs: Filesystem) -> None:
    assert directories.nested(fs) == ["bottom", False]
    assert directories.link_counts(fs) in ([2, 4, 3, 2], [1, 1, 1, 1])
    assert directories.name_of_a_removed_one(fs) == "file"
    listed = directories.list_many(fs, 4, 9)
    made = ["e0000-lon", "e0001-lon", "e0002-lon", "e0003-lon"]
    assert sorted(listed["at once"]) == sorted(listed["after a remount"]) == listed["made"] == made
    assert directories.remove_many(fs) == [made[1::2], made[1::2], False]


def test_files(fs: Filesystem) -> None:
    read = {"0": [0, None], "1": [1, None], "4097": [4097, None]}
    assert files.reread(fs, [0, 1, 4097]) == {"refused": {}, "read": read}
    assert files.big_file(fs, 3, 60) == [3 << 20, [], 0]
    assert files.append(fs) == "onetwothree"
    assert files.overwrite_the_middle(fs) == ["a" * 4094 + "BBBB" + "a" * (12288 - 4098)] * 2
    assert files.rewrite(fs) == [5, "short"]
    assert files.delete(fs) == [False, False, "y"]
    assert files.read_without_a_name(fs) == [False, "mine"]


def test_content_is_what_the_directory_holds(tmp_path: Path) -> None:
    """Told in the words of the first thing that differs."""
    source, there = tmp_path / "source", tmp_path / "there"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(os.urandom(50000))
    (source / "link").symlink_to("deep/file")
    shutil.copytree(source, there, symlinks=True)
    both, can = (str(there), str(source)), ("permissions", "timestamps")
    assert content.compare(*both, can) == []
    (there / "deep" / "file").chmod(0o600)
    assert content.compare(*both, ()) == []
    assert content.compare(*both, can) == ["deep/file: mode 600, and not mode 644"]
    (there / "link").unlink()
    (there / "more").touch()
    (there / "deep" / "file").write_text("short")
    assert content.compare(*both, ()) == [
        "link is missing", f"more was not in {source}", "deep/file: size 5, and not size 50000",
    ]  # fmt: skip
    assert sorted(content.names(str(source))) == ["deep", "link"]
    with pytest.raises(AssertionError, match="there is no directory /nowhere in the tree that was built"):
        content.names("/nowhere")


def test_room_that_comes_back_late_is_waited_for_as_long_as_the_target_says(fs: Filesystem) -> None:
    before = time.monotonic()
    assert free(1 << 62) < 1 << 62
    assert time.monotonic() - before < 5
    assert free(1 << 62, 0.3) < 1 << 62
    assert 0.3 <= time.monotonic() - before < 10


def test_what_has_no_fsync_is_written_out_with_all(tmp_path: Path) -> None:
    for path in ("/proc/self/stat", str(tmp_path)):  # the first says EINVAL to fsync(2)
        descriptor = os.open(path, os.O_RDONLY)
        write_out(descriptor)
        os.close(descriptor)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        write_out(descriptor)


@pytest.mark.parametrize("root", ["0:0 drwxr-xr-x", "0:0 drwx------", "0:0 drwxrwxr-x", "0:0 dr-xr-xr-x"])
def test_root_directory_that_others_cannot_write_is_no_hole(root: str) -> None:
    assert not fresh.is_a_hole(root)


@pytest.mark.parametrize(
    "root",
    ["1000:1000 drwxr-xr-x", "0:0 drwxrwxrwx", "0:0 drwxrwxrwt", "0:0 drwxr-x-w-", "0:0 d---------", "0:1 drwx------"],
)
def test_root_directory_that_others_can_write_is_a_hole(root: str) -> None:
    assert fresh.is_a_hole(root)


def test_links_and_names(fs: Filesystem) -> None:
    assert links.three_names(fs) == [1, [3], "one two"]
    assert links.last_name(fs) == [1, "kept", False]
    assert links.link_over_a_name(fs) == ["EEXIST", "ENOENT", "y"]
    made = {"short": [1, "x"], "long": [1000, "y" * 1000]}
    assert links.symbolic_links(fs, {"short": "x", "long": "y" * 1000}) == {"refused": {}, "read": made}
    assert links.follow(fs) == ["content", "content", "nowhere", "ENOENT"]
    assert links.ring(fs) == "ELOOP"
    assert links.remove_a_link(fs) == [False, "kept"]
    seen = names.listing(fs, ["a b", "*"])
    assert (sorted(seen["listed"]), seen["refused"]) == ([["*", "*"], ["a b", "a b"]], {})


def test_moves(fs: Filesystem) -> None:
    moved = rename.moved(fs, {"one": ["a=1 d/", "a", "d/b"], "other": ["a=1 b=2", "a", "b"]})
    assert moved == {"one": "d/ d/b=1", "other": "b=1"}
    parent, dot_dot, *counts = rename.parent_of_what_moved(fs)
    assert (parent, counts in ([2, 3], [1, 1])) == (dot_dot, True)


def test_lengths(fs: Filesystem) -> None:
    seen = truncate.make_all(fs, list(truncate.CASES))
    for name in truncate.CASES:
        length, filled = seen["wanted"][name]
        assert seen["at once"][name][:3] == seen["after a remount"][name][:3] == [length, length, filled], name
    assert seen["wanted"]["with a hole"] == [16 << 20, 4096]


def test_trees_are_told_apart(fs: Filesystem) -> None:
    lines = trees.plant(fs, CAN if os.getuid() == 0 else [name for name in CAN if name != "permissions"])
    assert len(lines) >= 60
    before = trees.manifest(CAN)
    Path("dir1/deep/late").touch()
    assert len(trees.manifest(CAN)) == len(before) + 1


def test_space(fs: Filesystem) -> None:
    block, total, free, available, longest = space.sizes(fs)
    assert 0 < available <= free <= total
    assert block > 0
    assert longest == 255


def test_many_and_deep(fs: Filesystem) -> None:
    limits.check_small_files(fs, limits.make_small_files(fs, 60))
    depth, name = limits.make_deep_tree(fs, 80)
    os.chdir(fs.point)
    limits.check_deep_tree(fs, depth, name)
    assert (depth, len(name)) == (80, 60)
    assert not list(Path(fs.point).iterdir())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda: Path("file-7").unlink(), "59 names are listed, 59 different, 60 were made"),
        (lambda: Path("file-7").write_text("8"), "file-7 has other content"),
        (lambda: Path("other").touch(), "1 names are still there"),
    ],
    ids=["gone", "changed", "too many"],
)
def test_small_files_that_changed_are_told(fs: Filesystem, spoil: Callable[[], object], said: str) -> None:
    limits.make_small_files(fs, 60)
    spoil()
    with pytest.raises(AssertionError, match=f"^{said}$"):
        limits.check_small_files(fs, 60)


def test_writers(fs: Filesystem) -> None:
    assert writers.write_at_once(fs, 3, 7, 10000) == []
    writers.check(fs, 3, 7, 10000)
    Path("2-0-done").write_bytes(b"\1" * 10000)
    with pytest.raises(AssertionError, match=r"^2-0-done does not hold what its writer wrote$"):
        writers.check(fs, 3, 7, 10000)


def test_writer_that_fails_is_told(fs: Filesystem) -> None:
    Path("2-3").mkdir()
    assert writers.write_at_once(fs, 3, 7, 10000) == [
        "writer 2: [Errno 21] Is a directory: '2-3'",
        "writer 2 ended with 1",
    ]


def test_random_operations(fs: Filesystem) -> None:
    churn.run(fs, 5, 400, CAN)


def test_random_operations_find_what_differs(fs: Filesystem) -> None:
    """Names are made from numbers in order; what is in the way of the third is an error of its operation."""
    for place in ("3", "4", "5"):
        Path(place).touch()
    with pytest.raises(AssertionError) as told:
        churn.run(fs, 5, 400, CAN)
    assert str(told.value).startswith("seed 5, operation ")
    assert str(told.value).endswith("(vexlab test --seed 5 repeats it)")


def test_image_is_told_by_what_it_holds(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.touch()
        os.truncate(path, 8 << 20)
    with one.open("r+b") as file:
        file.seek(5 << 20)
        file.write(b"x" * 70000)
    assert [offset for offset, _ in blocks(str(one))] == [5 << 20, (5 << 20) + 65536]
    assert digest(str(one)) != digest(str(other))
    copy(str(one), str(other))
    assert digest(str(one)) == digest(str(other))
    assert one.read_bytes() == other.read_bytes()


def test_how_things_end() -> None:
    assert ended('echo "$2"; echo no >&2; exit 3', "a", "b c") == [3, "b c\n", "no\n"]
    assert ended("kill -9 $$")[0] == 137
    assert shell("echo ' x '") == "x"
    with pytest.raises(OSError, match="`false` failed with 1"):
        shell("false")
    assert outcome(os.rmdir, "/nowhere") == "ENOENT"
    assert outcomes({"right": lambda: None, "wrong": Path("/nowhere").rmdir}) == {
        "right": "done",
        "wrong": "ENOENT",
    }


def test_names_lead_back_to_their_functions() -> None:
    for function in (files.errors, Filesystem.mount, Filesystem.bytes_at):
        assert named(name_of(function)) is function
    for stranger in (os.getcwd, test_how_things_end, lambda: None):
        with pytest.raises(LookupError):
            name_of(stranger)
