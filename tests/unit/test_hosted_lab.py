"""A lab that a hypervisor has, which is this machine by its sshd: words, exit codes and runs come through."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit import gate_evidence, loopback_host
from tests.unit.loopback_host import Host
from vexlab.cli import hosted as hosted_commands
from vexlab.cli.main import cli
from vexlab.cli.options import of_settings_file, typed
from vexlab.cli.order import take_order
from vexlab.config import user_directories
from vexlab.config.settings import Options
from vexlab.errors import HostProblem, UsageProblem, VexlabError
from vexlab.gate import evidence
from vexlab.guest import hypervisors
from vexlab.guest import lab as labs
from vexlab.guest.hypervisors import Hypervisor
from vexlab.guest.lab import started
from vexlab.hosts import hosted_lab, reach, runs_home
from vexlab.hosts.hosted_lab import Ended, Given, HostedLab, Record, Tell
from vexlab.hosts.lines import Lines

ROOT = Path(__file__).parents[2]
TARGETS = ROOT / "examples" / "targets"
PATIENCE = 900  # seconds: a machine that is busy with other tests is no host that is lost
needs_sshd = pytest.mark.skipif(bool(loopback_host.why_not()), reason=loopback_host.why_not() or "it can")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with loopback_host.running(tmp_path_factory.mktemp("host")) as made:
        yield made


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def a_lab(tmp_path: Path, inventory: Path, name: str = "mine", python: str = sys.executable) -> HostedLab:
    """A lab whose record says that the host of this name has it, and where its user is at home there."""
    lab = labs.find(name)
    lab.directory.mkdir(parents=True)
    record = Record("far", str(inventory), str(tmp_path / "home"), python, str(ROOT), PATIENCE)
    (lab.directory / "hypervisor.json").write_text(json.dumps({
        "host": record.host, "inventory": record.inventory, "home": record.home, "python": record.python,
        "code": record.code, "patience": record.patience,
    }))  # fmt: skip
    found = hosted_lab.find(lab)
    assert found == HostedLab(lab, record)
    return found


def vexlab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vexlab", *words], capture_output=True, text=True, check=False, cwd="/",
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


# --- the words of a command


def told(*results: dict[str, object], own: dict[str, str] | None = None) -> list[str]:
    said: list[str] = []
    lines = Lines(said.append, own or {})
    for result in results:
        lines.take({"running": True, "left_out": 0, **result})
    return said


def test_each_line_is_told_once_and_when_it_is_whole() -> None:
    later = {"said": "two\nthree\n", "left_out": 1}
    assert told({"said": "one\ntw"}, {"said": "one\ntwo\n"}, later) == ["one", "two", "three"]


def test_lines_that_nobody_has_seen_are_counted() -> None:
    said = told({"said": "one\n"}, {"said": "five\n", "left_out": 4})
    assert said == ["one", "… 3 lines are left out here …", "five"]


def test_line_without_an_end_is_told_at_the_end() -> None:
    assert told({"said": "one\ntw"}, {"said": "one\ntw", "running": False}) == ["one", "tw"]


def test_paths_are_those_of_here() -> None:
    own = {"/far/runs": "/near/runs", "/far/runs/source": "/src"}
    assert told({"said": "/far/runs/source/a.c: see /far/runs/1\n"}, own=own) == ["/src/a.c: see /near/runs/1"]


# --- evidence


def test_run_that_comes_home_counts_for_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = sealed_elsewhere(tmp_path, monkeypatch)
    runs_home.keep(brought)
    [entry] = evidence.entries()
    assert (entry.run, evidence.problem(entry), evidence.doubt("run-1")) == ("run-1", "", "")
    assert runs_home.here() == ["run-1"]


def test_run_that_is_here_is_not_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_home.keep(sealed_elsewhere(tmp_path, monkeypatch))
    runs_home.keep(sealed_elsewhere(tmp_path / "again", monkeypatch))
    assert len(evidence.entries()) == 1


def test_run_that_was_removed_here_does_not_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain knows it, and a person wanted it gone."""
    runs_home.keep(sealed_elsewhere(tmp_path, monkeypatch))
    shutil.rmtree(user_directories.runs_directory() / "run-1")
    assert runs_home.here() == ["run-1"]
    runs_home.keep(sealed_elsewhere(tmp_path / "again", monkeypatch))
    assert not (user_directories.runs_directory() / "run-1").exists()
    assert len(evidence.entries()) == 1


def test_run_that_was_edited_on_its_way_is_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = sealed_elsewhere(tmp_path, monkeypatch)
    (brought / "console.log").write_text("edited\n")
    with pytest.raises(VexlabError, match=r"run run-1 isn't as it was sealed: console\.log"):
        runs_home.keep(brought)
    assert not evidence.entries()
    assert not runs_home.here()


def sealed_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a run that another machine has sealed, brought here."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        return gate_evidence.sealed(gate_evidence.a_run())


# --- how a host is reached


def test_ssh_is_told_what_the_inventory_says() -> None:
    known = {
        "ansible_host": "h", "ansible_port": 2222, "ansible_user": "me", "ansible_ssh_private_key_file": "/k",
        "ansible_ssh_common_args": "-o 'ProxyCommand=nc a b'", "ansible_ssh_extra_args": "-4",
    }  # fmt: skip
    words = ["ssh", "-o", "ProxyCommand=nc a b", "-4", "-t", "-p", "2222", "-l", "me", "-i", "/k", "h"]
    assert reach.command("far", known, "-t") == words
    assert reach.command("far", {}) == ["ssh", "far"]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"ansible_host": "{{ lookup('pipe', 'id') }}"}, "ansible_host of far holds {{, which is a template"),
        ({"ansible_connection": "local"}, "far is reached by local"),
    ],
)
def test_what_ssh_cannot_be_told_is_refused(known: dict[str, str], said: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        reach.command("far", known)
    assert said in problem.value.message


@needs_sshd
def test_answer_is_what_the_command_wrote(host: Host) -> None:
    far = Hypervisor("far", host.inventory)
    assert reach.ask(far, ["printf", "%s", "a b;c"]) == "a b;c"
    with pytest.raises(HostProblem, match="far: no such thing"):
        reach.ask(far, ["sh", "-c", "echo no such thing >&2; exit 3"])


@needs_sshd
@pytest.mark.parametrize(
    ("known", "said"),
    [("other_key", "far shows another host key than the one in known_hosts"), ("", "far is not known")],
)
def test_host_with_another_key_is_not_let_in(host: Host, known: str, said: str) -> None:
    try:
        if known:
            host.know(known)
        else:
            host.known_hosts.write_text("")
        with pytest.raises(HostProblem, match=said):
            reach.ask(Hypervisor("far", host.inventory), ["true"])
    finally:
        host.know()


def test_host_that_is_away_is_named(tmp_path: Path) -> None:
    away = Host(tmp_path, loopback_host.free_port())
    away.write_inventory()
    with pytest.raises(HostProblem, match=r"far \(127\.0\.0\.1:\d+\) can't be reached: connection refused|port"):
        reach.ask(Hypervisor("far", away.inventory), ["true"])


@pytest.mark.parametrize("words", ["a b", "-oProxyCommand=x", "me@", "@h", "a@b@c", "h:22", "", "a;b"])
def test_what_is_no_host_is_refused_before_ssh_sees_it(tmp_path: Path, words: str) -> None:
    with pytest.raises(UsageProblem, match="can't be a hypervisor"):
        hypervisors.known_to_ssh(words, tmp_path / "hypervisors.yml")


def test_host_that_ssh_knows_needs_no_inventory(tmp_path: Path) -> None:
    path = tmp_path / "hypervisors.yml"
    assert hypervisors.known_to_ssh("me@big.example", path) == Hypervisor("big.example", path)
    assert reach.ssh(Hypervisor("big.example", path)) == ["ssh", "-l", "me", "big.example"]


def test_inventory_with_one_host_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text("hypervisors: {hosts: {a: {}}}\n")
    assert hypervisors.one(path, None) == Hypervisor("a", path)
    path.write_text("hypervisors: {hosts: {a: {}, b: {}}}\n")
    assert hypervisors.one(path, "b").name == "b"
    with pytest.raises(UsageProblem, match="has several hypervisors: a, b"):
        hypervisors.one(path, None)
    with pytest.raises(UsageProblem, match="has no hypervisor 'c'"):
        hypervisors.one(path, "c")


# --- a command there

STAND_IN = """#!/bin/sh
# In the place of Python there: does what `python -m vexlab up` does to its surroundings.
echo "$*" >"$XDG_STATE_HOME/asked"
cat ../vexlab.toml >"$XDG_STATE_HOME/settings"
run="$XDG_STATE_HOME/vexlab/runs/run-1"
mkdir -p "$run"
cp -r {run}/. "$run"
echo mine >"$run/lab"
echo "building" >&2
sleep 2
echo "{given}/source/a.c:1: error" >&2
echo "evidence: $run" >&2
echo answer
exit 1
"""


@needs_sshd
def test_command_goes_through_with_all_that_belongs_to_it(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    hosted = a_lab(tmp_path, host.inventory, python=str(program))
    program.write_text(STAND_IN.format(run=sealed_with_lab(tmp_path, monkeypatch), given=hosted.given))
    program.chmod(0o755)
    sent = Path(hosted.given) / hosted_lab.SENT
    (sent / "sub").mkdir(parents=True)
    (sent / "sub" / "a.c").write_text("new")
    (sent / ".shipped").write_text("checksum")
    (Path(hosted.given) / "source").mkdir()
    (Path(hosted.given) / "source" / "gone.c").touch()
    place = Path(hosted.state).parent
    said: list[str] = []
    given = Given(source="/src", settings="cpus = 1\n")
    ended = hosted.run(["up", "--name", "mine"], given, Tell(said.append, pytest.fail))
    assert ended == Ended(1, "answer\n", "")
    runs = user_directories.runs_directory()
    assert said == ["building", "/src/a.c:1: error", f"evidence: {runs}/run-1"]
    assert (place / "asked").read_text() == "-m vexlab up --name mine\n"
    assert (place / "settings").read_text() == "cpus = 1\n"
    source = Path(hosted.given) / "source"
    assert sorted(path.name for path in source.rglob("*")) == ["a.c", "sub"]
    assert [entry.run for entry in evidence.entries()] == ["run-1"]
    assert sorted(path.name for path in Path(hosted.given).iterdir()) == ["sent", "source", "vexlab.toml"]


def sealed_with_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed run that says which lab it is of."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        directory = user_directories.runs_directory() / "run-1"
        directory.mkdir(parents=True)
        (directory / "lab").write_text("mine\n")
        return gate_evidence.sealed(gate_evidence.a_run())


SLEEPER = """#!/bin/sh
# In the place of Python there: goes on until it is interrupted, and then ends as vexlab does.
trap 'cp -r {run} "$XDG_STATE_HOME/vexlab/runs/"; kill $!; exit 130' INT
mkdir -p "$XDG_STATE_HOME/vexlab/runs"
echo $$ >"{pid}"
echo "at work" >&2
sleep 300 &
wait
"""


@needs_sshd
def test_ctrl_c_ends_it_there_and_its_run_comes_home(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, pid = tmp_path / "python", tmp_path / "pid"
    hosted = a_lab(tmp_path, host.inventory, python=str(program))
    program.write_text(SLEEPER.format(run=sealed_with_lab(tmp_path, monkeypatch), pid=pid))
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "vexlab", "down", "--name", "mine"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True, cwd="/",
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "interrupted; far is told to end it" in said
    assert not started(int(pid.read_text()))
    assert [entry.run for entry in evidence.entries()] == ["run-1"]
    assert not list(Path(hosted.given).iterdir())


@needs_sshd
def test_host_without_vexlab_says_so(host: Host, tmp_path: Path) -> None:
    hosted = a_lab(tmp_path, host.inventory, python=str(tmp_path / "none"))
    with pytest.raises(HostProblem, match=r"far: .*none can't be started: No such file or directory"):
        hosted.run(["down", "--name", "mine"], None, Tell(pytest.fail, pytest.fail))


@needs_sshd
def test_lab_that_is_destroyed_leaves_nothing_there_and_its_runs_here(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By vexlab itself, which finds no such lab there: what is to be gone is gone."""
    hosted = a_lab(tmp_path, host.inventory)
    Path(hosted.given).mkdir(parents=True)
    run, other = (Path(hosted.state) / "runs" / name for name in ("run-1", "run-2"))
    shutil.copytree(sealed_with_lab(tmp_path, monkeypatch), run)
    other.mkdir()
    (other / "lab").write_text("other\n")
    done = vexlab("destroy", "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert [entry.run for entry in evidence.entries()] == ["run-1"]
    assert (run.exists(), other.exists()) == (False, True)
    assert "there is no lab mine; nothing to destroy" in done.stderr
    assert not hosted.lab.exists()
    assert not Path(hosted.given).exists()


# --- what a command is told there


@pytest.mark.parametrize(
    "words",
    [
        ["test", "--cold", "--cpus", "2", "--stage", "load", "--stage", "mount", "-v", "-v", "--json"],
        ["test", "--check", "mount/a b*", "--seed", "3"],
        ["test", "--until-failure", "--keep", "--debug", "slab"],
        ["verify", "--failed", "-x"],
        ["up", "--warm", "--clean", "--vmcore", "--kernel", "6.1"],
    ],
)
def test_options_are_typed_there_as_they_were_here(words: list[str]) -> None:
    command = cli.commands[words[0]]
    with command.make_context(words[0], [*words[1:], "--name", "mine"]) as context:
        again = [*typed(hosted_commands._passed_on(context)), "--name", "mine"]
        with command.make_context(words[0], again) as other:
            assert other.params == context.params


def test_variables_are_typed_and_defaults_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VEXLAB_CPUS", raising=False)
    monkeypatch.setenv("VEXLAB_MEMORY", "1024")
    monkeypatch.setenv("VEXLAB_HYPERVISOR", "far")
    monkeypatch.setenv("VEXLAB_SOURCE", "/src")
    with cli.commands["up"].make_context("up", []) as context:
        assert typed(hosted_commands._passed_on(context)) == ("--memory", "1024")


def test_settings_hold_there_as_they_do_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are told by options, with their paths there; that a setting is one, and not an option, is kept."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = f'name = "x"\ncpus = 3\nwarm = false\nkernel = "6.12"\ntarget = "{TARGETS / "nodev.yml"}"\n'
    (tmp_path / "here" / "vexlab.toml").write_text(text)
    order = take_order("mine", Options(memory_mb=600), as_json=False, verbose=0, on_hypervisor=True)
    given = hosted_commands._given(order)
    assert (given.source, given.target) == (str(ROOT / "examples" / "nodev"), str(TARGETS / "nodev.yml"))
    hosted = HostedLab(order.lab, Record("far", "/i.yml", "/home/x", "python", "/code", 60))
    assert hosted_commands._words_of_files(hosted, order) == [
        "--source", f"{hosted.given}/source", "--target", f"{hosted.given}/target/vexlab.yml",
    ]  # fmt: skip
    (tmp_path / "there" / "vexlab.toml").write_text(given.settings)
    monkeypatch.chdir(tmp_path / "there")
    assert of_settings_file().options == Options(cpus=3, warm=False, kernel="6.12")
    assert hosted_commands._in_toml('a"b\\ü') == '"a\\"b\\\\ü"'


# --- what a person sees of it without a host


@pytest.fixture
def away(tmp_path: Path) -> HostedLab:
    """A lab on a host on which nobody listens."""
    host = Host(tmp_path, loopback_host.free_port())
    host.write_inventory()
    host.known_hosts.touch()
    return a_lab(tmp_path, host.inventory)


def test_status_of_a_lab_whose_host_is_away_says_why(away: HostedLab) -> None:
    done = vexlab("status", "--json")
    [document] = json.loads(done.stdout)
    assert (document["lab"], document["hypervisor"], document["up"]) == ("mine", "far", None)
    assert "can't be reached: connection refused" in document["problem"]
    assert "can't be reached: connection refused" in vexlab("status").stdout


def test_lab_whose_host_is_away_stays_and_it_is_said_how_to_forget_it(away: HostedLab) -> None:
    done = vexlab("destroy", "--name", "mine")
    assert done.returncode == 3
    assert "can't be reached: connection refused" in done.stderr
    assert f"rm -r {away.lab.directory}" in done.stderr
    assert away.lab.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--hypervisor", "other"), "lab mine is on far, and not on other"),
        (("watch",), "lab mine is on far, and this works with a guest of this machine"),
        (("debug",), "lab mine is on far, and this works with a guest of this machine"),
        (("recover",), "lab mine is on far, and this works with a guest of this machine"),
    ],
)
def test_what_cannot_be_is_refused_before_the_host_is_asked(away: HostedLab, words: tuple[str, ...], said: str) -> None:
    done = vexlab(*words, "--name", "mine")
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_kernel_that_is_a_file_here_is_refused(away: HostedLab, tmp_path: Path) -> None:
    (tmp_path / "linux.deb").touch()
    done = vexlab("up", "--name", "mine", "--kernel", str(tmp_path / "linux.deb"))
    assert (done.returncode, "is files of this machine" in done.stderr) == (2, True), done.stderr


def test_lab_of_this_machine_does_not_go_elsewhere() -> None:
    labs.find("mine").inventory.mkdir(parents=True)
    done = vexlab("up", "--name", "mine", "--hypervisor", "far")
    assert done.returncode == 2
    assert "lab mine is on this machine" in done.stderr


def test_options_are_remembered_here_only_by_a_lab_that_is_there(tmp_path: Path) -> None:
    """A host that isn't one keeps the lab from coming about, and nothing of it is remembered."""
    done = vexlab("up", "--name", "mine", "--hypervisor", "a b", "--cpus", "3")
    assert (done.returncode, "'a b' can't be a hypervisor" in done.stderr) == (2, True), done.stderr
    assert labs.find("mine").remembered() == Options()
    assert hosted_lab.find(labs.find("mine")) is None


def test_command_that_was_killed_there_is_the_hosts_fault(away: HostedLab) -> None:
    with pytest.raises(HostProblem, match="far: nobody asked for it for 60 s"):
        away._code({"why": "nobody asked for it for 60 s", "code": 130})
    with pytest.raises(HostProblem, match="far: vexlab was killed with its keeper"):
        away._code({"why": "", "code": None})
