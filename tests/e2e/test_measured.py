"""`vexlab init --measure`: what a guest shows that a filesystem can do is what its author wrote by hand."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab

pytestmark = pytest.mark.thorough

# What the author knows, and no check of the stages up to the mount is about.
BY_HAND_ALONE = {"nodev": {"sync"}}


@pytest.mark.parametrize("tree", BY_HAND_ALONE)
def test_capabilities_are_those_that_were_written_by_hand(vexlab: Vexlab, tree: str) -> None:
    done = vexlab("init", "--measure", str(ROOT / "examples" / tree))
    assert done.code == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load((vexlab.home / "vexlab.yml").read_text())
    hand: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "targets" / f"{tree}.yml").read_text())
    assert set(hand["vexlab_capabilities"]) - set(found["vexlab_capabilities"]) == BY_HAND_ALONE[tree]
    assert set(found["vexlab_capabilities"]) <= set(hand["vexlab_capabilities"])
    assert vexlab("target", "check", "vexlab.yml").code == 0


def test_what_can_not_be_built_is_written_as_it_was_read(vexlab: Vexlab) -> None:
    """And a word says why nothing was measured."""
    tree = vexlab.home / "broken"
    tree.mkdir()
    for path in (ROOT / "examples" / "nodev").iterdir():
        (tree / path.name).write_text(path.read_text())
    with (tree / "memfs.c").open("a") as source:
        source.write("this is no C\n")
    done = vexlab("init", "--measure", "--output", "broken.yml", str(tree))
    assert done.code == 0, done.stderr
    assert "nothing was measured: stage build:" in done.stderr
    assert "Nothing of it was built or run" in (vexlab.home / "broken.yml").read_text()
