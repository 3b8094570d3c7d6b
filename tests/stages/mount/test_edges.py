"""The limits that the target names: at the edge it works, beyond it there is an errno and never a silent cut."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import edges
from vexlab.guest.testing.scratch import Scratch

pytestmark = pytest.mark.requires("read-write")

NEEDS = {
    "symbolic_link_bytes": pytest.mark.requires("symbolic-links"),
    "hard_links": pytest.mark.requires("hard-links"),
    "owner_bits": pytest.mark.requires("permissions"),
    "times": pytest.mark.requires("timestamps"),
}
COUNTED = ("directory_entries", "files", "hard_links")
TIMES = ("time_earliest", "time_latest", "time_granularity_ns")


@pytest.mark.parametrize("limit", [pytest.param(name, marks=NEEDS.get(name, ())) for name in edges.EDGES])
def test_edge(mounted: Scratch, limit: str) -> None:
    """What a filesystem can't do it refuses: what it cuts, wraps or drops in silence is lost."""
    named = [name for name in (TIMES if limit == "times" else (limit,)) if name in mounted.target.limits]
    if not named:
        pytest.skip(
            f"the target names no such limit (vexlab_limits, {limit if limit != 'times' else ', '.join(TIMES)})"
        )
    if limit in COUNTED and mounted.target.limits[limit] > edges.TRIED:
        pytest.skip(f"{mounted.target.limits[limit]} of them take too long: edges of up to {edges.TRIED} are tried")
    wrong = mounted.call(edges.wrong_at, limit, seconds=150)
    assert not wrong, "; ".join(wrong)
