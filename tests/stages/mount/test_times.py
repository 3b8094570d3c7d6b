"""Times of files and directories: kept as they are set, and moved by what moves them."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.inside import changes
from vexlab.guest.inside import times as inside_times
from vexlab.guest.testing.promises import broken
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import duration

pytestmark = pytest.mark.requires("read-write", "timestamps")

KINDS = {"file": "read-write", "directory": "directories", "symbolic link": "symbolic-links"}
DAY = 86400 * 10**9


def claimed(target: Target) -> list[str]:
    """The kinds of files that the target claims."""
    return [kind for kind, capability in KINDS.items() if capability in target.capabilities]


@pytest.fixture(scope="module")
def three(target: Target, mounted: Scratch) -> dict[str, list[list[int]]]:
    """Access, modification and change of each kind: at once and after a remount."""
    return mounted.call(inside_times.all_three, claimed(target))


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.requires(KINDS[kind])) for kind in KINDS])
def test_time_is_set_as_asked(three: dict[str, list[list[int]]], kind: str) -> None:
    """Both times are what was asked for, cut down to the filesystem's step of time (utimensat(2))."""
    access, modification, _ = three[kind][0]
    for name, asked, came, step in (
        ("atime", inside_times.FULL + 1_100_000_000, access, DAY),  # FAT keeps the day alone
        ("mtime", inside_times.FULL, modification, 2 * 10**9),
    ):
        assert asked - step < came <= asked, f"utimensat(2) of a {kind} with {name} {asked} ns: stat(2) says {came} ns"


@pytest.mark.requires("persistent")
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.requires(KINDS[kind])) for kind in KINDS])
def test_nanoseconds_are_kept(target: Target, three: dict[str, list[list[int]]], kind: str) -> None:
    """What stat(2) said of atime and mtime it says after a remount, to the nanosecond (utimensat(2), stat(2))."""
    first = 0 if "access-time" in target.capabilities else 1  # which promises that an atime is kept at all
    before, after = ([*moments[first:2]] for moments in three[kind])
    which = ("atime and mtime", "mtime")[first]
    assert after == before, f"{which} of a {kind} were {before} ns, and are {after} ns after a remount"


@pytest.mark.requires("persistent", "change-time")
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.requires(KINDS[kind])) for kind in KINDS])
def test_change_time_is_kept(three: dict[str, list[list[int]]], kind: str) -> None:
    """The time of the last change is the same after a remount, and no copy of another time (inode(7))."""
    before, after = (moments[2] for moments in three[kind])
    assert after == before, f"ctime of a {kind} was {before} ns, and is {after} ns after a remount"
    assert before > three[kind][0][1], f"utimensat(2) of a {kind} set its ctime too: {before} ns"


@pytest.fixture(scope="module")
def edges(mounted: Scratch) -> list[list[list[int]]]:
    """Access and modification for each moment of EDGES: at once and after a remount."""
    return mounted.call(inside_times.edges)


@pytest.mark.parametrize("which", [0, 1], ids=["atime", "mtime"])
def test_time_out_of_range_is_the_nearest(edges: list[list[list[int]]], which: int) -> None:
    """Before 1970, after 2038 and 2106: kept, or the first or last that there is; never wrapped (utimensat(2))."""
    came = [moments[which] for moments in edges[0]]
    first, last = min(came), max(came)
    step = 86400 if which == 0 else 2
    for asked, said in zip(inside_times.EDGES, came, strict=True):
        right = asked - step < said <= asked or (said == first and asked < first) or (said == last and asked > last)
        assert right, f"utimensat(2) with {asked} s since 1970: stat(2) says {said} s (of {first} to {last})"


@pytest.mark.requires("persistent")
@pytest.mark.parametrize(
    "which", [pytest.param(0, id="atime", marks=pytest.mark.requires("access-time")), pytest.param(1, id="mtime")]
)
def test_time_far_away_is_kept(edges: list[list[list[int]]], which: int) -> None:
    """A time that stat(2) showed before 1970, after 2038 or 2106 is the same after a remount (utimensat(2))."""
    for asked, before, after in zip(inside_times.EDGES, *edges, strict=True):
        assert after[which] == before[which], (
            f"utimensat(2) with {asked} s since 1970: stat(2) said {before[which]} s, {after[which]} s after a remount"
        )


def test_now_and_omit(mounted: Scratch) -> None:
    """UTIME_NOW sets the time of the clock, UTIME_OMIT leaves a time as it was (utimensat(2))."""
    seen = mounted.call(inside_times.now_and_omit)
    begin, end = seen.pop("clock")
    old = (400_000_000, 500_000_000)
    steps = (86400, 2)
    for asked, came in seen.items():
        for name, word, said, kept, step in zip(("atime", "mtime"), asked.split(", "), came, old, steps, strict=True):
            low, high = (kept, kept) if word == "UTIME_OMIT" else (begin, end)
            assert low - step < said <= high, f"{asked}: {name} is {said} s, expected {low} to {high} s"


@pytest.mark.requires("access-time")
def test_reading_moves_the_access_time(target: Target, mounted: Scratch) -> None:
    """As the mount asks: strictatime each time, relatime if it is old, noatime never (mount(8), open(2))."""
    seen = mounted.call(inside_times.moved_by_reading, claimed(target))
    quiet = ("noatime", "O_NOATIME", "stat(2)", "remount", "relatime, read(2) of a file whose atime is ahead")
    wrong = broken(seen, {step: not any(word in step for word in quiet) for step in seen})
    assert not wrong, f"whether the atime moved: {wrong}"


@pytest.fixture(scope="module")
def moved(target: Target, mounted: Scratch) -> dict[str, dict[str, Any]]:
    """What each change did to the times of what it changed."""
    return mounted.call(changes.moved, target.capabilities)


# A check for each change of a table, if the target claims what it needs.
WRITES = pytest.mark.parametrize(
    "change",
    [pytest.param(name, marks=pytest.mark.requires(*change.needs)) for name, change in changes.WRITES.items()],
)
ATTRIBUTES = pytest.mark.parametrize(
    "change",
    [pytest.param(name, marks=pytest.mark.requires(*change.needs)) for name, change in changes.ATTRIBUTES.items()],
)
ENTRIES = pytest.mark.parametrize(
    "change",
    [pytest.param(name, marks=pytest.mark.requires(*change.needs)) for name, change in changes.ENTRIES.items()],
)
HARMLESS = pytest.mark.parametrize(
    "change",
    [pytest.param(name, marks=pytest.mark.requires(*change.needs)) for name, change in changes.HARMLESS.items()],
)


def steps(seen: dict[str, Any], change: str) -> dict[str, Any]:
    """By how much the times went on; fails when the change did not come about."""
    if came := seen[change].get("failed"):
        if came == changes.NO_ROOM:
            pytest.skip(f"the filesystem has {came}")
        if change == "mkfifo(3)" and came in ("EPERM", "EOPNOTSUPP", "EINVAL", "ENOSYS"):
            pytest.skip(f"the filesystem has no FIFO: {came}")
        pytest.fail(f"{change} failed with {came}", pytrace=False)
    return dict(seen[change])


@pytest.mark.requires("directories")
@WRITES
def test_write_moves_the_modification_time(moved: dict[str, Any], change: str) -> None:
    """What changes the content moves mtime, or make and backups miss it (write(2), truncate(2), open(2))."""
    assert steps(moved["writes"], change)["mtime"] > 0, f"{change} left the mtime of the file as it was"


@pytest.mark.requires("directories", "change-time")
@WRITES
def test_write_moves_the_change_time(moved: dict[str, Any], change: str) -> None:
    """What changes the content moves ctime (write(2), truncate(2), open(2))."""
    assert steps(moved["writes"], change)["ctime"] > 0, f"{change} left the ctime of the file as it was"


@pytest.mark.requires("directories", "change-time")
@ATTRIBUTES
def test_change_moves_the_change_time(moved: dict[str, Any], change: str) -> None:
    """What changes owner, mode, links or name of a file moves its ctime, by which backups find it (inode(7))."""
    assert steps(moved["attributes"], change)["ctime"] > 0, f"{change} left the ctime of what it changed as it was"


@pytest.mark.requires("directories")
@ATTRIBUTES
def test_change_leaves_the_modification_time(moved: dict[str, Any], change: str) -> None:
    """mtime is of the content alone: what leaves that leaves mtime (inode(7))."""
    seen = steps(moved["attributes"], change)
    assert seen["mtime"] == 0, f"{change} moved the mtime by {duration(seen['mtime'])}"


@pytest.mark.requires("directories")
@ENTRIES
def test_entry_moves_the_times_of_its_directory(target: Target, moved: dict[str, Any], change: str) -> None:
    """What makes, removes or renames an entry moves mtime and ctime of the directory (inode(7), POSIX.1-2017)."""
    seen = steps(moved["entries"], change)
    assert seen["mtime"] > 0, f"{change} left the mtime of the directory as it was"
    assert seen["ctime"] > 0 or "change-time" not in target.capabilities, (
        f"{change} left the directory's ctime as it was"
    )


@pytest.mark.requires("directories")
@HARMLESS
def test_what_changes_nothing_moves_nothing(moved: dict[str, Any], change: str) -> None:
    """What changes neither content, inode nor entries leaves mtime and ctime (inode(7))."""
    seen = steps(moved["harmless"], change)
    assert (seen["mtime"], seen["ctime"]) == (0, 0), (
        f"{change} moved mtime by {seen['mtime']} ns, ctime by {seen['ctime']}"
    )


@pytest.mark.requires("persistent", "change-time", "directories")
@pytest.mark.parametrize("table", changes.TABLES)
def test_moved_times_are_kept(moved: dict[str, Any], table: str) -> None:
    """The mtime and ctime that a change left are the same after a remount (inode(7))."""
    lost = [change for change, seen in moved[table].items() if not seen.get("kept", True)]
    assert not lost, f"after a remount the times are not those that these left: {'; '.join(lost)}"
