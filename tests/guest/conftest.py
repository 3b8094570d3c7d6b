"""Fixtures of the guest tests, and the record of what they found.

The tests read the `vexlab_*` variables of the host they look at, and nothing else: no option, no role variable. They
act only inside scratch resources that a fixture makes and removes.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))  # what roles and vexlab have in common with the checks

import answers
import check_names
import kernel_log
import known_failures
import on_device
import renewal
import target_checks
from check_names import short_name
from connection import UnusableError
from corruptible import Corruptible
from guest import READ_ONLY_PHASE, Guest, Lab, contract, host_variables
from inside import images
from reload import taken_down
from renewal import Renewal
from scratch import Master, Scratch

MACHINE_EXIT = 74  # exit code when the record of the checks can't be written; vexlab/run/examination.py knows it
GONE_SECONDS = 5.0  # within which a guest's death is noticed
EXECUTED = pytest.StashKey[int]()
CONNECTION = pytest.StashKey[Guest]()
SCRATCH_STAGES = ("mkfs", "mount", "stress")  # in which scratch filesystems are made
SCRATCH = {"scratch", "blank", "fresh", "part"}  # fixtures that make them
GUEST_LOST = 20  # exit code, beyond pytest's own: nothing can be judged in the guest; no other stage is to begin
UNEXPECTED = "[XPASS(strict)] "  # what pytest begins its words with when an expected failure did not come


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the stage that is judged, and where its evidence goes."""
    parser.addoption("--stage", required=True, help="name of the stage that is judged")
    parser.addoption("--run-directory", required=True, type=Path, help="directory of the run; gets stages/<stage>/")
    parser.addoption("--marker", type=Path, help="file with the word of the run's markers, if it isn't RUN/marker")


def pytest_configure(config: pytest.Config) -> None:
    """Record each check as it ends, so that what was seen survives a run that is cut short."""
    directory: Path = config.getoption("--run-directory") / "stages" / config.getoption("--stage")
    directory.mkdir(parents=True, exist_ok=True)
    config.pluginmanager.register(Recorder(directory / "checks.jsonl", config), "vexlab-recorder")
    config.pluginmanager.register(Renewal(lambda: config.stash.get(CONNECTION, None)), renewal.PLUGIN)
    config.stash[EXECUTED] = 0


class Recorder:
    """Writes one JSON object per finished check: name, verdict, seconds, message, advice, promise."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        """Start an empty record."""
        self.path = path
        self.config = config
        self.promises: dict[str, str] = {}  # the docstring of each check, by its name
        self.reports: dict[str, list[pytest.TestReport]] = {}
        self.failed = False
        self.out_of_date = known_failures.OutOfDate()
        self.over = ""  # the check that found the guest unusable
        self.over_as = ("failed", "")  # the verdict that this gives it, and why
        self.keep(path, "", "w")

    def keep(self, path: Path, text: str, mode: str) -> None:
        """Write what has to be known afterwards; a disk that is full ends the session, and is no verdict."""
        try:
            with path.open(mode) as file:
                file.write(text)
        except OSError as problem:
            pytest.exit(f"{path} can't be written: {problem.strerror}", returncode=MACHINE_EXIT)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say which checks there will be, for whoever shows progress, or tells what was not run."""
        functions = {short_name(item.nodeid): getattr(item, "function", None) for item in session.items}
        self.promises = {name: " ".join((function.__doc__ or "").split()) for name, function in functions.items()}
        self.keep(self.path.with_name("planned"), "".join(f"{name}\n" for name in functions), "w")

    def pytest_runtest_setup(self) -> None:
        """Skip what comes after a guest became unusable; it isn't written down, since it did not run."""
        if self.over:
            pytest.skip(f"nothing can be judged in this guest since {self.over}")

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Note during which check the guest became unusable, and stay with it if the guest may be gone.

        Whoever watches the guest ends this process when it is dead, and names the check that is going on then. That a
        check is known to fail excuses no guest.
        """
        problem = call.excinfo.value if call.excinfo else None
        if not self.over and isinstance(problem, UnusableError):
            self.over, self.over_as = item.nodeid, (problem.verdict, str(problem))
            if problem.verdict == "lost":
                time.sleep(GONE_SECONDS)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which check is going on, for whoever finds the guest dead."""
        if not self.over:
            self.keep(self.path.with_name("running"), f"{short_name(nodeid)}\n", "w")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of a check's three phases."""
        self.reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write the check down: xfailed or failed if one phase was, skipped if one was skipped, else passed.

        What found the guest unusable has the verdict of that.
        """
        reports = self.reports.pop(nodeid, [])
        if self.over not in ("", nodeid):
            return
        expected = next((report for report in reports if report.skipped and hasattr(report, "wasxfail")), None)
        failed = next((report for report in reports if report.failed), None)
        skipped = next((report for report in reports if report.skipped), None)
        verdict, message = "passed", ""
        if self.over:
            verdict, message = self.over_as
        elif expected is not None:  # in whatever phase it came: a splat is noticed after a call that passed
            verdict, message = "xfailed", f"{expected.wasxfail}\n{message_of(expected)}"
        elif failed is not None:
            verdict, message = "failed", message_of(failed)
        elif skipped is not None:
            verdict, message = "skipped", reason_of(skipped)
        elif not any(report.when == "call" for report in reports):
            verdict, message = "failed", "the check did not run"
        advice = [str(text) for name, text in (reports[-1].user_properties if reports else ()) if name == "advice"]
        if CONNECTION in self.config.stash:
            advice += self.config.stash[CONNECTION].new_notes()
        seconds = sum(report.duration for report in reports)
        told = "; ".join(advice)
        self.write(short_name(nodeid), verdict, message, seconds=seconds, advice=told, place=place_of(reports))
        self.path.with_name("running").unlink()

    def write(
        self, name: str, verdict: str, message: str, *, seconds: float = 0.0, advice: str = "", place: str = ""
    ) -> None:
        """Append a check to the record."""
        self.failed |= verdict not in ("passed", "skipped", "xfailed")
        self.out_of_date.ended(name, verdict)
        line = {
            "name": name, "verdict": verdict, "seconds": round(seconds, 3), "message": message, "advice": advice,
            "place": place, "promise": self.promises.get(name, ""),
        }  # fmt: skip
        self.keep(self.path, json.dumps(line) + "\n", "a")


def place_of(reports: list[pytest.TestReport]) -> str:
    """File and line of a check, relative to the collection."""
    path, line, _ = reports[0].location if reports else ("", None, "")
    return f"tests/guest/{path}:{line + 1}" if line is not None else ""


def message_of(report: pytest.TestReport) -> str:
    """What an assertion said, without the source around it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = str(crash.message if crash is not None else report.longrepr).strip()
    said = re.sub(r"^(?:AssertionError|Failed|connection\.\w+): ", "", said)
    if late := re.fullmatch(r"Timeout \(>([\d.]+)s\) from pytest-timeout\.", said):
        said = f"it did not end within {float(late[1]):.0f} s"
    if said.startswith(UNEXPECTED):
        said = f"it passed, and vexlab_known_failures says that it fails: {said.removeprefix(UNEXPECTED)}"
    if broken := re.match(r"((?:Type|Key|Index|Value|Name|Attribute|Lookup)Error): ", said):
        said = f"the check could not go on with what it saw ({said.removeprefix(broken[0])})"
    return answers.with_names(said)


def reason_of(report: pytest.TestReport) -> str:
    """Why a check was skipped."""
    parts = report.longrepr
    return str(parts[2] if isinstance(parts, tuple) else parts).removeprefix("Skipped: ")


def connection(config: pytest.Config) -> Guest:
    """The guest, as something that runs commands with a deadline; one for all who ask."""
    if CONNECTION not in config.stash:
        variables = host_variables(config.option.hosts, config.option.ansible_inventory)
        config.stash[CONNECTION] = Guest(variables)
    return config.stash[CONNECTION]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the connection, if there is one."""
    if CONNECTION in config.stash:
        config.stash[CONNECTION].close()


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the checks that the run has chosen, if it did: after a crash, or to run one again.

    `choice.json` in the stage's directory says `only` which, by names as check_names.py reads them, or which to
    `leave_out`; there, a name that ends in a dot is a whole module. How many `only` leaves out is written down.
    """
    recorder: Any = config.pluginmanager.get_plugin("vexlab-recorder")
    path: Path = recorder.path.with_name("choice.json")
    if not path.exists():
        return
    choice = json.loads(path.read_text())
    names = {item: short_name(item.nodeid) for item in items}
    out = {name for name in names.values() if {name, name.partition(".")[0] + "."} & set(choice["leave_out"])}
    if choice["only"]:
        others = set(names.values()) - only(choice["only"], names.values(), config.getoption("--stage"), recorder)
        recorder.keep(path.with_name("left_out"), f"{len(others)}\n", "w")
        out |= others
    config.hook.pytest_deselected(items=[item for item in items if names[item] in out])
    items[:] = [item for item in items if names[item] not in out]


def only(chosen: Sequence[str], checks: Collection[str], stage: str, recorder: Recorder) -> set[str]:
    """The checks that were chosen by these names; a name that means none is an error, since less would be run."""
    found = {name: check_names.meant(name, checks) for name in chosen}
    if wrong := [f"{stage}/{name}" for name in chosen if not found[name]]:
        said = f"no check of stage {stage} is meant by {', '.join(wrong)}"
        recorder.write("choice", "failed", said)
        raise pytest.UsageError(said)
    return {check for checks in found.values() for check in checks}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expect the known failures of this stage and kernel; a name that no check has is an error, on any kernel."""
    stage = config.getoption("--stage")
    if contract(config).scratch_is_on_device:  # what looks at the lab's own filesystem comes before that gives way
        items.sort(key=lambda item: bool(SCRATCH & set(getattr(item, "fixturenames", ()))))
    known = list(known_failures.of_stage(contract(config).known_failures, stage))
    checks = {short_name(item.nodeid): item for item in items}
    recorder: Any = config.pluginmanager.get_plugin("vexlab-recorder")
    if wrong := known_failures.unknown([name for name, _ in known], checks, stage):
        said = f"vexlab_known_failures: {'; '.join(wrong)}"
        recorder.write("known_failures", "failed", said)
        raise pytest.UsageError(said)
    choose(config, items)
    for name, entry in known:
        kernels = "" if config.option.collectonly else entry.get("kernels", "")  # there is no guest to ask
        if not kernels or known_failures.applies(kernels, connection(config).ok("uname -r")):
            expect(checks, name, entry, recorder.out_of_date)


def expect(
    checks: dict[str, pytest.Item], name: str, entry: dict[str, Any], out_of_date: known_failures.OutOfDate
) -> None:
    """Expect the checks that an entry means to fail: its one check always, of several one, or now and then."""
    meant = known_failures.matching(name, checks)
    always = not entry.get("sometimes")
    for check in meant:
        mark = pytest.mark.xfail(reason=known_failures.reason(entry), strict=always and "*" not in name)
        checks[check].add_marker(mark)
    if always and "*" in name:
        out_of_date.add(name, meant)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Count what really ran."""
    if call.when == "call" and not (call.excinfo and call.excinfo.errisinstance(pytest.skip.Exception)):
        item.config.stash[EXECUTED] += 1


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A stage in which no check ran has not passed, whatever pytest thinks of it; nor does it know what was expected.

    It counts a check whose call passed, and whose expected failure came afterwards, as one that failed. Where
    checks are only listed, none has to run.
    """
    if session.config.option.collectonly:
        return
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        recorder: Any = session.config.pluginmanager.get_plugin("vexlab-recorder")
        for name in recorder.out_of_date.names():
            said = f"vexlab_known_failures: {session.config.getoption('--stage')}/{name}: each of its checks passed"
            recorder.write("known_failures", "failed", f"{said}; take it off the list")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if recorder.failed else pytest.ExitCode.OK
        if recorder.over:
            session.exitstatus = GUEST_LOST
            return
    if session.config.stash[EXECUTED] == 0 and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a check of each thing that the target declares of itself."""
    for fixture in set(target_checks.FIXTURES) & set(metafunc.fixturenames):
        found = target_checks.parameters(fixture, contract(metafunc.config), metafunc.config.getoption("--stage"))
        metafunc.parametrize(fixture, found)


@pytest.fixture(scope="session")
def variables(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The variables of the one host of this session."""
    return host_variables(request.config.option.hosts, request.config.option.ansible_inventory)


@pytest.fixture(scope="session")
def lab(variables: dict[str, Any]) -> Lab:
    """The lab's contract, read from the inventory."""
    return Lab(variables)


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Guest:
    """The guest, as something that runs commands with a deadline."""
    return connection(request.config)


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> str:
    """Name of the stage that is judged."""
    return str(request.config.getoption("--stage"))


@pytest.fixture(scope="session")
def evidence(request: pytest.FixtureRequest, stage: str) -> Path:
    """Where the evidence of this stage goes."""
    return Path(request.config.getoption("--run-directory")) / "stages" / stage


def skip_unclaimed(node: pytest.Item | pytest.Collector, lab: Lab) -> None:
    """Skip what the target doesn't claim to do, and what it doesn't have."""
    for mark in node.iter_markers("needs"):
        for reason in filter(None, map(lab.lacks, mark.args)):
            pytest.skip(reason)
    for mark in node.iter_markers("requires"):
        missing = [capability for capability in mark.args if capability not in lab.capabilities]
        if missing:
            who = f"phase {lab.phase} is read-only, it" if lab.phase == READ_ONLY_PHASE else f"target {lab.target_name}"
            pytest.skip(f"{who} does not claim: {', '.join(missing)}")


@pytest.fixture(scope="session", autouse=True)
def _device_is_given_back(request: pytest.FixtureRequest, lab: Lab, stage: str) -> Iterator[None]:
    """The device under test is again as the role left it, when the checks of a stage are over."""
    if not lab.scratch_is_on_device or stage not in SCRATCH_STAGES:
        yield
        return
    guest = connection(request.config)
    guest.ok("modprobe dm_mod")  # or the caches that it makes would look like the filesystem's
    mounted = on_device.is_mounted(guest, lab)
    yield
    if not (mounted and on_device.is_mounted(guest, lab)):
        on_device.give_back(guest, lab, mounted=mounted)


@pytest.fixture
def advise(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What a check calls to tell of a matter of taste: it is shown, and changes no verdict."""
    return lambda text: request.node.user_properties.append(("advice", text))


@pytest.fixture
def claim(lab: Lab, advise: Callable[[str], None]) -> Callable[[str, bool, str], None]:
    """What a check calls about what only a target that claims it must have: else it is advice that it isn't so."""

    def demand(capability: str, holds: bool, problem: str) -> None:
        assert holds or capability not in lab.capabilities, f"{problem}; the target claims {capability}"
        if not holds:
            advise(problem)

    return demand


@pytest.fixture(autouse=True)
def _capabilities(request: pytest.FixtureRequest, lab: Lab) -> None:
    skip_unclaimed(request.node, lab)


@pytest.fixture(autouse=True)
def _no_new_splat(guest: Guest, stage: str) -> Iterator[None]:
    """Fail the check during which the kernel reported a bug, or ran out of memory, or too much was said to tell."""
    yield
    wrong = kernel_log.judge(guest.new_kernel_messages(), guest.lost_kernel_messages(), stage)
    assert not wrong, wrong


@pytest.fixture(scope="session")
def master(guest: Guest, lab: Lab) -> Iterator[Master]:
    """A copy of what mkfs made, for the modules that need a filesystem after the first; removed with the last."""
    made = Master(f"{lab.work_directory}/scratch.master")
    try:
        yield made
    finally:
        guest.call(images.remove, made.path)


def renewed(request: pytest.FixtureRequest) -> Renewal:
    """What knows whether a filesystem has to have another name than the one before."""
    found: Any = request.config.pluginmanager.get_plugin(renewal.PLUGIN)
    return cast(Renewal, found)


@pytest.fixture(scope="module")
def scratch(request: pytest.FixtureRequest, guest: Guest, lab: Lab, master: Master) -> Iterator[Scratch]:
    """A formatted image of its own on a loop device, with a mount point; removed with everything on it."""
    skip_unclaimed(request.node, lab)  # what a whole module requires, before anything is made
    resource = Scratch(guest, lab, renewed(request).name("scratch"))
    try:
        resource.create_from(master)
        yield resource
    finally:
        resource.remove()


@pytest.fixture(scope="module")
def mounted(request: pytest.FixtureRequest, guest: Guest, scratch: Scratch) -> Scratch:
    """The same, mounted."""
    scratch.mount()
    renewed(request).is_usual(guest.unfit)
    return scratch


@pytest.fixture(scope="module")
def twin(guest: Guest, lab: Lab) -> Iterator[Scratch]:
    """A second device, for a copy of the first."""
    resource = Scratch(guest, lab, "twin", on_image=True, whole=False)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.fixture(scope="session")
def corruptible(request: pytest.FixtureRequest, guest: Guest, lab: Lab) -> Iterator[Corruptible]:
    """A filesystem with content that may be damaged, and that is whole again before each trial; one for the stage."""
    resource = Corruptible(guest, lab, renewed(request).name("corruptible"))
    try:
        resource.create()
        yield resource
    finally:
        resource.remove()


@pytest.fixture
def lab_taken_down(guest: Guest, lab: Lab) -> Iterator[None]:
    """The lab's own filesystem unmounted, for a check that needs the module idle; mounted again afterwards."""
    with taken_down(guest, lab):
        yield


@pytest.fixture(scope="module")
def lab_down(guest: Guest, lab: Lab) -> Iterator[None]:
    """The same, for all checks of a module."""
    on_device.make_free(guest, lab)
    with taken_down(guest, lab):
        yield
