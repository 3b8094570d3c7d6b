"""How the tests that start guests are spread over processes, wherever they are."""

from __future__ import annotations

import pytest

LONGEST = (
    "test_gate", "test_documented", "test_up", "test_devices", "test_keep_going", "test_warm", "test_interruptions",
    "test_directories", "test_another_filesystem", "test_recover", "test_broken_filesystems", "test_collection",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, which share a lab, and begin with the files that take longest.

    With several at once, a long one at the end would run alone. A mutant has a guest of its own, so each goes where
    there is room.
    """
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        if item.path.parent.name in ("e2e", "faults"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
