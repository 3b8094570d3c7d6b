"""A filesystem that is read and never written: what mkfs put on it is all that it has to show."""

from __future__ import annotations

import pytest

from vexlab.guest.inside import content
from vexlab.guest.testing.scratch import Scratch
from vexlab.guest.testing.target import Target


@pytest.mark.needs("content")
def test_what_mkfs_put_there_is_there(target: Target, scratch: Scratch) -> None:
    """Each name with its content, read whole and in pieces; modes, owners and times as far as they are claimed."""
    wrong = scratch.call(
        content.differences, f"{target.build}/{target.content_directory}", target.capabilities, seconds=150
    )
    assert not wrong, "; ".join(wrong)
