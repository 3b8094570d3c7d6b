"""Both builders give the same module, byte for byte; and the variants differ."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import ROOT, VEXFS, Vexlab

TARGET = ROOT / "examples" / "targets" / "vexfs.yml"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled target with a mkfs that fails: the run ends where the module is built, loaded and judged."""
    fields = yaml.safe_load(TARGET.read_text()) | {"vexlab_source": str(VEXFS), "vexlab_mkfs_command": "exit 1"}
    path = tmp_path_factory.mktemp("target") / "vexfs.yml"
    path.write_text(yaml.safe_dump(fields))
    return path


@pytest.fixture(scope="module")
def built(vexlab: Vexlab, target: Path) -> dict[tuple[str, str], str]:
    """sha256 of the module, by variant and builder; each build starts from nothing that the one before left."""
    found = {}
    for variant, builder in (("c-only", "sandbox"), ("full", "sandbox"), ("full", "guest")):
        done = vexlab("up", "--target", str(target), "--variant", variant, "--builder", builder, "--json")
        assert {done.stage(name)["verdict"] for name in ("structure", "build", "load")} == {"passed"}, done.stderr
        assert done.document["module"]["variant"] == variant
        found[variant, builder] = done.document["module"]["sha256"]
        vexlab("destroy")
    return found


def test_builders_give_the_same_module(built: dict[tuple[str, str], str]) -> None:
    """Of the variant that has both languages in it, since an emulated guest takes minutes for a build."""
    assert built["full", "sandbox"] == built["full", "guest"]


def test_variants_are_different_modules(built: dict[tuple[str, str], str]) -> None:
    assert len(built["c-only", "sandbox"]) == 64
    assert built["c-only", "sandbox"] != built["full", "sandbox"]
