"""What a hypervisor gets: packed here, and unpacked as module `shipped` does it, it is what it was."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.image import cache, sandboxes, store
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.cache import Wanted
from ansible_collections.vexfs.vexlab.plugins.module_utils.image.sandboxes import Part

from tests.unit import modules
from vexlab.config import images, installation, source_tree
from vexlab.config.settings import Options
from vexlab.hosts import shipment
from vexlab.hosts.shipment import Item
from vexlab.matrix import cells
from vexlab.matrix.cells import Cell


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The directory of archives."""
    path = tmp_path / "packed"
    path.mkdir()
    return path


def unpacked(item: Item, tmp_path: Path) -> Path:
    """The directory that a host has of an archive."""
    incoming, home = tmp_path / "incoming", tmp_path / "home"
    incoming.mkdir(exist_ok=True)
    shutil.copyfile(item.archive, incoming / Path(item.archive).name)
    answer = modules.run("shipped", {"incoming": str(incoming), "items": [item.below(str(home))]})
    assert (answer["failed"], answer["changed"]) == (False, True), answer
    return home / item.directory


def bundled() -> Cell:
    return cells.plan([], ["trixie"], ["full"], Options())[0]


def test_code_runs_from_where_it_is_unpacked(packed: Path, tmp_path: Path) -> None:
    place = unpacked(shipment.code(packed), tmp_path)
    program = "from vexlab.config import installation as i; print(i.root(), i.collections())"
    environment = {"PYTHONPATH": str(place), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(place / installation.COLLECTION), str(place)]
    assert shipment.code(packed).directory == f"{shipment.SHARE}/code/{place.name}", "the same is called the same"


def test_what_is_shipped_is_what_a_wheel_has() -> None:
    hook = ast.parse((Path(__file__).parents[2] / ".ci" / "wheel.py").read_text())
    values = {ast.unparse(node.targets[0]): node.value for node in hook.body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values["SHIPPED"]) == shipment.SHIPPED


def test_source_keeps_its_content_and_its_times(packed: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ".git").mkdir(parents=True)
    (source / ".git" / "config").touch()
    (source / "file.c").write_text("x")
    (source / "link").symlink_to("/nowhere")
    os.utime(source / "file.c", (1_000_000_000, 1_000_000_000))
    place = unpacked(shipment.source(packed, str(source)), tmp_path)
    assert source_tree.fingerprint(place) == source_tree.fingerprint(source)
    assert (place / "file.c").stat().st_mtime == 1_000_000_000
    assert not (place / ".git").exists()


@pytest.mark.parametrize("name", ["a,b.yml", "[x]*.yml", "--remove-files.yml", "größer als.yml"])
def test_target_file_may_have_any_name(packed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("content")
    place = unpacked(shipment.target(packed, str(tmp_path / name)), tmp_path)
    assert [path.name for path in place.iterdir()] == [shipment.TARGET]
    assert (place / shipment.TARGET).read_text() == "content"
    assert (tmp_path / name).exists()


def test_part_gets_the_names_that_it_has_there_and_links_stay(packed: Path, tmp_path: Path) -> None:
    root = tmp_path / "sandbox"
    (root / "usr").mkdir(parents=True)
    (root / "usr" / "one").write_text("x")
    os.link(root / "usr" / "one", root / "usr" / "other")
    (root / "bin").symlink_to("sandbox/usr")
    part = Part("sandboxes/0123456789abcdef", {"root": root}, {"sandbox.json": "{}"})
    place = unpacked(shipment.of_cache(packed, part, lambda _: None), tmp_path)
    assert place.relative_to(tmp_path / "home") == Path(".cache/vexlab/images/sandboxes/0123456789abcdef")
    assert sorted(path.name for path in place.iterdir()) == ["root", "sandbox.json"]
    assert (place / "root" / "usr" / "other").read_text() == "x"
    assert (place / "root" / "bin").readlink() == Path("sandbox/usr")


def test_lists_are_another_archive_when_they_say_something_else(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "trixie.json").write_text("old")
    part = Part("kernels/lists", {"trixie.json": tmp_path / "trixie.json"}, is_exact=True)
    first = shipment.of_cache(packed, part, lambda _: None)
    assert (unpacked(first, tmp_path) / "trixie.json").read_text() == "old"
    (tmp_path / "trixie.json").write_text("new")
    second = shipment.of_cache(packed, part, lambda _: None)
    assert (second.exact, second.directory) == (True, first.directory)
    assert (unpacked(second, tmp_path) / "trixie.json").read_text() == "new"


def test_archives_that_nobody_uses_go(packed: Path) -> None:
    for name, age in (("lock", 15), ("old.tar.zst", 15), (".killed.tmp", 15), ("new.tar.zst", 13)):
        path = packed / name
        path.mkdir() if name.endswith(".tmp") else path.touch()
        os.utime(path, (time.time() - age * 24 * 3600,) * 2)
    shipment._prune(packed)
    assert sorted(path.name for path in packed.iterdir()) == ["lock", "new.tar.zst"]


def an_image(cell: Cell) -> Wanted:
    """An image in the cache as the cell wants it, with nothing but names in it."""
    wanted = images.wanted(cell.contract)
    image = wanted.cache / wanted.key
    (image / "sandbox" / "usr").mkdir(parents=True)
    (image / "warm").mkdir()
    for name in store.IMAGE_FILES:
        (image / name).write_text(name)
    store.write_manifest(image, wanted.spec, wanted.key, "6.12.1-amd64", "2026-01-01T00:00:00Z")
    return wanted


def test_image_of_a_guest_is_whole_there(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cell = bundled()
    wanted = an_image(cell)
    [part] = cache.parts(wanted, pytest.fail)
    place = unpacked(shipment.of_cache(packed, part, lambda _: None), tmp_path)
    assert store.damage(place, wanted.key) is None
    assert not (place / "warm").exists(), "what was saved of a guest holds on this machine alone"
    assert sandboxes.parts(wanted, cell.contract["vexlab_packages"], pytest.fail)


def test_release_of_the_image_s_own_kernel_means_the_same_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it means is in the package lists. A host has none, nor a network to fetch them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [cell] = cells.plan([], ["6.12"], ["full"], Options())
    wanted = an_image(cell)
    lists = wanted.cache / "kernels" / "lists"
    lists.mkdir(parents=True)
    names = ("linux-image-6.12.1-amd64", "linux-headers-6.12.1-amd64")
    packages = [{"name": name, "version": "6.12.1-1", "sha256": "0", "size": 1, "depends": []} for name in names]
    for suite in wanted.suites:
        (lists / f"{suite}.json").write_text(json.dumps({"packages": packages}))
    for parts in (cache.parts(wanted, pytest.fail), sandboxes.parts(wanted, (), pytest.fail)):
        assert "kernels/lists" in [part.place for part in parts]
