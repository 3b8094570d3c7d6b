"""What counts as a change of what `up` is made from and of what it left; when a lab forgets that it was good."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.unit.gate_evidence import a_run
from vexlab.config import installation, settings, user_directories
from vexlab.config.settings import Options, Settings
from vexlab.guest import lab
from vexlab.guest.lab import Lab
from vexlab.report import markdown
from vexlab.results import results_file
from vexlab.results.model import Run, Verdict
from vexlab.run import up_to_date

INPUTS = up_to_date.Inputs("of this lab", "anywhere")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "kernel").mkdir(parents=True)
    (tree / "kernel" / "a.c").write_text("int a;\n")
    (tree / "link").symlink_to("kernel/a.c")
    (tree / ".git").mkdir()
    return tree


def inputs(source: Path, **options: int) -> up_to_date.Inputs:
    return up_to_date.inputs_of(settings.make("x", Options(source=str(source), **options)))  # type: ignore[arg-type]


def test_nothing_changed(source: Path) -> None:
    assert inputs(source) == inputs(source)


def test_edit_of_the_same_size_and_time_counts(source: Path) -> None:
    path, before = source / "kernel" / "a.c", inputs(source)
    times = path.stat()
    path.write_text("int b;\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert inputs(source) != before


@pytest.mark.parametrize("what", ["new file", "removed file", "mode", "link", "option"])
def test_change_counts(source: Path, what: str) -> None:
    before = inputs(source)
    if what == "new file":
        (source / "kernel" / "b.c").touch()
    elif what == "removed file":
        (source / "kernel" / "a.c").unlink()
    elif what == "mode":
        (source / "kernel" / "a.c").chmod(0o755)
    elif what == "link":
        (source / "link").unlink()
        (source / "link").symlink_to("kernel")
    assert inputs(source, **({"memory_mb": 1024} if what == "option" else {})) != before


def test_what_git_keeps_does_not_count(source: Path) -> None:
    before = inputs(source)
    (source / ".git" / "index").write_text("x")
    assert inputs(source) == before


class Guest:
    """A lab whose guest is this machine: a real process to be told by its UUID, and an `ssh` that runs the script here.

    /sys is a directory of the test, since loading a module is out of the question.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
        self.sys = directory / "sys"
        self.work = directory / "work"
        self.lab = lab.find("x")
        self.process = subprocess.Popen(["sh", "-c", "read _", "uuid-1"], stdin=subprocess.PIPE)
        made = settings.make("x", Options())
        self.settings: Settings = dataclasses.replace(
            made, contract=made.contract | {"vexlab_work_directory": str(self.work), "vexlab_filesystem_type": "proc"}
        )
        (directory / "bin").mkdir()
        ssh = directory / "bin" / "ssh"
        ssh.write_text(f"""#!/bin/sh
for script; do :; done
exec sh -c "$(printf %s "$script" | sed "s,/sys/module,{self.sys}/module,g; s,/sys/[*],{self.sys}/*,")"
""")
        ssh.chmod(0o755)
        monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
        self._fill()

    def _fill(self) -> None:
        module = self.sys / "module" / "vexfs"
        texts = {
            module / "refcnt": "1\n", module / "notes" / ".note.gnu.build-id": "\0id",
            module / "parameters" / "ffi": "c\n",
            self.work / "build.json": "{}", self.work / "device.img.json": "{}", self.work / "device.img": "image",
            self.work / "source" / "a.c": "int a;", self.work / "build" / "mkfs" / "mkfs.vexfs": "\x7fELF of mkfs",
            self.work / "build" / "vexfs.ko": "module", self.lab.directory / "guest.json":
            json.dumps({"uuid": "uuid-1", "pid": self.process.pid}),
        }  # fmt: skip
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.work / "build" / "link").symlink_to("vexfs.ko")
        entry = {
            "ansible_ssh_common_args": "-q", "ansible_user": "root", "ansible_host": "127.0.0.1", "ansible_port": 22,
            "ansible_ssh_private_key_file": "/none",
        }  # fmt: skip
        self.lab.inventory.mkdir()
        self.lab.guest_entry.write_text(yaml.safe_dump({"vexlab": {"children": {"guests": {"hosts": {"x": entry}}}}}))

    def remember(self, run: Run) -> None:
        """As `up` does when it ends."""
        directory = user_directories.runs_directory() / run.run
        directory.mkdir(parents=True, exist_ok=True)
        results_file.write(directory / "results.json", run)
        up_to_date.remember(self.lab, self.settings, run, INPUTS)

    def last_run(self) -> Run | None:
        return up_to_date.last_run(self.lab, self.settings, INPUTS)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    guest = Guest(tmp_path, monkeypatch)
    yield guest
    guest.process.communicate()


def replaced(path: Path, text: str) -> None:
    """Another content, with the size and the times that it had."""
    times = path.stat()
    assert len(text) == times.st_size
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def loaded_again(guest: Guest) -> None:
    """The same module with the same parameters: another directory of the same content."""
    module = guest.sys / "module" / "vexfs"
    shutil.copytree(module, module.with_name("new"))
    shutil.rmtree(module)
    module.with_name("new").rename(module)


def relinked(guest: Guest) -> None:
    (guest.work / "build" / "link").unlink()
    (guest.work / "build" / "link").symlink_to("mkfs/mkfs.vexfs")


CHANGES: dict[str, Callable[[Guest], object]] = {
    "mkfs": lambda guest: replaced(guest.work / "build" / "mkfs" / "mkfs.vexfs", "\x7fELF of true"),
    "module": lambda guest: replaced(guest.work / "build" / "vexfs.ko", "MODULE"),
    "copy of the source": lambda guest: replaced(guest.work / "source" / "a.c", "int b;"),
    "link": relinked,
    "mode": lambda guest: (guest.work / "build" / "mkfs" / "mkfs.vexfs").chmod(0o755),
    "new program": lambda guest: (guest.work / "build" / "mkfs" / "new").touch(),
    "image": lambda guest: replaced(guest.work / "device.img", "IMAGE"),
    "record of the build": lambda guest: replaced(guest.work / "build.json", "[]"),
    "parameter": lambda guest: (guest.sys / "module" / "vexfs" / "parameters" / "ffi").write_text("r\n"),
    "users": lambda guest: (guest.sys / "module" / "vexfs" / "refcnt").write_text("2\n"),
    "loaded module": lambda guest: (guest.sys / "module" / "vexfs" / "notes" / ".note.gnu.build-id").write_text("x"),
    "loaded again": loaded_again,
    "unloaded": lambda guest: shutil.rmtree(guest.sys),
    "guest": lambda guest: (guest.lab.directory / "guest.json").write_text("{}"),
    "run removed": lambda _: shutil.rmtree(user_directories.runs_directory()),
}  # fmt: skip


def test_nothing_changed_in_the_guest(guest: Guest) -> None:
    run = a_run()
    guest.remember(run)
    assert guest.last_run() == run


@pytest.mark.parametrize("what", CHANGES)
def test_change_in_the_guest_counts(guest: Guest, what: str) -> None:
    guest.remember(a_run())
    assert guest.last_run() is not None
    CHANGES[what](guest)
    assert guest.last_run() is None


def test_other_mounts_do_count(guest: Guest) -> None:
    """Of the type, and at the place."""
    guest.remember(a_run())
    for name, value in {"vexlab_filesystem_type": "sysfs", "vexlab_mount_point": "/dev"}.items():
        other = dataclasses.replace(guest.settings, contract=guest.settings.contract | {name: value})
        assert up_to_date.last_run(guest.lab, other, INPUTS) is None


def test_other_inputs_count(guest: Guest) -> None:
    guest.remember(a_run())
    assert up_to_date.last_run(guest.lab, guest.settings, up_to_date.Inputs("others", "x")) is None


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict in ("failed", "panicked", "not_run")])
def test_run_that_did_not_pass_is_not_remembered(guest: Guest, verdict: Verdict) -> None:
    guest.remember(a_run(verdicts={"mount": verdict}))
    assert guest.last_run() is None


def test_what_is_dropped_when_a_run_begins_stays_dropped_until_it_is_put_back(guest: Guest) -> None:
    run = a_run()
    guest.remember(run)
    memory = up_to_date.forget(guest.lab)
    assert guest.last_run() is None
    assert up_to_date.forget(guest.lab) == ""
    up_to_date.put_back(guest.lab, memory)
    assert guest.last_run() == run


def test_lab_that_remembers_nothing_has_nothing_put_back(tmp_path: Path) -> None:
    empty = Lab("x", tmp_path)
    up_to_date.put_back(empty, up_to_date.forget(empty))
    assert not list(tmp_path.iterdir())


def test_json_says_since_when_nothing_changed() -> None:
    run = a_run()
    document = json.loads(markdown.render_json(run, unchanged_since=run.finished))
    assert document["unchanged_since"] == run.finished
    jsonschema.validate(document, json.loads((installation.root() / "docs" / "results.schema.json").read_text()))
    assert "unchanged_since" not in json.loads(markdown.render_json(run))
