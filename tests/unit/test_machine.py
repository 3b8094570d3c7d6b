"""A full disk of the machine is told from everything else, whoever writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vexlab.config import atomic_file
from vexlab.errors import HostProblem, VexlabError
from vexlab.guest import host_disks

ROOT = Path(__file__).parents[2]
CLI_FAILS = """
import sys
import vexlab.__main__ as entry
import vexlab.cli.main as commands
def cli(**how):
    raise OSError(int(sys.argv[1]), "", "/var/x")
commands.cli = cli
entry.main()
"""


def on_a_disk_of(size: int, code: str) -> str:
    """What code prints that finds a disk of so many bytes at /mnt."""
    command = ["bwrap", "--dev-bind", "/", "/", "--size", str(size), "--tmpfs", "/mnt", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_disk_with_room_is_no_problem(tmp_path: Path) -> None:
    assert host_disks.full_disk([tmp_path, tmp_path / "not there"]) is None
    assert host_disks.unwritable([tmp_path]) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("size", "said"), [(64 << 10, "the disk of /mnt is full on this machine"), (4 << 20, "None")])
def test_a_disk_without_room_is_one(size: int, said: str) -> None:
    code = "from pathlib import Path; from vexlab.guest import host_disks; found = host_disks.full_disk([Path('/mnt')])"
    assert on_a_disk_of(size, f"{code}; print(found and found.reason)") == said


def test_a_write_that_fails_is_one() -> None:
    """Where the free room says nothing: a quota, an error of the disk."""
    code = (
        "from pathlib import Path; from vexlab.guest import host_disks; here = Path('/mnt')\n"
        "try: (here / 'all').write_bytes(bytes(1 << 20))\nexcept OSError: pass\n"
        "found = host_disks.unwritable([here]); print(found.reason, '|', found.hint, [p.name for p in here.iterdir()])"
    )
    said = on_a_disk_of(64 << 10, code)
    assert said.startswith("nothing can be written to /mnt on this machine: No space left on device | make room")
    assert said.endswith("['all']")


def test_results_that_do_not_fit_are_the_machines_problem() -> None:
    code = (
        "from pathlib import Path; from vexlab.config import atomic_file\n"
        "try: atomic_file.replace_file(Path('/mnt/results.json'), 'x' * (1 << 20))\n"
        "except Exception as problem: print(type(problem).__name__, problem.exit_code, problem.message)"
    )
    assert on_a_disk_of(64 << 10, code) == "HostProblem 3 /mnt/results.json can't be written: No space left on device"


def test_other_failures_to_write_are_not(tmp_path: Path) -> None:
    with pytest.raises(VexlabError) as caught:
        atomic_file.replace_file(tmp_path / "no" / "results.json", "")
    assert not isinstance(caught.value, HostProblem)


@pytest.mark.parametrize(("number", "code"), [(28, 3), (122, 3), (5, 3), (30, 3), (13, 3), (20, 1)])
def test_exit_code_of_an_error_that_nobody_caught(number: int, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLI_FAILS, str(number)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "/var/x" in done.stderr) == (code, True)
