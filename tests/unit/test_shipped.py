"""Archives of another machine, as module `shipped` unpacks them: each once, whole, and only with its own checksum."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from tests.unit import modules


def packed(tmp_path: Path) -> tuple[Path, str]:
    """An archive with a file in it, and its checksum."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    archive = tmp_path / "thing.tar.zst"
    subprocess.run(["tar", "--create", "--zstd", f"--file={archive}", f"--directory={source}", "."], check=True)
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()


def ship(tmp_path: Path, checksum: str, *, check: bool = False, exact: bool = False) -> dict[str, Any]:
    directory = str(tmp_path / "cache" / "thing")
    item = {"archive": "/elsewhere/thing.tar.zst", "sha256": checksum, "directory": directory, "exact": exact}
    return modules.run("shipped", {"incoming": str(tmp_path / "incoming"), "items": [item]}, check=check)


def test_what_is_missing_is_told_and_what_came_is_unpacked_once(tmp_path: Path) -> None:
    archive, checksum = packed(tmp_path)
    answer = ship(tmp_path, checksum)
    assert [item["archive"] for item in answer["missing"]] == ["/elsewhere/thing.tar.zst"]
    sent = tmp_path / "incoming" / "thing.tar.zst"
    sent.write_bytes(archive.read_bytes())
    assert ship(tmp_path, checksum, check=True) | {"invocation": 0} == {
        "failed": False, "changed": True, "missing": [], "invocation": 0,
    }  # fmt: skip
    assert sent.exists()
    answer = ship(tmp_path, checksum)
    assert (answer["changed"], answer["missing"]) == (True, [])
    assert (tmp_path / "cache" / "thing" / "file").read_text() == "content"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["thing"]
    assert not sent.exists()
    assert not ship(tmp_path, checksum)["changed"]


def test_archive_that_is_another_one_is_refused_and_removed(tmp_path: Path) -> None:
    archive, _ = packed(tmp_path)
    ship(tmp_path, "0" * 64)
    sent = tmp_path / "incoming" / "thing.tar.zst"
    sent.write_bytes(archive.read_bytes())
    answer = ship(tmp_path, "0" * 64)
    assert "came with checksum" in answer["msg"]
    assert not sent.exists()
    assert not (tmp_path / "cache" / "thing").exists()


def test_archive_that_is_cut_short_leaves_no_half_of_it(tmp_path: Path) -> None:
    archive, checksum = packed(tmp_path)
    ship(tmp_path, checksum)
    sent = tmp_path / "incoming" / "thing.tar.zst"
    sent.write_bytes(archive.read_bytes()[:-20])
    answer = ship(tmp_path, hashlib.sha256(sent.read_bytes()).hexdigest())
    assert "can't be unpacked" in answer["msg"]
    assert not list((tmp_path / "cache").iterdir())


def test_directory_whose_name_says_nothing_of_its_content_is_replaced(tmp_path: Path) -> None:
    archive, checksum = packed(tmp_path)
    there = tmp_path / "cache" / "thing"
    there.mkdir(parents=True)
    (there / "former").touch()
    assert not ship(tmp_path, checksum)["missing"]
    assert ship(tmp_path, checksum, exact=True)["missing"]
    (tmp_path / "incoming" / "thing.tar.zst").write_bytes(archive.read_bytes())
    assert ship(tmp_path, checksum, exact=True)["changed"]
    assert sorted(path.name for path in there.iterdir()) == [".shipped", "file"]
    assert ship(tmp_path, checksum, exact=True) == {"failed": False, "changed": False, "missing": []} | {
        "invocation": ship(tmp_path, checksum, exact=True)["invocation"]
    }
