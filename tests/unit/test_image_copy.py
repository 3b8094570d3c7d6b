"""The image of a filesystem that something failed on, as it comes from a guest."""

from __future__ import annotations

import gzip
import os
import shlex
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import image_copy

KIB = 1 << 10
WHOLE = 3000 * KIB + 100  # no multiple of a block


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A sparse image: something at its start, at an odd place, a lot of noise, something at its very end."""
    path = tmp_path / "device's.img"
    with path.open("wb") as file:
        file.truncate(WHOLE)
        parts = ((0, b"start"), (70_001, b"odd"), (512 * KIB, os.urandom(900 * KIB)), (WHOLE - 3, b"end"))
        for offset, content in parts:
            os.pwrite(file.fileno(), content, offset)
    return path


def kept(tmp_path: Path, script: str) -> tuple[bool, Path]:
    """Keep what a script writes, run here and not in a guest; whether that is done, and the file."""
    to = tmp_path / "kept" / "check.img"
    to.parent.mkdir()
    return image_copy.keep(["sh", "-c", script], to), to


def test_a_kept_image_is_the_image_and_as_sparse(image: Path, tmp_path: Path) -> None:
    done, file = kept(tmp_path, image_copy.packing(str(image)))
    assert done
    assert file.read_bytes() == image.read_bytes()
    assert file.stat().st_blocks * 512 < 1400 * KIB


def test_an_image_that_is_all_zeros_is_kept(tmp_path: Path) -> None:
    with (tmp_path / "empty").open("wb") as file:
        file.truncate(40 << 20)
    done, copy = kept(tmp_path, image_copy.packing(f"{tmp_path}/empty"))
    assert done
    assert (copy.stat().st_size, copy.stat().st_blocks) == (40 << 20, 0)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no image",
        gzip.compress(b"x" * 5000)[:-3],
        gzip.compress(os.urandom(5000))[:40],
        gzip.compress(b"x") + b"more",
    ],
    ids=["nothing", "another format", "without its end", "cut short", "more behind it"],
)
def test_what_is_no_whole_image_is_not_kept(broken: bytes, tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(broken)
    done, file = kept(tmp_path, f"cat {shlex.quote(str(tmp_path))}/stream")
    assert not done
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/urandom"])
def test_what_has_no_end_is_not_kept(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_copy, "KEPT_BYTES", 1 << 20)
    monkeypatch.setattr(image_copy, "IMAGE_BYTES", 64 << 20)
    done, file = kept(tmp_path, image_copy.packing(source))
    assert not done
    assert list(file.parent.iterdir()) == []


def test_who_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_copy, "SECONDS", 0.2)
    done, file = kept(tmp_path, "exec sleep 600")
    assert not done
    assert list(file.parent.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(image: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        image_copy.keep(["sh", "-c", image_copy.packing(str(image))], tmp_path / "nowhere" / "check.img")
