"""How large a directory is, which others may be at work in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.vexfs.vexlab.plugins.module_utils.image import store


def test_size_is_what_is_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "written").write_bytes(b"x" * (3 << 20))
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(1 << 30)
    (tmp_path / "link").symlink_to(tmp_path / "below" / "written")
    assert store.size_mib(tmp_path) == 3


def test_what_is_removed_meanwhile_is_no_error(tmp_path: Path) -> None:
    script = "while mkdir -p a/b/c && touch a/b/c/d a/e; do rm -r a; done"
    with subprocess.Popen(["sh", "-c", script], cwd=tmp_path) as others:
        try:
            sizes = {store.size_mib(tmp_path) for _ in range(2000)}
        finally:
            others.kill()
    assert sizes == {0}
