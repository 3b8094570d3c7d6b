"""`vexlab init`: what is read from a tree and seen in a guest is what its author wrote by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Vexlab
from tests.unit.by_hand import HAND

pytestmark = pytest.mark.thorough

# In which fields the file differs from the one that was written by hand, and why.
DIFFERENCES = {
    "nodev": {
        "vexlab_target_name": "the target has the name of its directory, the filesystem another one",
        "vexlab_packages": "rustc, for the image of target vexfs",
        "vexlab_required_paths": HAND,
        "vexlab_build_command": "plain make builds the module, as the hand-written command says by name",
        "vexlab_limits": "what is met is written down, and a name of 255 bytes meets none",
    },
}
# Capabilities that the author claims, and no check of the stages up to the mount is about.
BY_HAND_ALONE = {"nodev": {"sync"}}


def by_hand(tree: str) -> dict[str, Any]:
    """The target file of a tree that its author wrote."""
    fields: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "targets" / f"{tree}.yml").read_text())
    return fields


def differing(found: dict[str, Any], tree: str) -> set[str]:
    """The fields that differ from those that were written by hand; where the source is, a test decides."""
    hand = by_hand(tree)
    return {name for name in found | hand if found.get(name) != hand.get(name)} - {"vexlab_source"}


@pytest.mark.parametrize("tree", DIFFERENCES)
def test_file_is_the_one_that_was_written_by_hand_but_for_named_differences(vexlab: Vexlab, tree: str) -> None:
    done = vexlab("init", str(ROOT / "examples" / tree))
    assert done.code == 0, done.stderr
    found = yaml.safe_load((vexlab.home / "vexlab.yml").read_text())
    assert differing(found, tree) <= set(DIFFERENCES[tree]) | {"vexlab_capabilities"}
    claimed, written = set(found["vexlab_capabilities"]), set(by_hand(tree)["vexlab_capabilities"])
    assert (written - claimed, claimed - written) == (BY_HAND_ALONE[tree], set())
    assert vexlab("target", "check", "vexlab.yml").code == 0


def broken_tree(home: Path) -> Path:
    """A copy of the filesystem in memory that no compiler takes."""
    tree = home / "broken"
    tree.mkdir()
    for path in (ROOT / "examples" / "nodev").iterdir():
        (tree / path.name).write_text(path.read_text())
    with (tree / "memfs.c").open("a") as source:
        source.write("this is no C\n")
    return tree


def test_what_can_not_be_built_is_written_as_it_was_read(vexlab: Vexlab) -> None:
    """And a word says why nothing was measured."""
    done = vexlab("init", "--output", "broken.yml", str(broken_tree(vexlab.home)))
    assert done.code == 0, done.stderr
    assert "nothing was measured: stage build:" in done.stderr
    assert "Nothing of it was built or run" in (vexlab.home / "broken.yml").read_text()
