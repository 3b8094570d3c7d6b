"""`vexlab recover`: each state that a crash or a slip leaves is taken down, or named with its reason. In order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Done, Vexlab, edit

pytestmark = pytest.mark.thorough

POINT = "/mnt/vexlab"
MOUNT = f"insmod /var/lib/vexlab/build/vexfs.ko; mount -t vexfs -o loop /var/lib/vexlab/device.img {POINT}"


@pytest.fixture(scope="module")
def lab(vexlab: Vexlab, source: Path) -> Vexlab:
    done = vexlab("up", "--source", str(source))
    assert done.code == 0, done.stderr
    return vexlab


def ssh(lab: Vexlab, script: str) -> str:
    done = lab("ssh", script)
    assert done.code == 0, done.stderr
    return done.stdout.strip()


def background(lab: Vexlab, command: str) -> str:
    """Start something in the guest that goes on; its process."""
    return ssh(lab, f"setsid {command} >/dev/null 2>&1 </dev/null & echo $!; sleep 0.5")


def left(done: Done, *words: str) -> None:
    assert done.code == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "is not free of vexfs" in done.stderr
    for word in words:
        assert word in done.stderr


def test_what_runs_is_taken_down(lab: Vexlab) -> None:
    done = lab("recover")
    assert done.code == 0, done.stderr
    for word in (f"unmounted {POINT}", "rmmod vexfs", "nothing is left"):
        assert word in done.stderr
    evidence = (lab.labs / "default" / "recovery" / "recover.txt").read_text()
    assert evidence.count("=== before ===") == evidence.count("=== afterwards ===") == 1
    before, _, after = evidence.partition("=== afterwards ===")
    assert (POINT in before, POINT in after.partition("did: ")[0]) == (True, False)


def test_nothing_to_do_is_well(lab: Vexlab) -> None:
    done = lab("recover")
    assert done.code == 0, done.stderr
    assert "nothing is left" in done.stderr


def test_busy_mount_is_left_with_the_name_of_its_user(lab: Vexlab) -> None:
    ssh(lab, MOUNT)
    process = background(lab, f"sh -c 'cd {POINT}; exec sleep 1000'")
    left(lab("recover"), f"{POINT} is still mounted", "busy", "used by sleep (", "module vexfs is still there")
    assert POINT in ssh(lab, "cat /proc/mounts")
    # Out of sight is not gone: the module stays in use.
    left(lab("recover", "--lazy"), "module vexfs is still there")
    assert POINT not in ssh(lab, "cat /proc/mounts")
    ssh(lab, f"kill {process}; sleep 0.5")
    assert lab("recover").code == 0


def test_module_in_use_without_a_mount_to_see(lab: Vexlab) -> None:
    """Somebody's own mount namespace still has it."""
    ssh(lab, MOUNT)
    process = background(lab, "unshare --mount sleep 1000")
    left(lab("recover"), "module vexfs is still there", "in use")
    ssh(lab, f"kill {process}; sleep 1")
    assert lab("recover").code == 0


def test_leaked_loop_device_is_detached(lab: Vexlab) -> None:
    """On a file of the work directory, one that was removed since too; other people's stay."""
    ssh(lab, "cd /var/lib/vexlab; for name in a b /root/c; do truncate -s 1M $name; losetup -f $name; done; rm b")
    done = lab("recover")
    assert done.code == 0, done.stderr
    assert done.stderr.count("losetup --detach") == 2
    assert ssh(lab, "losetup -a | grep -c /root/c; losetup -D") == "1"


def test_oops_with_a_stuck_reference_is_told(lab: Vexlab, source: Path) -> None:
    """Nothing gets the module out of the kernel any more; the message says so, and what to do."""
    ssh(lab, "sysctl -q kernel.panic_on_oops=0")
    path = source / "kernel" / "super.c"
    former = edit(path, "	sb->s_fs_info = sbi;\n", "	sb->s_fs_info = sbi;\n	*(volatile int *)NULL = 1;\n")
    try:
        assert lab("up").code == 1
    finally:
        path.write_text(former)
    done = lab("recover", "--sysrq")
    left(done, "module vexfs is still there", "restart the machine")
    evidence = (lab.labs / "default" / "recovery" / "recover.txt").read_text()
    assert "NULL pointer dereference" in evidence
    assert "sysrq: Show Blocked State" in evidence
