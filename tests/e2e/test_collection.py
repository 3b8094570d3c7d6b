"""The collection: built, installed elsewhere, and its roles used by FQCN on a machine that vexlab knows nothing of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e import plain_machine
from tests.e2e.harness import ROOT, VEXFS, Vexlab
from tests.e2e.ready import write_readiness
from vexlab.cli.gate import module_subject

STAGES = ("structure", "build", "load", "mkfs", "mount")
BIN = Path(sys.executable).parent
# The tree holds a module and mkfs that were made elsewhere: in an emulated machine, compilers take minutes.
VARIABLES = {
    "vexfs_structure_source": "/home/ops/vexfs",
    "vexfs_structure_required_paths": ["Kbuild", "ready/"],
    "vexfs_build_module_file": "vexfs.ko",
    "vexfs_build_command": "cp ready/vexfs.ko . && cp ready/mkfs.vexfs mkfs/",
    "vexfs_load_module_file": "/var/lib/vexlab/build/vexfs.ko",
    "vexfs_load_module_name": "vexfs",
    "vexfs_mkfs_size_mb": 64,
    "vexfs_mkfs_command": 'mkfs/mkfs.vexfs -L "$LABEL" "$DEVICE"',
    "vexfs_mount_type": "vexfs",
}


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball, from what git knows; a file left lying about can't be in it."""
    tree, output = tmp_path_factory.mktemp("collection-tree"), tmp_path_factory.mktemp("collection")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    copy = ["rsync", "--archive", "--from0", "--files-from=-", f"{ROOT}/", f"{tree}/"]
    subprocess.run(copy, input=files, check=True)
    subprocess.run([BIN / "ansible-galaxy", "collection", "build", "--output-path", output, tree], check=True)
    return next(output.glob("vexfs-vexlab-*.tar.gz"))


@pytest.fixture(scope="session")
def collections(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory into which it was installed, without a network."""
    directory = tmp_path_factory.mktemp("collections")
    # by force, since the environment that the tests run in has the collection already, as the checkout itself
    command = ["collection", "install", "--offline", "--force", "-p", str(directory), str(collection)]
    subprocess.run([BIN / "ansible-galaxy", *command], check=True)
    return directory


def test_installed_collection_has_the_roles_and_nothing_of_the_lab(collections: Path) -> None:
    installed = collections / "ansible_collections" / "vexfs" / "vexlab"
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    assert {path.name for path in (installed / "roles").iterdir()} == roles
    assert not {"molecule", "benchmarks", ".ci", "Makefile"} & {path.name for path in installed.iterdir()}
    assert not {"e2e", "faults", "mutants", "unit"} & {path.name for path in (installed / "tests").iterdir()}
    assert {path.name for path in (installed / "tests" / "stages").iterdir()} >= {*STAGES, "conftest.py", "pytest.ini"}
    assert (installed / "vexlab" / "guest" / "testing" / "verifier.py").is_file()  # what they stand on
    assert not list(installed.rglob("__pycache__"))


@pytest.fixture(scope="module")
def image(vexlab: Vexlab) -> Path:
    """A guest's image; only its disk and its kernel are used, not what starts guests from them."""
    assert vexlab("image", "build").code == 0
    images = Path(vexlab.environment["XDG_CACHE_HOME"]) / "vexlab" / "images"
    return max(images.glob("*/verified"), key=lambda path: path.stat().st_mtime).parent


@pytest.fixture(scope="module")
def tree(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source, with a module and mkfs built from it in the image's user space."""
    work = tmp_path_factory.mktemp("work") / "vexfs"
    shutil.copytree(VEXFS, work, ignore=shutil.ignore_patterns("*.o", "*.ko", ".*.cmd"))
    built = work.with_name("built")
    shutil.copytree(work, built)
    user_space = image / "sandbox"
    links = [word for name in ("bin", "lib", "lib64", "sbin") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    binds = [
        "--ro-bind",
        f"{user_space}/usr",
        "/usr",
        "--ro-bind",
        f"{user_space}/etc",
        "/etc",
        "--bind",
        str(built),
        "/b",
    ]
    make = 'make -j2 module mkfs KDIR="$(echo /usr/lib/modules/*/build)"'
    others = ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--chdir", "/b"]
    subprocess.run(["bwrap", *binds, *links, *others, "sh", "-euc", make], check=True, capture_output=True)
    (work / "ready").mkdir()
    for name in ("vexfs.ko", "mkfs/mkfs.vexfs"):
        shutil.copy(built / name, work / "ready")
    return work


@pytest.fixture(scope="module")
def machine(image: Path, tree: Path) -> Iterator[plain_machine.Machine]:
    with plain_machine.running(image) as one:
        packed = subprocess.run(["tar", "-C", str(tree.parent), "-c", "vexfs"], capture_output=True, check=True).stdout
        one.ssh("tar -x", data=packed)
        yield one


@pytest.fixture(scope="module")
def foreign(machine: plain_machine.Machine, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as an administrator has it: an inventory, an ansible.cfg, playbooks that know roles by FQCN."""
    directory = tmp_path_factory.mktemp("foreign")
    host = {
        "ansible_host": "127.0.0.1", "ansible_port": machine.port, "ansible_user": "ops",
        "ansible_ssh_private_key_file": str(machine.key), "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F /dev/null -o UserKnownHostsFile={machine.directory}/known_hosts",
    }  # fmt: skip
    (directory / "hosts.yml").write_text(yaml.safe_dump({"machines": {"hosts": {"desk": host | VARIABLES}}}))
    (directory / "ansible.cfg").write_text(
        f"[defaults]\ncollections_path = {collections}\n[ssh_connection]\npipelining = True\n"
    )
    plays: dict[str, list[tuple[str, dict[str, str]]]] = {
        "load": [("load", {})],
        "all": [(stage, {}) for stage in STAGES],
        "away": [("mount", {"vexfs_mount_state": "unmounted"}), ("load", {"vexfs_load_state": "unloaded"})],
    }
    for name, roles in plays.items():
        play = {"hosts": "machines", "become": True, "gather_facts": False}
        named = [{"role": f"vexfs.vexlab.vexfs_{stage}", "vars": variables} for stage, variables in roles]
        (directory / f"{name}.yml").write_text(yaml.safe_dump([play | {"roles": named}]))
    return directory


def ansible(foreign: Path, playbook: str, *, hardware: bool, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook; `hardware` says whether the administrator has declared the machine to be for it."""
    # Extra variables keep their types as JSON only.
    declared = json.dumps({f"vexfs_{role}_hardware": hardware for role in ("load", "mkfs", "mount")} | inputs)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "hosts.yml", f"{playbook}.yml", "-e", declared],
        cwd=foreign, env=environment, text=True, capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    print(done.stdout[-6000:], done.stderr[-2000:])
    return done


@pytest.mark.thorough
def test_machine_that_is_no_vm_is_refused(foreign: Path, machine: plain_machine.Machine) -> None:
    """The real systemd-detect-virt takes this machine for hardware, which nobody has declared to be for tests."""
    done = ansible(foreign, "load", hardware=False)
    assert done.returncode != 0
    assert "desk is no virtual machine (systemd-detect-virt says none)" in " ".join(done.stdout.split())
    assert "vexfs" not in machine.ssh("cat /proc/modules")


@pytest.mark.thorough
def test_module_without_its_readiness_goes_no_further_than_its_build(
    foreign: Path, machine: plain_machine.Machine
) -> None:
    """The machine is no VM: nothing is loaded there that has not earned it."""
    done = ansible(foreign, "all", hardware=True)
    assert done.returncode != 0
    assert "the readiness file (vexfs_load_readiness is not set) is refused: there is none" in done.stdout
    assert "vexfs" not in machine.ssh("cat /proc/modules")


@pytest.mark.thorough
def test_roles_bring_the_filesystem_up(foreign: Path, tree: Path, machine: plain_machine.Machine) -> None:
    ready = write_readiness(foreign / "readiness.json", module_subject(tree / "ready" / "vexfs.ko"))
    done = ansible(foreign, "all", hardware=True, vexfs_load_readiness=str(ready))
    assert done.returncode == 0
    assert machine.ssh("findmnt --noheadings --output FSTYPE,TARGET /mnt/vexlab").split() == ["vexfs", "/mnt/vexlab"]
    machine.ssh("echo kept | sudo tee /mnt/vexlab/file")
    assert machine.ssh("sudo cat /mnt/vexlab/file") == "kept"


@pytest.mark.thorough
def test_roles_take_it_down(foreign: Path, machine: plain_machine.Machine) -> None:
    done = ansible(foreign, "away", hardware=True)
    assert done.returncode == 0
    assert "vexfs" not in machine.ssh("cat /proc/modules /proc/filesystems")
