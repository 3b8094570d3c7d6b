"""Test hardware: what is refused; a device from its backup through three phases to its restored content. In order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bench import LAB, Bench
from tests.e2e.harness import Done, Vexlab, edit, wait_until
from tests.e2e.ready import write_readiness
from vexlab.gate.decision import Subject
from vexlab.gate.promotion import subject_of
from vexlab.guest.lab import qmp
from vexlab.results.results_file import from_document

DISKS = {
    "CLEAN": 64,
    "OTHER": 64,
    "PARTED": 8,
    "SIGNED": 8,
    "MOUNTED": 8,
    "SWAPPED": 8,
    "HELD": 8,
    "VOLUME": 8,
    "BIG": 2048,
}
# Puts on the disks what speaks against them. A physical volume is its label, with LVM's own checksum.
SETUP = r"""
set -eu
disk() { readlink -f "/dev/disk/by-id/virtio-$1"; }
python3 - "$(disk PARTED)" "$(disk VOLUME)" "$(disk CLEAN)" "$(disk BIG)" <<'END'
import os, struct, sys, zlib
parted, volume, clean, big = (open(path, "r+b") for path in sys.argv[1:])
parted.seek(446)
parted.write(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0x83, b"\0\3\0", 2048, 4096))
parted.seek(510)
parted.write(b"\x55\xaa")
body = struct.pack("<I8s32s", 32, b"LVM2 001", b"0123456789abcdef0123456789abcdef").ljust(492, b"\0")
volume.seek(512)
volume.write(struct.pack("<8sQI", b"LABELONE", 1, zlib.crc32(body, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff) + body)
for place in (5 << 20, 63 << 20):
    clean.seek(place)
    clean.write(os.urandom(1 << 20))
for place in range(0, 2048, 8):
    big.seek(place << 20)
    big.write(os.urandom(1 << 16))
for file in (parted, volume, clean, big):
    file.flush()
    os.fsync(file)
END
blockdev --rereadpt "$(disk PARTED)"
mke2fs -q -t ext4 "$(disk SIGNED)"
mke2fs -q -t ext4 "$(disk MOUNTED)"
mkdir -p /mnt/held /mnt/small
mount -o ro "$(disk MOUNTED)" /mnt/held  # ext4 writes to its own device when it likes
mkswap "$(disk SWAPPED)" >/dev/null
swapon "$(disk SWAPPED)"
dmsetup create holder --table "0 1000 linear $(disk HELD) 0"
mount -t tmpfs -o size=8m tmpfs /mnt/small
ln -s ../../vda /dev/disk/by-id/virtio-SYSTEM
useradd --create-home --password '*' ops
install -d -m 0700 -o ops ~ops/.ssh
install -m 0600 -o ops ~/.ssh/authorized_keys ~ops/.ssh/authorized_keys
echo 'ops ALL=(ALL) ALL' >/etc/sudoers.d/ops
udevadm settle
"""
# All but the one that the kernel swaps to, and the big one, which no refusal is about and which takes a minute to read.
SUMS = (
    "for disk in /dev/disk/by-id/virtio-*[A-Z]; do "
    "case $disk in *SWAPPED|*SYSTEM|*BIG) ;; *) sha256sum $disk ;; esac; done"
)


@pytest.fixture(scope="module")
def bench(vexlab: Vexlab) -> Bench:
    found = Bench(vexlab, DISKS)
    found.ssh(SETUP)
    return found


@pytest.fixture(scope="class")
def untouched(bench: Bench) -> Iterator[None]:
    """Whatever was refused, no byte of any disk has changed."""
    before = bench.ssh(SUMS)
    yield
    assert bench.ssh(SUMS) == before


def refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.usefixtures("untouched")
class TestRefusals:
    @pytest.mark.parametrize(
        ("serial", "more", "said"),
        [
            ("PARTED", (), "it has a partition"),
            ("SIGNED", (), "it carries a signature (ext4); to destroy that, name it in --overwrite"),
            ("SIGNED", ("--overwrite", "xfs"), "it carries a signature (ext4)"),
            ("MOUNTED", ("--overwrite", "ext4"), "it is mounted at /mnt/held"),
            ("SWAPPED", ("--overwrite", "swap"), "it is used as swap"),
            ("HELD", (), "it is held by dm-0"),
            ("VOLUME", ("--overwrite", "LVM2_member"), "it is a part of something else (LVM2_member)"),
            ("SYSTEM", (), "it holds the root filesystem"),
            ("ABSENT", (), "there is no such device"),
        ],
    )
    def test_device(self, bench: Bench, serial: str, more: tuple[str, ...], said: str) -> None:
        refused(bench("check", serial, *more), 1, f"virtio-{serial} is not formatted", said)

    def test_another_disk_than_was_typed(self, bench: Bench) -> None:
        said = "its serial number is OTHER, not CLEAN: it is another disk"
        refused(bench("check", "OTHER", typed="CLEAN"), 1, said)
        refused(bench("backup", "OTHER", typed="CLEAN"), 1, said)

    def test_name_that_moves(self, bench: Bench) -> None:
        inventory = ["--inventory", str(bench.inventory), "--serial", "CLEAN"]
        refused(bench.vexlab("device", "check", *inventory, "--device", "/dev/vdb"), 2, "is not /dev/disk/by-id/NAME")

    def test_hosts(self, bench: Bench) -> None:
        """None, two, one that isn't there: told by the inventory alone."""
        elsewhere = bench.write_inventory("elsewhere.yml", {"rack1": {}}, group="servers")
        refused(bench("check", "CLEAN", "--inventory", str(elsewhere)), 2, "has no hosts in a group 'hardware'")
        two = str(bench.write_inventory("two.yml", {"rack1": {}, "rack2": {}}))
        refused(bench("check", "CLEAN", "--inventory", two), 2, "has 2 hosts in 'hardware': rack1, rack2", "--host")
        refused(bench("check", "CLEAN", "--inventory", two, "--host", "rack3"), 2, "has no host 'rack3'")
        refused(bench("check", "CLEAN", "--inventory", "/nowhere.yml"), 2, "there is no inventory /nowhere.yml")

    @pytest.mark.parametrize(
        ("changed", "code", "said"),
        [
            ({"ansible_port": 1}, 4, "refused"),
            ({"ansible_python_interpreter": "/usr/bin/python9"}, 1, "python9"),
            ({"ansible_user": "ops"}, 1, "password"),
        ],
        ids=["unreachable", "without Python", "sudo that asks"],
    )
    def test_host_that_is_not_as_it_should_be(
        self, bench: Bench, changed: dict[str, object], code: int, said: str
    ) -> None:
        # Not over the connection that stands, which goes to the right port, as root.
        anew = {"ansible_ssh_common_args": f"-o ControlPath=none {bench.entry['ansible_ssh_common_args']}"}
        inventory = bench.write_inventory("odd.yml", {"rack1": changed | anew})
        done = bench("check", "CLEAN", "--inventory", str(inventory))
        assert done.code in (code, 4), done.stderr
        refused(done, done.code, said)

    def test_target_for_the_backup_that_is_too_small(self, bench: Bench) -> None:
        refused(bench("backup", "CLEAN", "--to", "/mnt/small/x"), 1, "8 MiB free", "may take 64 MiB")
        assert bench.ssh("find /mnt/small -type f") == ""

    def test_phase_out_of_turn(self, bench: Bench) -> None:
        refused(bench("test", "CLEAN", "--phase", "2", "--no-backup"), 2, "no module has passed phase 1 on the device")

    def test_without_a_word_on_the_backup(self, bench: Bench) -> None:
        refused(bench("test", "CLEAN", "--phase", "1"), 2, "no backup is named", "--no-backup")


@pytest.mark.thorough
def test_device_that_vanishes_while_it_is_read(bench: Bench) -> None:
    """What was written until then doesn't look like a backup, and isn't there any more."""
    process = bench.start("backup", "BIG", "--to", "/var/lib/vexlab-gone")
    wait_until(lambda: ".partial" in bench.ssh("ls -A /var/lib/vexlab-gone 2>/dev/null || true"), process)
    control = Path(bench.vexlab.record(LAB)["qmp_control"])
    qmp(control, "device_del", {"id": "BIG"})
    done = bench.vexlab.finish(process)
    refused(done, 1)
    assert re.search(r"the device ended|failed: .*(Input/output error|No such device)", done.stderr)
    assert bench.ssh("ls -A /var/lib/vexlab-gone") == ""


@pytest.fixture(scope="module")
def backup(bench: Bench) -> tuple[str, str]:
    """The backup of the clean disk, and what the disk holds."""
    before = bench.ssh("sha256sum </dev/disk/by-id/virtio-CLEAN").split()[0]
    done = bench("backup", "CLEAN", "--json")
    assert done.code == 0, done.stderr
    assert done.document["sha256"] == before
    return done.document["file"], before


def phase(bench: Bench, number: int, backup: tuple[str, str], *more: str) -> Done:
    ready = [f"--readiness={path}" for path in bench.vexlab.home.glob("readiness.json")]
    return bench("test", "CLEAN", "--phase", str(number), "--backup", backup[0], "--json", *ready, *more)


def assert_nothing_is_left(bench: Bench) -> None:
    left = bench.ssh("grep -w vexfs /proc/mounts /proc/modules /proc/filesystems; ls /dev/mapper; losetup -a; true")
    assert left.split() == ["control", "holder"]


@pytest.mark.thorough
def test_module_that_is_not_ready_is_not_loaded(bench: Bench, backup: tuple[str, str], source: Path) -> None:
    """With the readiness of another one it is built there, and goes no further; the phases below have its own."""
    refused(phase(bench, 1, backup, "--source", str(source)), 2, "no readiness file is named", "vexlab gate")
    path = bench.vexlab.home / "readiness.json"
    path.write_text("{}")
    refused(phase(bench, 1, backup), 2, "it is no readiness file")
    write_readiness(path, Subject("vexfs", "00" * 32, "00", "6.12"))
    done = phase(bench, 1, backup, "--source", str(source))
    refused(done, 1, "stage load", "it is about another module, with the sha256 0000")
    assert_nothing_is_left(bench)
    built = subject_of(from_document(done.document))
    assert built is not None
    write_readiness(path, built)


@pytest.mark.thorough
def test_phase_1_only_reads(bench: Bench, backup: tuple[str, str], source: Path) -> None:
    done = phase(bench, 1, backup, "--source", str(source))
    assert done.code == 0, done.stderr
    assert (done.document["machine"], done.document["device"]["phase"]) == ("hardware", 1)
    checks = {check["name"]: check["verdict"] for check in done.stage("mount")["checks"]}
    assert checks["device.reading_writes_nothing"] == "passed"
    wrote = [name for name, verdict in checks.items() if verdict == "passed" and name.startswith(("files.", "rename."))]
    assert wrote == []
    assert_nothing_is_left(bench)


@pytest.mark.thorough
def test_phase_2_refuses_a_module_that_was_edited(bench: Bench, backup: tuple[str, str], source: Path) -> None:
    path = source / "kernel" / "vexfs_module_entry.c"
    former = path.read_text()
    path.write_text(former + "\nstatic int __maybe_unused vexfs_edited = 1;\nmodule_param(vexfs_edited, int, 0);\n")
    try:
        done = phase(bench, 2, backup)
    finally:
        path.write_text(former)
    assert done.code == 1, done.stderr
    assert "is not the one that passed phase 1 on this device" in done.stderr
    assert "vexlab device restore" in done.stderr
    assert_nothing_is_left(bench)


@pytest.mark.thorough
def test_content_is_brought_back(bench: Bench, backup: tuple[str, str]) -> None:
    file, before = backup
    assert bench.ssh("sha256sum </dev/disk/by-id/virtio-CLEAN").split()[0] != before
    refused(bench("restore", "OTHER", "--backup", file), 1, "is a backup of the disk CLEAN, not of OTHER")
    done = bench("restore", "CLEAN", "--backup", file)
    assert done.code == 0, done.stderr
    assert bench.ssh("sha256sum </dev/disk/by-id/virtio-CLEAN").split()[0] == before


@pytest.mark.thorough
def test_damaged_backup_writes_nothing(bench: Bench, backup: tuple[str, str]) -> None:
    file, before = backup
    bench.ssh(f"printf xyz | dd of={file} bs=1 seek=2000 conv=notrunc status=none")
    refused(bench("restore", "CLEAN", "--backup", file), 1, file)
    assert bench.ssh("sha256sum </dev/disk/by-id/virtio-CLEAN").split()[0] == before


@pytest.mark.thorough
def test_name_that_moves_to_another_disk_meanwhile(bench: Bench, backup: tuple[str, str]) -> None:
    """Between the look at the device and mkfs: the other disk is left alone."""
    other = bench.ssh("sha256sum </dev/disk/by-id/virtio-OTHER")
    process = bench.start("test", "CLEAN", "--phase", "2", "--backup", backup[0],
                          "--readiness", str(bench.vexlab.home / "readiness.json"))  # fmt: skip
    before = set(bench.vexlab.runs.iterdir())
    wait_until(
        lambda: any((run / "stages" / "load").is_dir() for run in set(bench.vexlab.runs.iterdir()) - before), process
    )
    bench.ssh('ln -sfn "$(readlink -f /dev/disk/by-id/virtio-OTHER)" /dev/disk/by-id/virtio-CLEAN')
    done = bench.vexlab.finish(process)
    bench.ssh("rm /dev/disk/by-id/virtio-CLEAN; udevadm trigger --subsystem-match=block; udevadm settle")
    refused(done, 1, "its serial number is OTHER, not CLEAN: it is another disk")
    assert bench.ssh("sha256sum </dev/disk/by-id/virtio-OTHER") == other


@pytest.mark.thorough
def test_what_went_wrong_starts_anew(bench: Bench, backup: tuple[str, str]) -> None:
    """The same module, whose last run on this device did not pass."""
    refused(phase(bench, 3, backup), 2, "no module has passed phase 2", "went wrong since")


@pytest.mark.thorough
def test_bug_stops_everything_and_says_the_way_back(bench: Bench, backup: tuple[str, str], source: Path) -> None:
    former = edit(source / "mkfs" / "mkfs.vexfs.c", "htole32(VEXFS_MAGIC)", "htole32(VEXFS_MAGIC + 1)")
    try:
        done = phase(bench, 1, backup)
    finally:
        (source / "mkfs" / "mkfs.vexfs.c").write_text(former)
    assert done.code == 1
    assert "stage mkfs" in done.stderr
    assert f"vexlab device restore --inventory {bench.inventory} --host rack1" in done.stderr
    evidence = (bench.vexlab.runs / done.document["run"] / "recover.txt").read_text()
    assert [evidence.count(part) for part in ("=== before ===", "=== afterwards ===", "the kernel's log")] == [1, 1, 1]
    assert_nothing_is_left(bench)
