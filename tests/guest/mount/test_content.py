"""A filesystem that is read and never written: what mkfs put on it is all that it has to show."""

from __future__ import annotations

import pytest
from guest import Lab
from inside import content
from scratch import Scratch


@pytest.mark.needs("content")
def test_what_mkfs_put_there_is_there(lab: Lab, scratch: Scratch) -> None:
    """Each name with its content, read whole and in pieces; modes, owners and times as far as they are claimed."""
    wrong = scratch.call(content.differences, f"{lab.build}/{lab.content_directory}", lab.capabilities, seconds=150)
    assert not wrong, "; ".join(wrong)
