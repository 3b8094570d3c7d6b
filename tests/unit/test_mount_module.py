"""Module mount on real filesystems, in a mount namespace of the test's own."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit import loop_devices, modules
from tests.unit.test_recover_module import needs_loops

SAY = 'echo "{} $DEVICE $MOUNT" >>said'


@pytest.fixture(autouse=True)
def detached(tmp_path: Path) -> Iterator[None]:
    yield
    loop_devices.detach_below(tmp_path)


@dataclass(frozen=True)
class Done:
    """The module's answers one after another, what is mounted at the point then, what the commands said, what ran."""

    answers: list[dict[str, Any]]
    mounted: str
    said: str

    @property
    def changed(self) -> list[bool]:
        return [answer["changed"] for answer in self.answers]

    @property
    def words(self) -> str:
        """The message of the last one, which failed."""
        assert self.answers[-1]["failed"]
        return str(self.answers[-1]["msg"])


def done(directory: Path, *runs: dict[str, Any], check: bool = False, before: str = "") -> Done:
    """Run the module on an image with ext4 once per entry, in a namespace of its own."""
    usual = {
        "device": f"{directory}/image", "point": f"{directory}/mnt/point", "type": "ext4", "directory": str(directory),
        "before": SAY.format("before"), "after": SAY.format("after"),
    }  # fmt: skip
    lines = [f"cd {shlex.quote(str(directory))}", "truncate -s 2M image", "mkfs.ext4 -q -F image", before]
    for number, run in enumerate(runs):
        (directory / f"arguments{number}").write_text(modules.arguments(usual | run, check=check))
        lines.append(f"{shlex.join(modules.command('mount'))} <arguments{number} >>answers || test $? = 1")
    lines.append("findmnt --noheadings --output FSTYPE,SOURCE,OPTIONS --mountpoint mnt/point >mounted || test $? = 1")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", "\n".join(lines)]
    subprocess.run(command, check=True, timeout=300)
    answers = [{"failed": False} | json.loads(line) for line in (directory / "answers").read_text().split("\n") if line]
    said = directory / "said"
    return Done(answers, (directory / "mounted").read_text(), said.read_text() if said.exists() else "")


@needs_loops
def test_it_is_mounted_read_only_first_and_once(tmp_path: Path) -> None:
    """An image goes through a loop device; with options that only the machine knows; another run changes nothing."""
    options = 'echo noatime; grep " $MOUNT " /proc/self/mounts >>said || true'
    seen = done(tmp_path, {"options_command": options}, {})
    assert seen.changed == [True, False], seen.answers
    kind, source, how = seen.mounted.split()
    assert (kind, source.startswith("/dev/loop"), {"rw", "noatime"} <= set(how.split(","))) == ("ext4", True, True)
    place = f"{tmp_path}/image {tmp_path}/mnt/point"
    assert seen.said.splitlines() == [f"before {place}", f"after {place}", f"before {place}"]


JOURNAL = """
truncate -s 2M second
loop=$(losetup --find --show second)
mke2fs -q -F -O journal_dev -b 1024 "$loop"
mkfs.ext4 -q -F -b 1024 -J device="$loop" image
losetup --detach "$loop"
"""


@needs_loops
def test_second_device_is_there_as_long_as_it_is_mounted(tmp_path: Path) -> None:
    """ext4 with its journal on it can't be mounted without."""
    second = {"second": f"{tmp_path}/second", "options_command": 'echo "journal_path=$SECOND_DEVICE"', "after": ""}
    seen = done(tmp_path, second, {"state": "unmounted"} | second, before=JOURNAL)
    assert seen.changed == [True, True], seen.answers
    (tmp_path / "answers").unlink()
    held = ["sh", "-c", f"losetup --noheadings --associated {tmp_path}/second"]
    assert subprocess.run(held, capture_output=True, text=True, check=True).stdout == ""
    missing = done(tmp_path, second | {"second": f"{tmp_path}/none"}, before=JOURNAL)
    assert missing.words == f"there is no {tmp_path}/none; role vexfs_mkfs makes it"


@needs_loops
def test_what_is_read_only_is_mounted_once(tmp_path: Path) -> None:
    seen = done(tmp_path, {"writable": False, "after": "exit 3"})
    assert (seen.changed, seen.said.count("before")) == ([True], 1)
    assert "ro" in seen.mounted.split()[2].split(",")


@needs_loops
def test_it_is_unmounted_once(tmp_path: Path) -> None:
    seen = done(tmp_path, {"after": ""}, {"state": "unmounted"}, {"state": "unmounted"})
    assert (seen.changed, seen.mounted) == ([True, True, False], "")
    assert seen.said.splitlines()[-1] == f"after {tmp_path}/image {tmp_path}/mnt/point"


@needs_loops
def test_check_mode_changes_nothing(tmp_path: Path) -> None:
    seen = done(tmp_path, {}, {"state": "unmounted"}, check=True)
    assert (seen.changed, seen.mounted, seen.said) == ([True, False], "", "")
    assert not (tmp_path / "mnt").exists()


@needs_loops
def test_check_mode_would_unmount(tmp_path: Path) -> None:
    seen = done(tmp_path, {}, {"state": "unmounted"}, check=True, before="mkdir -p mnt/point; mount image mnt/point")
    assert seen.changed == [False, True]
    assert seen.mounted.startswith("ext4")


@needs_loops
@pytest.mark.parametrize("kind", ["none", "directory"])
def test_filesystem_without_a_device(tmp_path: Path, kind: str) -> None:
    """A word in the device's place, or a directory, which is made."""
    device = "none" if kind == "none" else f"{tmp_path}/below/it"
    seen = done(tmp_path, {"kind": kind, "type": "tmpfs", "device": device})
    assert (seen.changed, seen.mounted.split()[:2]) == ([True], ["tmpfs", device])
    assert (tmp_path / "below/it").is_dir() == (kind == "directory")
    assert kind == "none" or (tmp_path / "below/it").stat().st_mode & 0o777 == 0o755


@needs_loops
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"before": "echo no key >&2; exit 3"}, "`sh -euc echo no key >&2; exit 3` failed: no key"),
        ({"options_command": "exit 3"}, "`sh -euc exit 3` failed: it printed nothing"),
        ({"options_command": "echo a b"}, "_options_command printed a b; it prints options, separated by commas"),
        ({"after": "echo no key >&2; exit 3"}, "`sh -euc echo no key >&2; exit 3` failed: no key"),
        ({"type": "nofs"}, "the running kernel knows no filesystem nofs; role vexfs_load loads its module"),
        ({"device": "/nowhere/image"}, "there is no /nowhere/image; role vexfs_mkfs makes it"),
        ({"directory": "/nowhere"}, "can't be run: /nowhere: No such file or directory"),
        ({"options_ro": "ro,nonsense"}, "--options=loop,ro,nonsense {here}/image {here}/mnt/point` failed: mount: "),
        ({"state": "unmounted", "type": "ext2", "point": "/proc"}, "/proc carries another mount already (proc);"),
    ],
    ids=["before", "options fail", "two words", "after", "type", "device", "directory", "mount", "point"],
)  # fmt: skip
def test_what_goes_wrong_is_a_sentence_and_the_last_thing_that_is_done(
    tmp_path: Path, inputs: dict[str, Any], said: str
) -> None:
    seen = done(tmp_path, inputs)
    assert said.format(here=tmp_path) in seen.words
    assert seen.mounted == ""


@needs_loops
def test_command_may_leave_something_running(tmp_path: Path) -> None:
    """A helper that serves the mount, say; the module does not wait for it."""
    seen = done(tmp_path, {"before": "sleep 20 & echo $! >>helpers"})
    helpers = (tmp_path / "helpers").read_text().split()
    running = [Path("/proc", helper).exists() for helper in helpers]
    for helper, runs in zip(helpers, running, strict=True):
        if runs:
            subprocess.run(["kill", helper], check=False)
    assert (seen.changed, running) == ([True], [True, True])


@needs_loops
def test_device_is_mounted_by_its_serial_number_only(tmp_path: Path) -> None:
    """A name that moved to another disk, or to none, is refused, and mount(8) is not called; loop devices tell none."""
    attach = 'ln -s "$(losetup --find --show image)" device'
    seen = done(tmp_path, {"device": f"{tmp_path}/device", "serial": "S1"}, before=attach)
    assert seen.words == f"{tmp_path}/device: it tells no serial number, so it can't be told from another disk"
    assert (seen.mounted, (tmp_path / "mnt").exists()) == ("", False)
