"""A bundle: what is in it, what must not be, and that nothing else than what its list says is ever unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.bundle_site import MODULE, NAME, RUN, Site, archive_of, contents_of, made_over, with_manifest
from tests.unit.example_runs import ALL_PASSED
from vexlab.bundle import archive_file
from vexlab.bundle.archive_file import Piece
from vexlab.config import source_tree
from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.results import results_file
from vexlab.results.model import Check, SourceRecord, Stage, Verdict

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"
TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def manifest_of(bundle: Path) -> Any:
    return json.loads(contents_of(bundle)["manifest.json"])


def test_bundle_has_what_repeats_the_failure(site: Site) -> None:
    done = site.command("bundle", RUN)
    path = Path(f"{RUN}.tar.zst")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert done.stdout == f"{digest}  {path}\n"
    members, manifest = contents_of(path), manifest_of(path)
    assert next(iter(members)) == "manifest.json"
    assert {
        name: hashlib.sha256(content).hexdigest() for name, content in members.items() if name != "manifest.json"
    } == {name: known["sha256"] for name, known in manifest["members"].items()}
    assert members["module/vexfs.ko"] == MODULE
    assert members["source/kernel/super.c"] == b"int answer = 42;\n"
    assert manifest["links"] == {"source/super.c": "kernel/super.c"}
    assert manifest["members"]["source/configure"]["executable"]
    assert members["packages.txt"] == b"libaudit1 1:4.0.2-2+deb13u1\nlinux-image-6.12.0-amd64 6.12.0-1\n"
    assert {"run/results.json", "run/contract.json", "run/console.log", "run/build.log", "target.yml"} <= members.keys()
    assert "run/stages/mount/kernel.log" in members
    assert manifest["failure"] == {
        "stage": "mount", "check": NAME, "verdict": "failed", "words": "chmod(2) left the ctime of 3 files"
    }  # fmt: skip
    assert manifest["options"] == {
        "variant": "c-only", "kernel": "trixie", "memory_mb": 2048, "cpus": 2, "cycles": 7, "seed": 4711
    }  # fmt: skip
    assert manifest["source"]["origin"] == "build"
    assert f"--seed 4711 --check 'mount/{NAME}'" in manifest["commands"][0]
    assert manifest["lacks"] == ["vmcore: the memory of a guest may hold anything"]


def test_same_run_makes_the_same_bundle(site: Site) -> None:
    first = site.bundle().read_bytes()
    assert site.bundle().read_bytes() == first


def test_nothing_of_this_machine_and_nothing_secret_leaves_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, tokens and the environment take the file with them that holds them; directories become words."""
    monkeypatch.setenv("DEPLOY_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("EDITOR", "some editor that is no secret")
    planted = {
        site.run / "ansible.log": f"key:\n{KEY}",
        site.run / "report.md": f"push with {TOKEN}\n",
        site.lab / "build" / "source" / "signing.pem": KEY,
        site.lab / "build" / "source" / "notes": "https://ann:hunter22@example.org/x\n",
        site.run / "junit.xml": "<x>correct-horse-battery</x>",
        site.run / "stages" / "mount" / "trace.txt": f"trace\nread {site.home}/.ssh/id and {site.home}x\n",
    }
    for path, text in planted.items():
        path.write_text(text)
    (site.lab / "build" / "source" / "blob.bin").write_bytes(b"\0" * 100 + KEY.encode())
    run = results_file.read(site.run / "results.json")
    told = replace(run.stages[0], checks=(replace(run.stages[0].checks[0], message=f"{site.home}/x is gone"),))
    results_file.write(site.run / "results.json", replace(run, stages=(told,)))
    members = contents_of(site.bundle())
    manifest = json.loads(members["manifest.json"])
    assert manifest["failure"]["words"] == "~/x is gone"
    whole = b"\n".join(members.values())
    for word in (b"PRIVATE KEY", TOKEN.encode(), b"hunter22", b"correct-horse"):
        assert word not in whole
    assert f"{site.home}/".encode() not in whole
    assert str(site.state).encode() not in whole
    assert not [name for name in members if "events" in name or "vmcore" in name or "environ" in name]
    assert set(manifest["lacks"]) == {
        "vmcore: the memory of a guest may hold anything",
        "run/ansible.log: it holds a private key",
        "run/report.md: it holds a token or a password",
        "run/junit.xml: it holds the value of DEPLOY_TOKEN in the environment",
        "source/signing.pem: it holds a private key",
        "source/notes: it holds a token or a password",
        "source/blob.bin: it holds a private key",
    }
    assert members["run/stages/mount/trace.txt"].decode() == f"trace\nread ~/.ssh/id and {site.home}x\n"
    assert b"booted from ~/.local/state/vexlab/labs/default and ~/x" in members["run/console.log"]
    assert members["run/build.log"].startswith(b"source/kernel/super.c:1: warning")
    assert "run/stages/mount/trace.txt" in manifest["replaced"]


def test_secret_that_a_replay_needs_is_no_bundle(site: Site) -> None:
    contract = json.loads((site.run / "contract.json").read_text())
    (site.run / "contract.json").write_text(json.dumps(contract | {"vexlab_build_command": f"curl -H {TOKEN}"}))
    with pytest.raises(UsageProblem, match=r"run/contract\.json holds a token"):
        site.bundle()
    assert not list(site.root.glob("*.zst"))


def test_run_in_which_nothing_failed_is_refused(site: Site) -> None:
    results_file.write(site.run / "results.json", replace(ALL_PASSED, run=RUN))
    with pytest.raises(UsageProblem, match="nothing failed in run"):
        site.bundle()


def test_edited_target_is_made_from_what_was_run(site: Site) -> None:
    contract = json.loads((site.run / "contract.json").read_text())
    (site.run / "contract.json").write_text(json.dumps(contract | {"vexlab_module_parameters": "old=1"}))
    members = contents_of(site.bundle())
    assert b"vexlab_module_parameters: old=1" in members["target.yml"]
    from vexlab.config import target

    (site.root / "made.yml").write_bytes(members["target.yml"])
    fields = target.load_target(site.root / "made.yml")
    assert fields.pop("vexlab_source") == str(site.root / "source")
    assert {name: contract[name] for name in fields} | {"vexlab_module_parameters": "old=1"} == fields


def test_lab_that_has_built_something_else_since_is_told(site: Site) -> None:
    """Then the source is the tree as it is, without what a build leaves out, and the module is gone."""
    later = site.run.with_name("20261123-090000-default")
    shutil.copytree(site.run, later)
    (site.lab / "module.json").write_text(json.dumps({"sha256": "other"}))
    (site.lab / "module.ko").write_bytes(b"another")
    (site.source / "kernel" / "super.c").write_text("int answer = 43;\n")
    (site.source / "kernel" / "super.o").write_text("object")
    members = contents_of(site.bundle())
    manifest = json.loads(members["manifest.json"])
    assert members["source/kernel/super.c"] == b"int answer = 43;\n"
    assert "source/kernel/super.o" not in members
    assert manifest["source"]["origin"] == "tree"
    assert any("the source is the tree as it was when the bundle was made" in line for line in manifest["lacks"])
    assert "module: the lab has built another one since" in manifest["lacks"]


def test_tree_that_is_still_what_was_tested_is_as_good_as_the_copy(site: Site) -> None:
    """A build in the guest leaves no copy; the run knows the hash of the tree."""
    shutil.rmtree(site.lab / "build")
    run = results_file.read(site.run / "results.json")
    tree = SourceRecord(source_tree.fingerprint(site.source))
    results_file.write(site.run / "results.json", replace(run, source=tree))
    manifest = manifest_of(site.bundle())
    assert manifest["source"]["origin"] == "tree"
    assert manifest["lacks"] == ["vmcore: the memory of a guest may hold anything"]
    (site.source / "Kbuild").write_text("edited since\n")
    assert len(manifest_of(site.bundle())["lacks"]) == 2


def test_source_that_is_gone_is_told(site: Site) -> None:
    shutil.rmtree(site.source)
    shutil.rmtree(site.lab / "build")
    manifest = manifest_of(site.bundle())
    assert manifest["source"]["origin"] == "none"
    assert "source: the source directory source is gone" in manifest["lacks"]


def test_commit_and_difference_are_those_of_the_copy(site: Site) -> None:
    """A hook of the repository is not run, and an edit after the build is no part of the difference."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *who, *words], cwd=site.source, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    (site.source / "Kbuild").write_text("obj-m := vexfs.o\n# changed\n")
    shutil.copy(site.source / "Kbuild", site.lab / "build" / "source" / "Kbuild")
    members = contents_of(site.bundle())
    source = json.loads(members["manifest.json"])["source"]
    assert len(source["commit"]) == 40
    assert source["changed"]
    assert b"+# changed" in members["source.diff"]
    (site.source / "Kbuild").write_text("edited since\n")
    source = manifest_of(site.bundle())["source"]
    assert source == {"origin": "build", "commit": "", "changed": False}


def test_link_that_leads_out_of_the_source_stays(site: Site) -> None:
    (site.lab / "build" / "source" / "out").symlink_to("../../secret")
    (site.lab / "build" / "source" / "absolute").symlink_to("/etc/passwd")
    manifest = manifest_of(site.bundle())
    assert manifest["links"] == {"source/super.c": "kernel/super.c"}
    assert {
        "source/out: a link that leads out of the source",
        "source/absolute: a link that leads out of the source",
    } <= set(manifest["lacks"])


def test_kept_image_travels_without_its_holes(site: Site) -> None:
    """Much of zeros with one word in it is small on the way, and has its holes again afterwards."""
    with (site.run / "stages" / "mount" / "failed.img").open("wb") as image:
        image.truncate(1 << 25)
        image.seek(1 << 24)
        image.write(b"superblock")
    bundle = site.bundle()
    assert bundle.stat().st_size < 1 << 20
    archive_file.unpack(bundle, archive_file.read_manifest(bundle), site.root / "out")
    image_file = site.root / "out" / "run" / "stages" / "mount" / "failed.img"
    assert (image_file.stat().st_size, image_file.stat().st_blocks * 512 < 1 << 20) == (1 << 25, True)
    with image_file.open("rb") as stream:
        stream.seek(1 << 24)
        assert stream.read(10) == b"superblock"


def test_unpacked_bundle_is_what_was_packed(site: Site) -> None:
    bundle = site.bundle()
    manifest = archive_file.read_manifest(bundle)
    archive_file.unpack(bundle, manifest, site.root / "out")
    out = site.root / "out"
    assert (out / "source" / "super.c").readlink() == Path("kernel/super.c")
    assert (out / "source" / "configure").stat().st_mode & 0o777 == 0o755
    assert (out / "module" / "vexfs.ko").read_bytes() == MODULE
    assert archive_file.problem_of(manifest, out) == ""
    (out / "target.yml").write_text("edited")
    assert archive_file.problem_of(manifest, out) == "target.yml was edited"
    (out / "target.yml").unlink()
    assert archive_file.problem_of(manifest, out) == "target.yml is gone"


def refusal(site: Site, bundle: Path) -> str:
    """The words with which a bundle is refused; nothing of it is left anywhere."""
    before = sorted(site.root.rglob("*"))
    with pytest.raises(UsageProblem) as told:
        archive_file.unpack(bundle, archive_file.read_manifest(bundle), site.root / "out")
    assert sorted(site.root.rglob("*")) == before
    assert told.value.exit_code == 2
    assert told.value.hint
    return told.value.message


Members = list[tuple[tarfile.TarInfo, bytes]]


def header(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def place_of(members: Members, name: str) -> int:
    return next(index for index, (each, _) in enumerate(members) if each.name == name)


def another_content(members: Members) -> None:
    index = place_of(members, "target.yml")
    members[index] = (members[index][0], members[index][1].replace(b"vexfs", b"vexfz", 1))


def another_size(members: Members) -> None:
    index = place_of(members, "target.yml")
    members[index] = (members[index][0], members[index][1] + b"# more\n")


def one_gone(members: Members) -> None:
    del members[place_of(members, "run/console.log")]


def one_more(members: Members) -> None:
    members.append((header("run/more"), b"more"))


def twice(members: Members) -> None:
    members.append(members[place_of(members, "target.yml")])


def traversal(members: Members) -> None:
    members.insert(1, (header("../../evil"), b"evil"))


def absolute(members: Members) -> None:
    members.insert(1, (header("/tmp/vexlab-evil"), b"evil"))


def hidden_traversal(members: Members) -> None:
    members.insert(1, (header("run/../../../evil"), b"evil"))


def symbolic_link(members: Members) -> None:
    members.insert(1, (header("run/console.log", tarfile.SYMTYPE, "/etc/passwd"), b""))


def hard_link(members: Members) -> None:
    members.insert(1, (header("run/console.log", tarfile.LNKTYPE, "/etc/passwd"), b""))


def device(members: Members) -> None:
    members.insert(1, (header("run/console.log", tarfile.BLKTYPE), b""))


def fifo(members: Members) -> None:
    members.insert(1, (header("run/console.log", tarfile.FIFOTYPE), b""))


def directory(members: Members) -> None:
    members.insert(1, (header("run/console.log", tarfile.DIRTYPE), b""))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another_content, "the content of 'target.yml' is another one"),
        (another_size, "'target.yml' is not as long as its list says"),
        (one_gone, "'run/console.log' is gone"),
        (one_more, "'run/more' is not in its list"),
        (twice, "it has 'target.yml' twice"),
        (traversal, "'../../evil' names a path outside of it"),
        (absolute, "'/tmp/vexlab-evil' names a path outside of it"),
        (hidden_traversal, "'run/../../../evil' names a path outside of it"),
        (symbolic_link, "'run/console.log' in it is a link"),
        (hard_link, "'run/console.log' in it is a link"),
        (device, "'run/console.log' in it is a device"),
        (fifo, "'run/console.log' in it is a device"),
        (directory, "'run/console.log' in it is no file"),
    ],
)
def test_what_the_list_does_not_have_is_refused(site: Site, change: Any, words: str) -> None:
    assert words in refusal(site, made_over(site.bundle(), change))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "is a bundle of version 2"),
        ({"links": {"source/a": "../../../etc"}}, "the link 'source/a' leads outside of it"),
        ({"links": {"source/a": "/etc"}}, "the link 'source/a' leads outside of it"),
        ({"links": {"../a": "b"}}, "'../a' names a path outside of it"),
        ({"links": {"source/kernel": "."}}, "'source/kernel/super.c' leads through something else in it"),
        ({"links": {"target.yml": "source"}}, "'target.yml' leads through something else in it"),
        ({"failure": {"stage": "mount"}}, "check is missing"),
        ({"more": 1}, "more"),
        ({"options": {"seed": [1]}}, "options"),
    ],
)
def test_list_that_can_not_be_is_refused(site: Site, changes: dict[str, Any], words: str) -> None:
    assert words in refusal(site, with_manifest(site.bundle(), **changes))


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x28\xb5\x2f\xfd garbage", "cut"],
    ids=["empty", "text", "broken", "cut"],
)
def test_file_that_is_no_bundle_is_a_sentence(site: Site, content: bytes | str) -> None:
    bundle = site.bundle()
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    assert "can't be read as a bundle" in refusal(site, bundle) or content == b""
    with pytest.raises(UsageProblem, match="can't be read"):
        archive_file.read_manifest(site.root)


def test_members_that_grow_are_not_unpacked(site: Site) -> None:
    """The list says that it is all holes: what isn't would fill the disk, and is refused when it is met."""
    manifest = archive_file.read_manifest(site.bundle())
    bundle = archive_of(site.root / "big.tar.zst", [Piece("run/big", b"x" * (1 << 20))], manifest)
    known = json.loads(contents_of(bundle)["manifest.json"])["members"]
    known["run/big"]["data"] = 0
    assert "takes more room than its list says" in refusal(site, with_manifest(bundle, members=known))


def test_too_large_for_the_disk_is_said_before_anything_is_written(site: Site) -> None:
    manifest = archive_file.read_manifest(site.bundle())
    members = dict(manifest.members)
    members["run/big"] = replace(members["target.yml"], size=1 << 60, data=1 << 60)
    before = sorted(site.root.rglob("*"))
    with pytest.raises(HostProblem, match=r"takes \d+ MiB when it is unpacked") as told:
        archive_file.unpack(site.root / "b.tar.zst", replace(manifest, members=members), site.root / "out")
    assert told.value.exit_code == 3
    assert sorted(site.root.rglob("*")) == before


def test_header_that_promises_the_world_is_bounded(site: Site) -> None:
    """A tar header can say that its comment has a GiB, which a reader would take into memory."""
    bundle = site.bundle()

    def bomb(members: Members) -> None:
        big = header("run/console.log")
        big.pax_headers = {"comment": "x" * (48 << 20)}
        members.insert(1, (big, b""))

    assert "it holds more than its list says" in refusal(site, made_over(bundle, bomb))
    assert io.BytesIO(bundle.read_bytes()).read(4) == b"\x28\xb5\x2f\xfd"


def failed_at(site: Site, stage: Stage, **changes: Any) -> Any:
    """What a bundle says of the failure of a run in which this stage went wrong."""
    run = results_file.read(site.run / "results.json")
    run = replace(run, stages=(stage,), selected=(stage.name,), verdict=stage.verdict, **changes)
    results_file.write(site.run / "results.json", run)
    return manifest_of(site.bundle())


def test_module_that_does_not_build_travels_with_its_source(site: Site) -> None:
    """There is no module then; the copy is the lab's, as long as no other run followed."""
    stage = Stage("build", Verdict.FAILED, 3.0, "kernel/super.c:1: error", achieved=False)
    (site.lab / "module.json").unlink()
    manifest = failed_at(site, stage, module=None)
    assert manifest["failure"] == {
        "stage": "build",
        "check": "",
        "verdict": "failed",
        "words": "kernel/super.c:1: error",
    }
    assert manifest["source"]["origin"] == "build"
    assert "--stage build" in manifest["commands"][0]
    assert not [name for name in manifest["members"] if name.startswith("module/")]


def test_run_that_was_cut_off_travels_as_far_as_it_came(site: Site) -> None:
    """A guest died, and the command was killed before it wrote its reports: nothing was sealed, no report is there."""
    died = Check("names.lookup", Verdict.PANICKED, 2.0, "BUG: it died")
    manifest = failed_at(site, Stage("mount", Verdict.PANICKED, 3.0, "BUG: it died", (died,)), finished=None)
    assert (manifest["failure"]["check"], manifest["failure"]["verdict"]) == ("names.lookup", "panicked")
    assert "run/report.md" not in manifest["members"]


def test_run_of_a_former_version_travels(site: Site) -> None:
    """It knew fewer variables, whose defaults are what it ran with; one that wrote none down is no bundle."""
    former = json.loads((Path(__file__).parent / "former" / "panicked.json").read_text(encoding="utf-8"))
    (site.run / "results.json").write_text(json.dumps(former | {"run": RUN}))
    contract = json.loads((site.run / "contract.json").read_text())
    del contract["vexlab_room_returns_seconds"]
    (site.run / "contract.json").write_text(json.dumps(contract))
    manifest = manifest_of(site.bundle())
    assert (manifest["failure"]["stage"], manifest["failure"]["verdict"]) == ("load", "panicked")
    assert "packages.txt: the image is gone, or never was" in manifest["lacks"]
    (site.run / "contract.json").unlink()
    with pytest.raises(VexlabError, match=r"contract\.json can't be read, and nothing else tells what was run"):
        site.bundle()


def test_evidence_that_was_edited_is_told(site: Site) -> None:
    from vexlab.gate import evidence

    run = results_file.read(site.run / "results.json")
    evidence.seal(site.run, run)
    (site.run / "console.log").write_text("edited")
    assert "is not as it was sealed: console.log was edited" in site.command("bundle", RUN).stderr
