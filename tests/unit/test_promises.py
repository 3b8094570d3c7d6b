"""What is promised, asked of a directory of this machine: it keeps it, and what doesn't is told in words.

What needs root, a mount or a device of its own is left to the guest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vexlab.guest.inside import (
    changes,
    coming_and_going,
    listing,
    lookups,
    opening,
    rename_flags,
    renaming,
    rights,
    sizes,
    times,
    transfer,
)
from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.testing.promises import broken

CAN = ["read-write", "directories", "rename", "hard-links", "symbolic-links", "truncate", "timestamps"]


@pytest.fixture
def fs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Filesystem:
    """A directory of this machine, which can't be remounted: what isn't persistent never is."""
    monkeypatch.chdir(tmp_path)
    return Filesystem(
        image="", point=str(tmp_path), device="", kind="", options="", read_only_options="", persistent=False,
        shape="block", source="", disk=[],
    )  # fmt: skip


def test_promise_that_is_kept_has_no_words() -> None:
    assert broken({"open(2)": "done", "size": 5}, {"open(2)": ("done", "EINVAL"), "size": 5}) == ""


@pytest.mark.parametrize(
    ("seen", "promised", "words"),
    [
        ({"rmdir(.)": "done"}, {"rmdir(.)": "EINVAL"}, "rmdir(.): expected EINVAL, came done"),
        ({"a": "ENOENT"}, {"a": ("done", "EPERM")}, "a: expected done or EPERM, came ENOENT"),
        ({"it holds": "x"}, {"it holds": "content"}, "it holds: expected 'content', came 'x'"),
        ({"left": ["a", 2]}, {"left": []}, "left: expected none, came 'a', 2"),
        ({"links": [[3], [1]]}, {"links": [[2], []]}, "links: expected (2), (none), came (3), (1)"),
        ({"it came to": {"link": "EIO"}}, {"it came to": {}}, "it came to: expected none, came link: EIO"),
        ({"moved": False}, {"moved": True}, "moved: expected yes, came no"),
        ({}, {"a": 1}, "a: expected 1, came nothing"),
        ({"a": 1}, {}, "a: expected nothing, came 1"),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, "a: expected 2, came 1; b: expected 1, came 2"),
    ],
)
def test_promise_that_is_broken_is_told(seen: dict[str, object], promised: dict[str, object], words: str) -> None:
    assert broken(seen, promised) == words


def test_times(fs: Filesystem) -> None:
    for at_once, later in times.all_three(fs, ["file", "directory", "symbolic link"]).values():
        assert at_once == later
        assert times.FULL - 2 * times.SECOND < at_once[1] <= times.FULL < at_once[2]
    shown, kept = times.edges(fs)
    assert len(shown) == len(kept) == len(times.EDGES)
    assert shown == sorted(shown) == kept
    seen = times.now_and_omit(fs)
    assert seen["UTIME_OMIT, UTIME_OMIT"] == [400_000_000, 500_000_000]
    assert seen["UTIME_NOW, UTIME_OMIT"][1] == 500_000_000
    assert seen["clock"][0] - 2 < seen["UTIME_NOW, UTIME_NOW"][0] <= seen["clock"][1]


def test_changes(fs: Filesystem) -> None:
    found = changes.moved(fs, CAN)
    assert {table: len(made) for table, made in found.items()} == {
        "writes": 6,
        "attributes": 7,  # chmod, chown and setxattr are not claimed here
        "entries": 13,
        "harmless": 8,
    }
    for table, made in found.items():
        for change, seen in made.items():
            assert seen.get("kept"), (change, seen)
            assert (seen["mtime"] > 0) is (table in ("writes", "entries")), (change, seen)
            assert (seen["ctime"] > 0) is (table != "harmless"), (change, seen)
    assert changes.moved(fs, ["read-write"]) == {}


def test_renames(fs: Filesystem) -> None:
    for name, (came, at_once, later) in rename_flags.with_flags(fs).items():
        if "WHITEOUT" not in name or os.getuid() == 0:
            assert at_once == later == rename_flags.FLAGS[name].allowed[came], name
    for name, counted in renaming.counts(fs).items():
        right = renaming.COUNTS[name][3]
        assert {place: links[1] for place, links in counted.items()} in (right, dict.fromkeys(right, 1)), name
    assert set(renaming.parents(fs).values()) == {True}
    assert renaming.names_of_one_file(fs)["the links of the file"] == 2
    os.chdir(fs.point)
    assert renaming.victim_with_another_name(fs)["links of the replaced file's other name"] == 1
    os.chdir(fs.point)
    seen = renaming.odd(fs)
    assert not [name for name, (_, wanted) in renaming.ODD.items() if seen[name] not in wanted.split()], seen
    os.chdir(fs.point)
    assert renaming.atomic(fs, 20)["what came of the other process"] == "done"
    assert renaming.crossing(fs, 10)["what came of them"] == ["done", "done"]


def test_listings(fs: Filesystem) -> None:
    kinds = listing.kinds(fs, CAN)
    assert {"file", "directory", "symbolic link", "FIFO"} <= set(kinds)
    assert all(told in (0, real) for told, real, *_ in kinds.values())
    os.chdir(fs.point)
    assert not any(coming_and_going.while_removed(fs, 60).values())
    assert not any(coming_and_going.while_others_go(fs, 60).values())
    assert not any(coming_and_going.while_renamed(fs, 60).values())
    assert not any(coming_and_going.while_another_works(fs, 60).values())
    assert set(listing.positions(fs, 60).values()) == {True}
    assert listing.too_small(fs)["a buffer of 24 bytes before a longer entry"] == "EINVAL"
    full, _, empty = listing.many_children(fs, 10).values()
    assert (full[0], full[2], full[1] in (12, 1), empty[2]) == (10, 10, True, 0)


def test_listing_that_is_wrong_is_told() -> None:
    wrong = {"left out": ["b"], "listed more than once": ["a", "new"]}
    assert listing.compared(["a", "c", "a", "new", "new"], ["a", "b", "c"]) == wrong


def test_listing_without_an_end_is_told(tmp_path: Path) -> None:
    for name in range(9):
        (tmp_path / str(name)).touch()
    directory = listing.opened(str(tmp_path))
    with pytest.raises(AssertionError, match="has listed 11 entries, which are more than there can be"):
        listing.entries(directory, 5)
    os.close(directory)


def test_as_many_as_there_is_room_for(tmp_path: Path) -> None:
    """Where there is no room for more the rest is left out; any other error counts, and room for next to nothing."""

    def full_after(most: int, error: int) -> list[str]:
        def make(name: str) -> None:
            if int(name) >= most:
                raise OSError(error, os.strerror(error))

        return listing.made([str(number) for number in range(20)], make)

    assert len(full_after(12, 28)) == 12
    for most, error in ((12, 5), (1, 28)):
        with pytest.raises(OSError, match=os.strerror(error)):
            full_after(most, error)


def test_opening(fs: Filesystem) -> None:
    assert opening.append_by_turns(fs)["after a remount"] == "a0 b0 cde"
    assert opening.append_at_once(fs, 20)["whole records of the other"] == 20
    assert opening.flags(fs)["O_CREAT of new/"] == "EISDIR"
    os.chdir(fs.point)
    assert opening.links(fs)["a chain of 44 symbolic links"] == "ELOOP"
    os.chdir(fs.point)
    assert opening.per_call(fs)["what the file holds"] in ("AB345E", "AB345")
    assert opening.without_a_name(fs, 20_000)["what the old one reads still"] == "bef"


def test_sizes(fs: Filesystem) -> None:
    for place, (came, (size, found, other), later) in sizes.far(fs).items():
        assert came in ("done", "EFBIG")
        assert (size, found) == ((int(place) + 3, "far") if came == "done" else (0, ""))
        assert (other, later) == ([], [size, found, other])
    assert sizes.at_the_limit(fs)["pread(2) of the last byte"] == "done"
    assert sizes.room(fs, truncates=True)["cut to nothing"] <= 64 << 10
    assert len(sizes.holes(fs).get("data", [1, 2, 3])) == 3
    for way, (at_once, later) in sizes.behind_the_end(fs).items():
        assert at_once == later == list(sizes.GROWN[way][1:])


def test_transfers_and_names(fs: Filesystem) -> None:
    assert transfer.reads(fs)["what is there, and before it"] == "\0\0abcde"
    assert [found for found in transfer.copies(fs).values() if found[0] == "done"]
    assert all(all(came[1:]) for name, came in transfer.from_bad_memory(fs).items() if name != "reading")
    assert transfer.ranges(fs).get("the file around it", True)
    seen = lookups.odd(fs)
    assert not [name for name, (_, wanted) in lookups.ODD.items() if seen[name] not in wanted.split()], seen
    os.chdir(fs.point)
    for call, (came, longer) in lookups.lengths(fs, CAN).items():
        assert [came, longer] == (["done", [0]] if "the longest" in call else ["ENAMETOOLONG", []]), call
    assert not any(lookups.alike(fs).values())
    assert set(lookups.numbers(fs, 20).values()) == {True}
    assert all(came[0] == "ENAMETOOLONG" or all(came[1:]) for came in lookups.long_links(fs).values())
    assert lookups.many_names(fs, 20) == [[21, 21, 21], [21, 21, 21], [1, 1, 1]]


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_rights(fs: Filesystem) -> None:
    tried = {rights.set_id_bits: 7, rights.group_bit: 7, rights.ownership: 10, rights.classes: 9, rights.sticky: 6}
    for function, count in tried.items():
        os.chdir(fs.point)
        seen = function(fs)
        assert (len(seen), "as nobody" in seen) == (count, False), seen
    os.chdir(fs.point)
    assert rights.made_without_rights(fs)["open(2) of it by its owner"] == "EACCES"
    os.chdir(fs.point)
    assert rights.parts(fs)["after a remount"] == [33, 44, 55, 66]
    os.chdir(fs.point)
    assert rights.program(fs) == {"execve(2) of a copy of sleep(1)": "done", "execve(2) of one without x": "EACCES"}


SMALL = {"name_bytes": 28, "symbolic_link_bytes": 59, "file_bytes": 65536, "directory_entries": 32, "hard_links": 8}


def beyond(top: Path) -> list[str]:
    """What is in a tree that a filesystem of these limits could not have."""
    found = []
    for root, directories, names in os.walk(top):
        found += [f"{root}: {len(directories + names)} entries"] * (
            len(directories + names) > SMALL["directory_entries"]
        )
        found += [name for name in directories + names if len(os.fsencode(name)) > SMALL["name_bytes"]]
        sizes_of = {name: os.lstat(f"{root}/{name}").st_size for name in names}
        found += [f"{name}: {size} bytes" for name, size in sizes_of.items() if size > SMALL["file_bytes"]]
    return found


@pytest.mark.parametrize(
    "function",
    [
        lambda fs: times.all_three(fs, ["file", "directory", "symbolic link"]), times.edges,
        lambda fs: changes.moved(fs, CAN), rename_flags.with_flags, renaming.counts,
        lambda fs: listing.kinds(fs, CAN), lambda fs: listing.positions(fs, 300), listing.too_small,
        lambda fs: coming_and_going.while_others_go(fs, 300), lambda fs: coming_and_going.while_renamed(fs, 300),
        lambda fs: opening.append_at_once(fs, 200), opening.links, transfer.copies, transfer.from_bad_memory,
        sizes.holes, sizes.behind_the_end, lookups.alike, lambda fs: lookups.numbers(fs, 100),
        lambda fs: lookups.begin(fs, CAN, 10),
    ],
)  # fmt: skip
def test_limits_are_kept(fs: Filesystem, function: Callable[[Filesystem], object]) -> None:
    """What a target says that it can't have is not tried by a check of something else."""
    fs.limits.update(SMALL)
    function(fs)
    assert beyond(Path(fs.point)) == []
