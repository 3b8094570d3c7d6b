"""Fixtures of the tests that judge a stage, and pytest's hooks.

The tests read the `vexlab_*` variables of the host they look at, and nothing else: no option, no role variable. They
act only inside scratch resources that a fixture makes and removes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The collection has what the tests stand on, and what they have in common with the roles; who installed the collection
# alone has neither anywhere else.
sys.path.insert(0, str(Path(__file__).parents[2]))

from vexlab.config import debug_kinds, kernel_range
from vexlab.config.check_names import short_name
from vexlab.guest.inside import images
from vexlab.guest.testing import (
    choice,
    failed_images,
    hold,
    kernel_log,
    known_failures,
    on_device,
    renewal,
    target_checks,
)
from vexlab.guest.testing.corruptible import Corruptible
from vexlab.guest.testing.failed_images import FailedImages
from vexlab.guest.testing.guest import Guest, guest_of, started_guest
from vexlab.guest.testing.hold import Hold
from vexlab.guest.testing.inventory import host_variables
from vexlab.guest.testing.recorder import PLUGIN, Recorder, recorder_of
from vexlab.guest.testing.reload import taken_down
from vexlab.guest.testing.renewal import Renewal
from vexlab.guest.testing.scratch import Master, Scratch
from vexlab.guest.testing.target import READ_ONLY_PHASE, Target, target_of

SCRATCH_STAGES = ("mkfs", "mount", "stress")  # in which scratch filesystems are made
SCRATCH = {"scratch", "blank", "fresh", "part"}  # fixtures that make them


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the stage that is judged, and where its evidence goes."""
    parser.addoption("--stage", required=True, help="name of the stage that is judged")
    parser.addoption("--run-directory", required=True, type=Path, help="directory of the run; gets stages/<stage>/")
    parser.addoption("--marker", type=Path, help="file with the word of the run's markers, if it isn't RUN/marker")


def pytest_configure(config: pytest.Config) -> None:
    """Record each check as it ends, so that what was seen survives a run that is cut short.

    A Python that leaves assertions out would let every check pass; such a session is refused.
    """
    directory: Path = config.getoption("--run-directory") / "stages" / config.getoption("--stage")
    directory.mkdir(parents=True, exist_ok=True)
    config.pluginmanager.register(Recorder(directory / "checks.jsonl", config), PLUGIN)
    if sys.flags.optimize:
        said = "this Python leaves assertions out: unset PYTHONOPTIMIZE, and don't call it with -O"
        recorder_of(config).write("python", "failed", said)
        raise pytest.UsageError(said)
    config.pluginmanager.register(FailedImages(config, directory), failed_images.PLUGIN)
    config.pluginmanager.register(Hold(directory), hold.PLUGIN)
    config.pluginmanager.register(Renewal(lambda: started_guest(config)), renewal.PLUGIN)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the connection, if there is one."""
    if (guest := started_guest(config)) is not None:
        guest.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expect the known failures of this stage and kernel; a name that no check has is an error, on any kernel."""
    stage = config.getoption("--stage")
    if target_of(config).scratch_is_on_device:  # what looks at the lab's own filesystem comes before that gives way
        items.sort(key=lambda item: bool(SCRATCH & set(getattr(item, "fixturenames", ()))))
    known = list(known_failures.of_stage(target_of(config).known_failures, stage))
    checks = {short_name(item.nodeid): item for item in items}
    recorder = recorder_of(config)
    if wrong := known_failures.unknown([name for name, _ in known], checks, stage):
        said = f"vexlab_known_failures: {'; '.join(wrong)}"
        recorder.write("known_failures", "failed", said)
        raise pytest.UsageError(said)
    choice.choose(config, items)
    for item in items:
        give_time(config, item)
    for name, entry in known:
        kernels = "" if config.option.collectonly else entry.get("kernels", "")  # there is no guest to ask
        if not kernels or kernel_range.applies(kernels, guest_of(config).ok("uname -r")):
            known_failures.expect(checks, name, entry, recorder.out_of_date)


def give_time(config: pytest.Config, item: pytest.Item) -> None:
    """Let a check take longer in a guest whose kernel looks harder."""
    slower = debug_kinds.slower(host_variables(config.option.hosts, config.option.ansible_inventory))
    if slower > 1:
        mark = item.get_closest_marker("timeout")
        seconds = mark.args[0] if mark else config.getoption("timeout")
        item.add_marker(pytest.mark.timeout(seconds * slower), append=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a check of each thing that the target declares of itself."""
    for fixture in set(target_checks.FIXTURES) & set(metafunc.fixturenames):
        found = target_checks.parameters(fixture, target_of(metafunc.config), metafunc.config.getoption("--stage"))
        metafunc.parametrize(fixture, found)


@pytest.fixture(scope="session")
def variables(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The variables of the one host of this session."""
    return host_variables(request.config.option.hosts, request.config.option.ansible_inventory)


@pytest.fixture(scope="session")
def target(variables: dict[str, Any]) -> Target:
    """The lab's contract, read from the inventory."""
    return Target(variables)


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Guest:
    """The guest, as something that runs commands with a deadline."""
    return guest_of(request.config)


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> str:
    """Name of the stage that is judged."""
    return str(request.config.getoption("--stage"))


@pytest.fixture(scope="session")
def evidence(request: pytest.FixtureRequest, stage: str) -> Path:
    """Where the evidence of this stage goes."""
    return Path(request.config.getoption("--run-directory")) / "stages" / stage


def skip_unclaimed(node: pytest.Item | pytest.Collector, target: Target) -> None:
    """Skip what the target doesn't claim to do, and what it doesn't have."""
    for mark in node.iter_markers("needs"):
        for reason in filter(None, map(target.lacks, mark.args)):
            pytest.skip(reason)
    for mark in node.iter_markers("requires"):
        missing = [capability for capability in mark.args if capability not in target.capabilities]
        if missing:
            who = (
                f"phase {target.phase} is read-only, it"
                if target.phase == READ_ONLY_PHASE
                else f"target {target.target_name}"
            )
            pytest.skip(f"{who} does not claim: {', '.join(missing)}")


@pytest.fixture(scope="session", autouse=True)
def _device_is_given_back(request: pytest.FixtureRequest, target: Target, stage: str) -> Iterator[None]:
    """The device under test is again as the role left it, when the checks of a stage are over."""
    if not target.scratch_is_on_device or stage not in SCRATCH_STAGES:
        yield
        return
    guest = guest_of(request.config)
    guest.ok("modprobe dm_mod")  # or the caches that it makes would look like the filesystem's
    mounted = on_device.is_mounted(guest, target)
    yield
    if not (mounted and on_device.is_mounted(guest, target)):
        on_device.give_back(guest, target, mounted=mounted)


@pytest.fixture
def advise(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """What a check calls to tell of a matter of taste: it is shown, and changes no verdict."""
    return lambda text: request.node.user_properties.append(("advice", text))


@pytest.fixture
def claim(target: Target, advise: Callable[[str], None]) -> Callable[[str, bool, str], None]:
    """What a check calls about what only a target that claims it must have: else it is advice that it isn't so."""

    def demand(capability: str, holds: bool, problem: str) -> None:
        assert holds or capability not in target.capabilities, f"{problem}; the target claims {capability}"
        if not holds:
            advise(problem)

    return demand


@pytest.fixture(autouse=True)
def _capabilities(request: pytest.FixtureRequest, target: Target) -> None:
    skip_unclaimed(request.node, target)


@pytest.fixture(autouse=True)
def _no_new_splat(guest: Guest, stage: str) -> Iterator[None]:
    """Fail the check during which the kernel reported a bug, or ran out of memory, or too much was said to tell."""
    yield
    wrong = kernel_log.judge(guest.new_kernel_messages(), guest.lost_kernel_messages(), stage)
    assert not wrong, wrong


@pytest.fixture(scope="session")
def master(guest: Guest, target: Target) -> Iterator[Master]:
    """A copy of what mkfs made, for the modules that need a filesystem after the first; removed with the last."""
    made = Master(f"{target.work_directory}/scratch.master")
    try:
        yield made
    finally:
        guest.call(images.remove, made.path)


@pytest.fixture(scope="module")
def scratch(request: pytest.FixtureRequest, guest: Guest, target: Target, master: Master) -> Iterator[Scratch]:
    """A formatted image of its own on a loop device, with a mount point; removed with everything on it."""
    skip_unclaimed(request.node, target)  # what a whole module requires, before anything is made
    resource = Scratch(guest, target, renewal.of_session(request.config).name("scratch"))
    try:
        resource.create_from(master)
        yield resource
    finally:
        resource.remove()


@pytest.fixture(scope="module")
def mounted(request: pytest.FixtureRequest, guest: Guest, scratch: Scratch) -> Scratch:
    """The same, mounted."""
    scratch.mount()
    renewal.of_session(request.config).is_usual(guest.unfit)
    return scratch


@pytest.fixture(scope="module")
def twin(guest: Guest, target: Target) -> Iterator[Scratch]:
    """A second device, for a copy of the first."""
    resource = Scratch(guest, target, "twin", on_image=True, whole=False)
    try:
        resource.create_blank()
        yield resource
    finally:
        resource.remove()


@pytest.fixture(scope="session")
def corruptible(request: pytest.FixtureRequest, guest: Guest, target: Target) -> Iterator[Corruptible]:
    """A filesystem with content that may be damaged, and that is whole again before each trial; one for the stage."""
    resource = Corruptible(guest, target, renewal.of_session(request.config).name("corruptible"))
    try:
        resource.create()
        yield resource
    finally:
        resource.remove()


@pytest.fixture
def lab_taken_down(guest: Guest, target: Target) -> Iterator[None]:
    """The lab's own filesystem unmounted, for a check that needs the module idle; mounted again afterwards."""
    with taken_down(guest, target):
        yield


@pytest.fixture(scope="module")
def lab_down(guest: Guest, target: Target) -> Iterator[None]:
    """The same, for all checks of a module."""
    on_device.make_free(guest, target)
    with taken_down(guest, target):
        yield
