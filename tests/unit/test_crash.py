"""Which dump of a guest's memory is opened, and with which symbols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.made_runs import KERNEL, Made, keep
from vexlab.cli import crash
from vexlab.config import user_directories
from vexlab.errors import UsageProblem
from vexlab.results import archive, results_file


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that kept a dump, on a machine of its own that has the kernel's symbols."""
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    directory = keep(1, Made())
    (directory / "lab").write_text("default\n")
    dump = directory / "stages" / "mount" / "vmcore"
    dump.parent.mkdir(parents=True)
    dump.write_bytes(b"makedumpfile")
    vmlinux(KERNEL)
    return directory


def vmlinux(release: str) -> Path:
    path = user_directories.cache_directory() / "kernels" / "symbols" / release / "vmlinux"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF")
    return path


def build(build_id: str) -> Path:
    """What the lab of that run has built last."""
    directory = user_directories.labs_directory() / "default"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "module.json").write_text(json.dumps({"build_id": build_id}))
    (directory / "module.ko").write_bytes(b"\x7fELF")
    return directory / "module.ko"


def symbols(run: Path) -> list[str]:
    return crash.symbols(results_file.read(run / archive.RESULTS))


def test_dump_of_a_run(run: Path) -> None:
    assert crash.dump_of(run) == run / "stages" / "mount" / "vmcore"


def test_dump_of_a_guest_beside_is_found_too(run: Path) -> None:
    (run / "stages" / "mount" / "vmcore").unlink()
    other = run / "fork-errors" / "stages" / "errors" / "vmcore"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"makedumpfile")
    assert crash.dump_of(run) == other


def test_run_without_a_dump_is_told(run: Path) -> None:
    (run / "stages" / "mount" / "vmcore").unlink()
    with pytest.raises(UsageProblem, match="has no dump") as problem:
        crash.dump_of(run)
    assert "--vmcore" in problem.value.hint


def test_module_of_the_run_comes_along(run: Path) -> None:
    module = build("cd" * 20)
    assert symbols(run) == ["-s", str(vmlinux(KERNEL)), "-s", str(module)]


def test_another_module_does_not(run: Path) -> None:
    build("ef" * 20)
    assert symbols(run) == ["-s", str(vmlinux(KERNEL))]


def test_without_the_kernels_symbols_it_says_how_to_get_them(run: Path) -> None:
    vmlinux(KERNEL).unlink()
    with pytest.raises(UsageProblem, match="are not at hand") as problem:
        symbols(run)
    assert problem.value.hint == f"vexlab kernel symbols {KERNEL}"
