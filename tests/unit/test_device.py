"""May this disk be written: every reason against it, on trees that look like /sys and /proc. What phases ask for."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import device as devices
from ansible_collections.vexfs.vexlab.plugins.module_utils.device import DeviceError
from ansible_collections.vexfs.vexlab.plugins.modules import backup
from ansible_runner.interface import init_runner
from click.testing import CliRunner

from tests.unit import modules
from vexlab.cli.main import cli
from vexlab.config import phases, stage_list
from vexlab.errors import UsageProblem
from vexlab.gate import phase_order
from vexlab.gate.evidence import PastRun
from vexlab.guest import hardware
from vexlab.guest.lab import Lab, started
from vexlab.report import screen, terminal
from vexlab.results.model import Amounts, DeviceRecord, Machine, ModuleRecord, Run, Stage, Verdict
from vexlab.run import ansible_environment, events, hardware_run

ROOT = Path(__file__).parents[2]


class Tree:
    """A /sys and a /proc with block devices in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "sys" / "dev" / "block").mkdir(parents=True)
        (root / "proc" / "self").mkdir(parents=True)
        (root / "proc" / "self" / "mountinfo").write_text("")
        (root / "proc" / "swaps").write_text("Filename Type Size Used Priority\n")

    def add(self, name: str, number: str, parent: str = "", **attributes: str) -> Path:
        directory = self.root / "sys" / "devices" / parent / name
        directory.mkdir(parents=True)
        values = {"dev": number, "ro": "0", "size": "2048"} | attributes
        for key, value in values.items():
            path = directory / key.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{value}\n")
        (self.root / "sys" / "dev" / "block" / number).symlink_to(directory)
        return directory

    def stack(self, upper: Path, lower: Path) -> None:
        """The upper device is made of the lower one."""
        for directory, name, there in ((lower, "holders", upper), (upper, "slaves", lower)):
            (directory / name).mkdir(exist_ok=True)
            (directory / name / there.name).symlink_to(there)

    def mount(self, number: str, point: str) -> None:
        path = self.root / "proc" / "self" / "mountinfo"
        path.write_text(path.read_text() + f"30 1 {number} / {point} rw - ext4 none rw\n")

    def uses(self, number: str) -> list[str]:
        return devices.uses(devices.Kernel(self.root), number)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    found = Tree(tmp_path)
    found.add("sda", "8:0")
    found.mount("8:0", "/")
    return found


def boot_sector(name: bytes = b"EXFAT   ", table: bytes = bytes(64), jump: bytes = b"\xeb\x76\x90") -> bytes:
    """The first sector of a disk, with the 55 AA that says that it can be booted."""
    return (jump + name).ljust(446, b"\0") + table + b"\x55\xaa"


ENTRY = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\0\3\0", 2048, 4096)


@pytest.mark.parametrize(
    ("sector", "seen", "left"),
    [
        pytest.param(boot_sector(), {"exfat", "dos"}, {"exfat"}, id="exfat"),
        pytest.param(
            boot_sector(b"NTFS    ", b"t a disk error o".ljust(64)), {"ntfs", "dos"}, {"ntfs"}, id="boot code"
        ),
        pytest.param(boot_sector(jump=b"\xe9\0\0"), {"vfat", "dos"}, {"vfat"}, id="near jump"),
        pytest.param(boot_sector(table=ENTRY.ljust(64, b"\0")), {"exfat", "dos"}, {"exfat", "dos"}, id="partition"),
        pytest.param(boot_sector(table=ENTRY.rjust(64, b"\0")), {"exfat", "dos"}, {"exfat", "dos"}, id="fourth one"),
        pytest.param(boot_sector(jump=b"\xeb\x63\x90"), {"dos"}, {"dos"}, id="boot loader, no partition yet"),
        pytest.param(boot_sector(jump=b"\0\0\0"), {"ext4", "dos"}, {"ext4", "dos"}, id="no boot sector"),
        pytest.param(boot_sector(), {"exfat", "gpt", "PMBR"}, {"exfat", "gpt", "PMBR"}, id="GPT"),
        pytest.param(b"", {"exfat", "dos"}, {"exfat", "dos"}, id="nothing to read"),
    ],
)
def test_boot_sector_is_no_partition_table(sector: bytes, seen: set[str], left: set[str]) -> None:
    """Unless there is a partition in it: then what is called a boot sector holds somebody's data together."""
    assert devices.without_boot_sector(seen, sector) == left


def test_free_disk_is_free(tree: Tree) -> None:
    tree.add("sdb", "8:16")
    assert tree.uses("8:16") == []


def test_partition_is_no_disk(tree: Tree) -> None:
    tree.add("sdb", "8:16")
    tree.add("sdb1", "8:17", parent="sdb", partition="1")
    assert tree.uses("8:17") == ["it is a partition, not a whole device"]
    assert tree.uses("8:16") == ["it has a partition"]


def test_mount_of_a_partition_counts(tree: Tree) -> None:
    tree.add("sdb", "8:16")
    tree.add("sdb1", "8:17", parent="sdb", partition="1")
    tree.mount("8:17", "/srv")
    assert "it is mounted at /srv" in tree.uses("8:16")


def test_mount_through_layers_counts(tree: Tree) -> None:
    """A logical volume on an encrypted device on a partition."""
    tree.add("sdb", "8:16")
    part = tree.add("sdb1", "8:17", parent="sdb", partition="1")
    crypt, volume = tree.add("dm-0", "253:0"), tree.add("dm-1", "253:1")
    tree.stack(crypt, part)
    tree.stack(volume, crypt)
    tree.mount("253:1", "/home")
    assert "it is mounted at /home" in tree.uses("8:16")
    assert "it is made of dm-0, not a device of its own" in tree.uses("253:1")


def test_holder_that_is_not_mounted_counts(tree: Tree) -> None:
    disk = tree.add("sdb", "8:16")
    tree.stack(tree.add("md0", "9:0"), disk)
    assert tree.uses("8:16") == ["it is held by md0"]


def test_disk_of_the_system_counts_through_layers(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    disk = tree.add("nvme0n1", "259:0")
    tree.stack(tree.add("dm-0", "253:0"), disk)
    tree.mount("253:0", "/")
    assert "it holds the root filesystem" in tree.uses("259:0")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"ro": "1"}, "it is read-only"),
        ({"size": "0"}, "it has no medium"),
    ],
)
def test_what_is_no_disk_to_write(tree: Tree, attributes: dict[str, str], said: str) -> None:
    tree.add("sdb", "8:16", **attributes)
    assert tree.uses("8:16") == [said]


def test_unknown_read_only_state_is_not_free(tree: Tree) -> None:
    (tree.add("sdb", "8:16") / "ro").unlink()
    assert tree.uses("8:16") == ["it is read-only"]


def test_active_swap_counts(tree: Tree) -> None:
    """Of a file on it, too; this test's own directory is on some device."""
    status = tree.root.stat()
    number = devices.number_of(status.st_dev)
    tree.add("sdb", number)
    (tree.root / "swapfile").write_text("")
    (tree.root / "proc" / "swaps").write_text(f"Filename Type\n{tree.root / 'swapfile'} file\n")
    assert tree.uses(number) == ["it is used as swap"]


@pytest.mark.parametrize(
    ("where", "content"),
    [
        ("serial", b"S1\n"),
        ("device/serial", b"  S1 \n"),
        ("device/vpd_pg80", b"\0\x80\0\x04  S1"),
    ],
)
def test_serial_is_what_the_device_tells(tree: Tree, where: str, content: bytes) -> None:
    path = tree.add("sdb", "8:16") / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert devices.Kernel(tree.root).serial("8:16") == "S1"


def test_serial_that_udev_knows(tree: Tree) -> None:
    tree.add("sdb", "8:16")
    assert devices.Kernel(tree.root).serial("8:16") == ""
    data = tree.root / "run" / "udev" / "data" / "b8:16"
    data.parent.mkdir(parents=True)
    data.write_text("S:disk/by-id/usb-X\nE:ID_SERIAL=Maker_S1\nE:ID_SERIAL_SHORT=S1\n")
    assert devices.Kernel(tree.root).serial("8:16") == "S1"


@pytest.mark.parametrize(
    ("told", "wanted", "said"),
    [
        ("S1", "S1", ""),
        ("S2", "S1", "its serial number is S2, not S1: it is another disk"),
        ("", "S1", "it tells no serial number"),
        ("S1", "", "no serial number was given"),
        ("S1", "s1", "it is another disk"),
    ],
)
def test_identity(told: str, wanted: str, said: str) -> None:
    found = devices.identity(told, wanted)
    assert said in found[0] if said else found == []


@pytest.mark.parametrize(
    ("carries", "overwrite", "said"),
    [
        ([], [], ""),
        (["ext4"], [], "it carries a signature (ext4); to destroy that, name it in vexfs_mkfs_overwrite"),
        (["ext4"], ["xfs"], "it carries a signature (ext4)"),
        (["dos", "ext4"], ["ext4"], "it carries a signature (dos)"),
        (["ext4"], ["ext4"], ""),
        ([], ["ext4"], ""),
    ],
)
def test_signature_goes_only_if_it_is_named(carries: list[str], overwrite: list[str], said: str) -> None:
    found = devices.refusal(devices.Device("x", signatures=carries), overwrite)
    assert said in found if said else found == ""


def test_nothing_else_can_be_overridden() -> None:
    found = devices.refusal(devices.Device("x", signatures=["ext4"], refusals=["it is mounted"]), ["ext4", "mounted"])
    assert found == "it is mounted"


@pytest.mark.parametrize("kind", ["LVM2_member", "linux_raid_member", "zfs_member", "bcache"])
def test_member_of_something_is_no_mere_signature(kind: str) -> None:
    assert devices.memberships(["ext4", kind, "crypto_LUKS"]) == [kind]


def test_name_that_moves_is_no_name(tmp_path: Path) -> None:
    assert devices.look("/dev/disk/by-id/vexlab-nothing", "x").refusals == ["there is no such device"]
    assert "other names move" in devices.look("/dev/null", "x").refusals[0]
    assert "other names move" in devices.look("/dev/disk/by-id/../../null", "x").refusals[0]


class TestBackup:
    """Module backup, as far as it comes without a block device."""

    CONTENT = os.urandom(100_000) + bytes(5 << 20)

    def made(self, directory: Path, **other: Any) -> Path:
        file = directory / "S1-x.img.gz"
        size, told = backup.write_image(file, "gzip", iter([self.CONTENT[:70_000], self.CONTENT[70_000:]]))
        record = {
            "schema": 1,
            "serial": "S1",
            "size": size,
            "sha256": told,
            "tool": "gzip",
            "bytes": file.stat().st_size,
        }
        Path(f"{file}.json").write_text(json.dumps(record | other))
        return file

    def inputs(self, file: Path, serial: str = "S1") -> dict[str, str]:
        return {"device": "/dev/disk/by-id/vexlab-nothing", "serial": serial, "directory": "", "file": str(file)}

    def test_image_is_what_was_there(self, tmp_path: Path) -> None:
        file = self.made(tmp_path)
        assert b"".join(backup.unpacked(file, "gzip")) == self.CONTENT
        assert file.stat().st_size < 200_000
        record = backup.record_of(self.inputs(file))
        assert backup.digest(backup.unpacked(file, "gzip")) == (record["size"], record["sha256"])

    def test_of_another_disk_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match="is a backup of the disk S1, not of S2"):
            backup.record_of(self.inputs(self.made(tmp_path), "S2"))

    def test_without_a_record_is_none(self, tmp_path: Path) -> None:
        file = self.made(tmp_path)
        Path(f"{file}.json").unlink()
        with pytest.raises(DeviceError, match="is no backup"):
            backup.record_of(self.inputs(file))

    def test_cut_off_is_refused(self, tmp_path: Path) -> None:
        file = self.made(tmp_path)
        os.truncate(file, file.stat().st_size - 1)
        with pytest.raises(DeviceError, match="is not the file of"):
            backup.record_of(self.inputs(file))

    def test_damaged_is_refused_before_anything_is_looked_at(self, tmp_path: Path) -> None:
        file = self.made(tmp_path, sha256="0" * 64)
        with pytest.raises(DeviceError, match=r"is damaged.*Nothing was written"):
            backup.restore(self.inputs(file))

    def test_of_a_device_that_is_gone_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match="there is no such device"):
            backup.restore(self.inputs(self.made(tmp_path)))

    @pytest.mark.parametrize("state", ["restored", "there"])
    def test_says_why_not_as_a_module(self, tmp_path: Path, state: str) -> None:
        """In check mode too, in which a damaged backup is not read and the device is looked at."""
        inputs = self.inputs(self.made(tmp_path, sha256="0" * 64), "S2") | {"state": state}
        for check in (False, True):
            answer = modules.run("backup", inputs, check=check)
            assert answer["msg"] == f"{inputs['file']} is a backup of the disk S1, not of S2."
        answer = modules.run("backup", inputs | {"state": "restored", "serial": "S1"}, check=True)
        assert answer["msg"].endswith("vexlab-nothing is left alone: there is no such device.")

    def test_backup_is_not_saved_where_there_is_no_room(self, tmp_path: Path) -> None:
        """A directory that isn't there yet is measured by what it would be made in."""
        room = shutil.disk_usage(tmp_path).free - backup.MARGIN
        inputs = self.inputs(tmp_path) | {"directory": str(tmp_path / "new" / "one")}
        backup.require_room(inputs, room >> 1)
        with pytest.raises(DeviceError, match=r"new/one has \d+ MiB free"):
            backup.require_room(inputs, room << 1)
        assert not (tmp_path / "new").exists()

    def test_signal_ends_the_work_in_a_sentence(self, tmp_path: Path) -> None:
        """And what it started: the backup is gigabytes of zeros, which are being read when the signal comes."""
        file = self.made(tmp_path)
        with gzip.open(file, "wb") as image:
            image.write(bytes(64 << 20))
        file.write_bytes(file.read_bytes() * 1000)
        record = json.loads(Path(f"{file}.json").read_text()) | {"size": 64000 << 20, "bytes": file.stat().st_size}
        Path(f"{file}.json").write_text(json.dumps(record))
        process = subprocess.Popen(
            modules.command("backup"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(modules.arguments(self.inputs(file) | {"state": "restored"}))
        process.stdin.close()
        process.stdin = None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (reader := children.read_text().split()):
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        said, complaint = process.communicate(timeout=30)
        assert json.loads(said)["msg"].endswith("vexlab-nothing was ended by SIGTERM."), complaint
        deadline = time.monotonic() + 10
        while started(int(reader[0])):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_disk_that_is_full_leaves_no_image(self, tmp_path: Path) -> None:
        """The compressor's own words; /dev/full is a disk without room."""
        with pytest.raises((DeviceError, OSError), match=r"can't be written|space"):
            backup.write_image(Path("/dev/full"), "gzip", iter([os.urandom(1 << 20)] * 3))


@pytest.mark.parametrize(
    ("device", "said"), [("/dev/null", "/dev/null: it tells no serial number"), ("/dev/vexlab-nothing", "No such file")]
)
def test_device_is_worked_on_by_its_serial_number_only(device: str, said: str) -> None:
    """As mount(8) does: a name that moved to another disk, or to none, is refused."""
    with pytest.raises((DeviceError, OSError), match=said), devices.identified(device, "S1"):
        pytest.fail("it was taken for the device S1")


# --- phases


def run_of(
    phase: int, sha256: str, verdict: Verdict = Verdict.PASSED, serial: str = "S1", *, quick: bool = False,
    cycles: int = 100, stages: tuple[Stage, ...] = (),
) -> PastRun:  # fmt: skip
    run = Run(
        run="r", verdict=verdict, target="t", started="", finished="", suite_version="", guest=None, stages=stages,
        module=ModuleRecord("m", sha256, "", "c-only"), evidence={}, selected=(), machine=Machine.HARDWARE,
        device=DeviceRecord("/dev/disk/by-id/x", serial, phase), amounts=Amounts(quick, 20, cycles, 2000, 0),
    )  # fmt: skip
    return PastRun(sha256, verdict, run)


def test_phases_follow_each_other_and_know_their_stages() -> None:
    known = {spec.name for spec in stage_list.stages()}
    assert [phase.phase for phase in phases.phases()] == [1, 2, 3]
    for phase in phases.phases():
        assert phase.stages
        assert not set(phase.stages) & set(phase.applied)
        assert {"structure", "build", "load", "mkfs", "mount"} <= {*phase.stages, *phase.applied} <= known
    assert "stress" in phases.phase(3).stages


def test_first_phase_asks_for_no_other() -> None:
    assert phase_order.allowed_modules([], "S1", 1) == []


def test_next_phase_asks_for_the_one_before() -> None:
    assert phase_order.allowed_modules([run_of(1, "a")], "S1", 2) == ["a"]
    with pytest.raises(UsageProblem, match="no module has passed phase 2 on the device S1"):
        phase_order.allowed_modules([run_of(1, "a")], "S1", 3)


@pytest.mark.parametrize(
    "past",
    [
        [],
        [run_of(1, "a", serial="S2")],
        [run_of(1, "a", Verdict.FAILED)],
        [run_of(1, "a", quick=True)],
        [run_of(1, "a", cycles=1)],
        [run_of(1, "a", stages=(Stage("mount", Verdict.PASSED, left_out=7),))],
        [run_of(1, "a"), run_of(2, "a", Verdict.PANICKED)],
        [run_of(1, "a"), run_of(1, "a", Verdict.FAILED)],
        [run_of(2, "a")],
        [PastRun("a", Verdict.PASSED, None)],
        [run_of(1, "a"), PastRun("a", Verdict.FAILED, None)],
    ],
    ids=[
        "none", "another disk", "failed", "quick", "fewer cycles", "chosen checks", "went wrong later", "failed again",
        "another phase", "touched", "went wrong, and was touched",
    ],
)  # fmt: skip
def test_what_shows_too_little_counts_for_nothing(past: list[PastRun]) -> None:
    assert phase_order.modules_that_passed(past, "S1", 1) == []


def test_what_went_wrong_with_another_module_takes_nothing_back() -> None:
    assert phase_order.modules_that_passed([run_of(1, "a"), run_of(1, "b", Verdict.FAILED)], "S1", 1) == ["a"]


# --- which host

WHERE = Path("inventory.yml")
LISTED = {
    "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1"}}},
    "hardware": {"children": ["racks"]},
    "racks": {"hosts": ["a", "b"]},
    "others": {"hosts": ["c"]},
}


def test_host_by_its_name() -> None:
    assert hardware.choose(LISTED, "a", WHERE) == hardware.Host("a", {"ansible_host": "10.0.0.1"}, WHERE)


@pytest.mark.parametrize(
    ("listed", "name", "said"),
    [
        (LISTED, None, "has 2 hosts in 'hardware': a, b"),
        (LISTED, "c", "has no host 'c' in 'hardware'"),
        ({"_meta": {"hostvars": {}}, "others": {"hosts": ["c"]}}, None, "has no hosts in a group 'hardware'"),
    ],
)
def test_host_that_is_not_one(listed: dict[str, Any], name: str | None, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        hardware.choose(listed, name, WHERE)


@pytest.mark.parametrize(
    ("words", "inventory", "said"),
    [
        (["recover"], "guests:\n  hosts: {a: {}}\n", "has no hosts in a group 'hardware'"),
        (
            ["device", "check", "--device", "/dev/disk/by-id/x", "--serial", "S1"],
            "$ANSIBLE_VAULT;1.1;AES256\n00\n",
            "can't be read",
        ),
    ],
    ids=["another group", "locked"],
)
def test_inventory_is_read_without_an_activated_environment(
    words: list[str], inventory: str, said: str, tmp_path: Path
) -> None:
    """The README calls .venv/bin/vexlab, and nothing else of that environment is in PATH."""
    file = tmp_path / "lab.yml"
    file.write_text(inventory)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [Path(sys.executable).with_name("vexlab"), *words, "--inventory", str(file)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert said in done.stderr
    assert "ansible-inventory command not found" not in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.yml",
            "hardware:\n  hosts:\n    b1:\n      ansible_host: x\n     ansible_port: 9\n",
            ("YAML parsing failed: While parsing a block mapping", "a.yml:5:6\n", "5      ansible_port: 9"),
        ),
        ("b.yml", "hardware:\n  hosts:\n    - b1\n", ('Invalid "hosts" entry for "hardware" group',)),
        ("c.ini", "[hardware\nb1\n", ("not enough values to unpack",)),
        ("d.yml", "hardware:\n  host: {b1: {}}\n", ("has no hosts in a group 'hardware'", "unexpected key (host)")),
    ],
)
def test_what_ansible_says_of_an_inventory_is_shown(
    tmp_path: Path, name: str, text: str, said: tuple[str, ...]
) -> None:
    """Once, by the reader that the file is for; the others complain of what it never was."""
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageProblem) as problem:
        hardware.find(tmp_path / name, None)
    for words in said:
        assert words in problem.value.message
    assert "no root 'plugin' key" not in problem.value.message
    assert "WARNING" not in problem.value.message


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Task failed: EOF on stream; last 100 lines received:\n"
            "ssh: connect to host 127.0.0.1 port 9: Connection refused",
            "bench1 (127.0.0.1:9) can't be reached: connection refused",
        ),
        (
            "Task failed: EOF on stream; last 100 lines received:\nroot@10.0.0.1: Permission denied (publickey).",
            "bench1 can't be reached: root@10.0.0.1: Permission denied (publickey).",
        ),
        ("Data could not be sent to remote host", "bench1 can't be reached: Data could not be sent to remote host"),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
            "bench1 shows another host key than the one in known_hosts: it was set up anew, or it isn't bench1",
        ),
        (
            "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.\n"
            "Host key verification failed.",
            "bench1 is not known: ssh to it once and compare its host key, which puts it into known_hosts",
        ),
    ],
)
def test_dead_host_is_told_with_its_address(said: str, told: str) -> None:
    assert events.unreachable("bench1", said) == told


def test_host_key_is_looked_at_unless_somebody_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-runner switches that off where nobody says anything, and anybody could be the test hardware."""
    given = {"private_data_dir": str(tmp_path), "playbook": "host.yml", "suppress_env_files": True}
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    alone = init_runner(**given).config.env  # type: ignore[no-untyped-call]
    assert alone["ANSIBLE_HOST_KEY_CHECKING"] == "False", "then this needs no care any more"
    ours = init_runner(**given, envvars=ansible_environment.settings(tmp_path, tmp_path)).config.env  # type: ignore[no-untyped-call]
    assert ours["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    assert ansible_environment.settings(tmp_path, tmp_path)["ANSIBLE_HOST_KEY_CHECKING"] == "False"


def test_dead_host_is_told_by_the_command(tmp_path: Path) -> None:
    """Nothing listens there."""
    inventory = tmp_path / "lab.yml"
    inventory.write_text("hardware:\n  hosts: {bench1: {ansible_host: 127.0.0.1, ansible_port: 9}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "vexlab", "recover", "--inventory", str(inventory), "--module", "x", "--type", "x"],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=100,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "vexlab: bench1 (127.0.0.1:9) can't be reached: connection refused\n" in done.stderr


def test_work_on_a_host_that_takes_long_says_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup of a disk takes minutes, in which nobody is told anything else."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(terminal, "PLAIN_EVERY", 0.0)
    monkeypatch.setattr(terminal, "LONG", 0.0)
    monkeypatch.setattr(screen, "stderr", screen.Screen(stderr=True))
    (tmp_path / "play.yml").write_text(
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        "    - name: Read the device\n      ansible.builtin.command: sleep 1\n"
    )
    (tmp_path / "inventory").mkdir()
    monkeypatch.setitem(hardware_run.WHAT_IT_DOES, str(tmp_path / "play"), "backing the device up")
    hardware_run.run_and_tell(str(tmp_path / "play"), Lab("bench1", tmp_path), {})
    assert re.search(r"^backing the device up: .* s, Read the device", capsys.readouterr().err, re.MULTILINE)


class TestOpenForWriting:
    """A process that has the device open, as a virtual machine on the raw disk has; real loop devices and processes."""

    @pytest.fixture
    def device(self, tmp_path: Path) -> Iterator[str]:
        if os.geteuid() != 0:
            pytest.skip("only root attaches loop devices")
        (tmp_path / "disk.img").write_bytes(bytes(8 << 20))
        path = self.attached("--partscan", str(tmp_path / "disk.img"))
        yield path
        subprocess.run(["losetup", "--detach", path], check=True)

    @staticmethod
    def attached(*words: str) -> str:
        done = subprocess.run(["losetup", "--find", "--show", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop devices: {done.stderr.strip()}")
        return done.stdout.strip()

    @staticmethod
    def uses(path: str) -> list[str]:
        return devices.uses(devices.Kernel(), devices.number_of(Path(path).stat().st_rdev))

    def writers(self, path: str) -> str:
        """What is said of writers; a losetup beside this test, in search of a free device, may be one for a moment."""
        return "\n".join(line for line in self.uses(path) if "open for writing" in line)

    @pytest.mark.parametrize("flags", ["O_RDWR", "O_WRONLY"])
    def test_writer_is_named(self, device: str, flags: str) -> None:
        code = f"import os, sys; os.open(sys.argv[1], os.{flags}); print(flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code, device]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            found = self.writers(device)
            process.communicate()
        assert f"({process.pid})" in found
        assert f"({process.pid})" not in self.writers(device)

    def test_writer_of_another_name_for_it_is_named(self, device: str, tmp_path: Path) -> None:
        """The number counts, not the path: a node that a container made for itself."""
        node = tmp_path / "node"
        os.mknod(node, 0o600 | stat.S_IFBLK, Path(device).stat().st_rdev)
        descriptor = os.open(node, os.O_RDWR)
        try:
            node.unlink()
            assert f"({os.getpid()})" in self.writers(device)
        finally:
            os.close(descriptor)

    def test_reader_is_none(self, device: str) -> None:
        with Path(device).open("rb"):
            assert f"({os.getpid()})" not in self.writers(device)

    def test_loop_device_on_it_counts(self, device: str) -> None:
        """And who writes to that; the kernel calls it no holder."""
        upper = self.attached(device)
        try:
            assert f"it is attached to {Path(upper).name}" in self.uses(device)
            with Path(upper).open("r+b"):
                assert f"({os.getpid()})" in self.writers(device)
        finally:
            subprocess.run(["losetup", "--detach", upper], check=True)

    def test_process_that_can_not_be_looked_at_is_no_proof(self, tree: Tree) -> None:
        """Not root: what others have open can't be told, and that is a refusal."""
        if os.geteuid() == 0:
            code = "import os, sys; os.setuid(65534); from tests.unit.test_device import *; " \
                   "print(devices.Kernel().writers({'7:0'})[1])"  # fmt: skip
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip("this directory is root's alone")
            assert int(done.stdout) > 0
        else:
            assert devices.Kernel().writers({"7:0"})[1] > 0


DISK = ("--device", "/dev/disk/by-id/x")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["device", "check", "--device", "/dev/sdb", "--serial", "S1"], "'/dev/sdb' is not /dev/disk/by-id/NAME"),
        (["device", "check", "--device", "/dev/disk/by-id/../sdb", "--serial", "S1"], "is not /dev/disk/by-id/NAME"),
        (["device", "check", "--device", "/dev/disk/by-id/..", "--serial", "S1"], "is not /dev/disk/by-id/NAME"),
        (["device", "check", *DISK, "--serial", " "], "it is empty"),
        (["device", "check", *DISK, "--serial", "S1", "--overwrite", "ext4 xfs"], "not the type of a signature"),
        (["device", "backup", *DISK, "--serial", "S1", "--to", "backups"], "'backups' is not an absolute path"),
        (["device", "restore", *DISK, "--serial", "S1", "--backup", "b.zst"], "'b.zst' is not an absolute path"),
        (["device", "test", *DISK, "--serial", "S1", "--phase", "4"], "4 is not in the range"),
        (["recover", "--restore", "/b.zst", "--device", "sdb", "--serial", "S1"], "'sdb' is not /dev/disk/by-id/NAME"),
    ],
)
def test_bad_option_is_usage(words: list[str], said: str) -> None:
    """And told before an inventory is read or a host is asked: nothing of it depends on them."""
    done = CliRunner().invoke(cli, [*words, "--inventory", "/nowhere.yml"], terminal_width=200)
    assert done.exit_code == 2, done.output
    assert said in done.output
