"""What is run after something went wrong: what needs nothing of it, on which guest, and without what did it."""

from __future__ import annotations

import pytest

from vexlab.config import stage_list
from vexlab.config.installation import contract_defaults
from vexlab.results.judging import judge_run, judge_stage
from vexlab.results.model import Check, Reruns, Run, Stage, Verdict
from vexlab.run import executions, replan
from vexlab.run.replan import Choice, ExecutionResult, Plan, next_plan

SPECS = stage_list.stages()
NAMES = tuple(spec.name for spec in SPECS)
BEFORE_MOUNT = ("structure", "build", "load", "mkfs")


def stage(name: str, verdict: Verdict, checks: str = "", *, achieved: bool | None = True) -> Stage:
    """A stage whose checks are given as `module.check=verdict`, separated by blanks."""
    pairs = [word.partition("=") for word in checks.split()]
    found = tuple(Check(check, Verdict(word), 0.5) for check, _, word in pairs)
    reason = "" if verdict is Verdict.PASSED else f"{name} {verdict}"
    return Stage(name, verdict, 1.0, reason, found, achieved=achieved)


def passed(*names: str) -> dict[str, Stage]:
    return {name: stage(name, Verdict.PASSED, "a.b=passed") for name in names}


def seen(*stages: Stage, died: bool = False, before: tuple[str, ...] = BEFORE_MOUNT) -> ExecutionResult:
    return ExecutionResult(passed(*before) | {stage.name: stage for stage in stages}, died)


def test_nothing_is_left_after_a_run_that_passed() -> None:
    assert next_plan(SPECS, NAMES, [ExecutionResult(passed(*NAMES), False)]) is None


def test_failed_stage_leaves_those_that_do_not_need_it() -> None:
    """On the guest that is there: it is alive."""
    plan = next_plan(SPECS, NAMES, [seen(stage("mount", Verdict.FAILED, "a.b=failed"))])
    assert plan == Plan("stages", ("stress", "errors"))


@pytest.mark.parametrize(
    ("failed", "left"),
    [
        ("structure", ()),
        ("build", ()),
        ("load", ("mkfs",)),
        ("mkfs", ()),
        ("mount", ("stress", "errors")),
        ("stress", ("errors",)),
        ("errors", ()),
    ],
)
def test_what_needs_what_is_not_there_is_not_run(failed: str, left: tuple[str, ...]) -> None:
    """Not even where there is a stage in between."""
    before = NAMES[: NAMES.index(failed)]
    plan = next_plan(SPECS, NAMES, [seen(stage(failed, Verdict.FAILED, achieved=False), before=before)])
    assert (plan.judged if plan else ()) == left


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.SKIPPED])
@pytest.mark.parametrize("name", NAMES)
def test_failed_check_holds_nothing_back(name: str, verdict: Verdict) -> None:
    """The module is built, loaded, the image formatted, whatever the checks found."""
    place = NAMES.index(name)
    plan = next_plan(SPECS, NAMES, [seen(stage(name, verdict, "a.b=failed"), before=NAMES[:place])])
    assert (plan.judged if plan else ()) == NAMES[place + 1 :]


def test_guest_that_a_check_took_down_holds_nothing_back() -> None:
    """Its module was loaded, and is on the next guest."""
    load = stage("load", Verdict.PANICKED, "a.x=panicked")
    plan = next_plan(SPECS, NAMES, [seen(load, died=True, before=NAMES[:2])])
    assert plan == Plan("up", NAMES[3:], applied=NAMES[:3], fresh=True)


def test_chosen_checks_stay_chosen() -> None:
    """After a death the rest of them is run, and nothing else; so is what was chosen of a later stage."""
    chosen = {"mount": Choice(only=("rename*",)), "errors": Choice(only=("mkfs",))}
    mount = stage("mount", Verdict.PANICKED, "rename.x=panicked rename.y=not_run")
    plan = next_plan(SPECS, ("mount", "errors"), [seen(mount, died=True)], chosen)
    assert plan is not None
    assert plan.choices == {
        "mount": Choice(only=("rename*",), leave_out=("rename.x",)),
        "errors": Choice(only=("mkfs",)),
    }
    failed = stage("mount", Verdict.FAILED, "rename.x=failed")
    plan = next_plan(SPECS, ("mount", "errors"), [seen(failed)], chosen)
    assert plan == Plan("stages", ("errors",), choices={"errors": Choice(only=("mkfs",))})


def test_only_what_was_selected_is_run() -> None:
    found = [seen(stage("mount", Verdict.FAILED))]
    assert next_plan(SPECS, ("structure", "build", "load", "mkfs", "mount"), found) is None


@pytest.mark.parametrize("verdict", [Verdict.PANICKED, Verdict.HUNG, Verdict.LOST])
def test_dead_guest_is_replaced_and_the_guilty_check_left_out(verdict: Verdict) -> None:
    mount = stage("mount", verdict, f"a.one=passed a.two=failed b.guilty={verdict} b.next=not_run c.last=not_run")
    plan = next_plan(SPECS, NAMES, [seen(mount, died=True)])
    choice = Choice(leave_out=("a.one", "a.two", "b.guilty"))
    assert plan == Plan(
        "up", ("mount", "stress", "errors"), applied=BEFORE_MOUNT, fresh=True, choices={"mount": choice}
    )


def test_module_that_took_two_guests_down_is_left_out() -> None:
    """Its checks share a fixture, and would take one guest each."""
    first = stage("mount", Verdict.PANICKED, "a.one=passed b.x=panicked b.y=not_run b.z=not_run c.last=not_run")
    second = stage("mount", Verdict.PANICKED, "b.y=panicked b.z=not_run c.last=not_run")
    plan = next_plan(SPECS, NAMES, [seen(first, died=True), ExecutionResult({"mount": second}, True)])
    assert plan is not None
    assert plan.choices["mount"] == Choice(leave_out=("a.one", "b.x", "b.y", "b."))
    assert plan.judged == ("mount", "stress", "errors")


@pytest.mark.parametrize(
    "checks",
    ["a.one=passed b.last=panicked", "a.one=passed b.next=not_run", ""],
    ids=["nothing is left", "no check was going on", "the role did it"],
)
def test_stage_that_can_not_go_on_is_left(checks: str) -> None:
    plan = next_plan(SPECS, NAMES, [seen(stage("mount", Verdict.PANICKED, checks), died=True)])
    assert plan == Plan("up", ("stress", "errors"), applied=BEFORE_MOUNT, fresh=True)


def test_role_that_kills_the_guest_the_second_time_ends_the_stage() -> None:
    first = stage("mount", Verdict.PANICKED, "b.x=panicked c.last=not_run")
    found = [seen(first, died=True), ExecutionResult({"mount": stage("mount", Verdict.HUNG)}, True)]
    plan = next_plan(SPECS, NAMES, found)
    assert plan is not None
    assert plan.judged == ("stress", "errors")


def test_module_whose_checks_ran_in_between_is_gone_on_with() -> None:
    """Two of its checks took a guest down, each for itself."""
    first = stage("mount", Verdict.PANICKED, "b.one=panicked b.two=not_run b.three=not_run b.four=not_run")
    second = stage("mount", Verdict.PANICKED, "b.two=passed b.three=panicked b.four=not_run")
    plan = next_plan(SPECS, ("mount",), [ExecutionResult({"mount": each}, True) for each in (first, second)])
    assert plan is not None
    assert plan.choices["mount"].leave_out == ("b.one", "b.two", "b.three")


def test_stage_goes_on_however_many_guests_it_takes() -> None:
    """Each in another module: the time has an end, of which the plan knows nothing."""
    names = [f"{letter}.x" for letter in "abcdefgh"]
    parts = []
    for number, name in enumerate(names):
        rest = " ".join(f"{other}=not_run" for other in names[number + 1 :])
        parts.append(ExecutionResult({"mount": stage("mount", Verdict.PANICKED, f"{name}=panicked {rest}")}, True))
        plan = next_plan(SPECS, ("mount",), parts)
        assert (plan is None) == (name == names[-1])
        assert plan is None or plan.choices["mount"].leave_out == tuple(names[: number + 1])


def test_guest_that_died_between_stages_is_replaced_too() -> None:
    plan = next_plan(SPECS, NAMES, [seen(died=True)])
    assert plan == Plan("up", ("mount", "stress", "errors"), applied=BEFORE_MOUNT, fresh=True)


def test_stage_that_fails_when_it_is_brought_about_again_is_judged_by_that() -> None:
    """What worked once does not always."""
    found = [
        seen(stage("mount", Verdict.PANICKED, "b.x=panicked c.y=not_run"), died=True),
        ExecutionResult({"load": stage("load", Verdict.FAILED, achieved=False)}, False),
    ]
    assert replan.merged(found)["load"].verdict is Verdict.FAILED
    assert next_plan(SPECS, NAMES, found) is None


def test_merged_stage_has_the_worst_verdict_and_each_check_once() -> None:
    first = stage("mount", Verdict.PANICKED, "a.one=passed b.x=panicked b.y=not_run c.z=not_run")
    second = stage("mount", Verdict.FAILED, "b.y=failed c.z=passed")
    merged = replan.merged([seen(first, died=True), ExecutionResult({"mount": second}, False)])["mount"]
    assert (merged.verdict, merged.reason, merged.seconds) == (Verdict.PANICKED, "mount panicked", 2.0)
    assert [(check.name, str(check.verdict)) for check in merged.checks] == [
        ("a.one", "passed"), ("b.x", "panicked"), ("b.y", "failed"), ("c.z", "passed"),
    ]  # fmt: skip


def shared(*parts: Stage) -> Stage:
    """Stage errors as several guests judged it beside each other."""
    return replan.merged([ExecutionResult({"errors": part}, False) for part in parts])["errors"]


def judged(checks: str, **words: str) -> Stage:
    """A share of stage errors; `words` are what a module's checks said."""
    pairs = [word.partition("=") for word in checks.split()]
    found = [Check(name, Verdict(word), 0.5, words.get(name.partition(".")[0], "")) for name, _, word in pairs]
    return judge_stage(
        "errors", began=True, role_ok=None, role_reason="", tests_ok=True, checks=found, interruption=None,
        interruption_reason="", seconds=1.0,
    )  # fmt: skip


def test_what_guests_judged_beside_each_other_is_as_if_one_had() -> None:
    """The order is that of the checks, and checks that failed alike are counted together, whoever had them."""
    words = dict.fromkeys(("module", "damage"), "expected EINVAL, came EIO") | {"mounts": "the list ends early"}
    one = "contents.x=passed damage.damage=failed module.loaded_twice=failed mounts.x=failed daemon.it_runs=passed"
    parts = (
        "mounts.x=failed daemon.it_runs=passed", "contents.x=passed module.loaded_twice=failed",
        "damage.damage=failed daemon.it_runs=passed",
    )  # fmt: skip
    alone = judged(one, **words)
    for order in (parts, parts[::-1]):
        found = shared(*(judged(part, **words) for part in order))
        assert (found.verdict, found.reason) == (alone.verdict, alone.reason)
        assert {check.name for check in found.checks} == {check.name for check in alone.checks}
        known = [check.name for check in found.checks if not check.name.endswith(".x")]
        assert known == ["damage.damage", "module.loaded_twice", "daemon.it_runs"]
    assert judged("damage.damage=failed", **words).reason != alone.reason


def test_what_closes_a_stage_failed_if_it_did_so_in_any_guest() -> None:
    found = shared(judged("damage.damage=passed kernel.log_has_no_bug=passed"), judged("kernel.log_has_no_bug=failed"))
    assert [str(check.verdict) for check in found.checks] == ["passed", "failed"]
    assert found.verdict is Verdict.FAILED


def test_deaths_of_several_guests_are_one_cause_and_the_first_of_the_list_is_the_reason() -> None:
    def dead(check: str, reason: str) -> Stage:
        died = Check(check, Verdict.PANICKED, 0.5, reason)
        return Stage("errors", Verdict.PANICKED, 1.0, reason, (died,))

    late, early = dead("mounts.what_is_no_directory", "BUG: late"), dead("damage.damage[noise]", "BUG: early")
    for parts in ((late, early), (early, late)):
        assert shared(judged("contents.something_else=passed"), *parts).reason == "BUG: early"


def test_stage_that_nobody_judged_all_of_has_not_passed() -> None:
    assert replan.without_all(judged("damage.damage=passed")).verdict is Verdict.NOT_RUN
    wrong = judged("damage.damage=failed")
    assert replan.without_all(wrong) is wrong


def test_what_another_guest_did_not_judge_is_judged_here() -> None:
    """All but what was judged; what closes the stage is, each time. Not where what it brings about isn't there."""
    checks = "acls.x=passed data.y=failed kernel.log_has_no_bug=passed"
    found = [seen(stage("mount", Verdict.FAILED, checks), before=BEFORE_MOUNT)]
    plan = next_plan(SPECS, ("mount", "errors"), found, None, {"mount", "stress"})
    assert plan == Plan("stages", ("mount", "errors"), choices={"mount": Choice(leave_out=("acls.x", "data.y"))})
    found = [seen(stage("mount", Verdict.FAILED, achieved=False), before=BEFORE_MOUNT)]
    assert next_plan(SPECS, ("mount",), found, None, {"mount"}) is None


def test_share_stays_a_share_after_a_death() -> None:
    """On the next guest, what others judge is left out as well."""
    share = {"mount": Choice(leave_out=("times.",))}
    died = [seen(stage("mount", Verdict.PANICKED, "acls.x=panicked data.y=not_run"), died=True)]
    plan = next_plan(SPECS, ("mount",), died, share)
    assert plan is not None
    assert plan.choices["mount"].leave_out == ("times.", "acls.x")


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [("passed failed", "failed"), ("failed hung", "hung"), ("hung panicked", "hung"), ("lost passed", "lost")],
)
def test_verdict_and_reason_are_of_one_execution(verdicts: str, worst: str) -> None:
    parts = [ExecutionResult({"load": stage("load", Verdict(word))}, False) for word in verdicts.split()]
    merged = replan.merged(parts)["load"]
    assert (merged.verdict, merged.reason) == (worst, f"load {worst}")


@pytest.mark.parametrize(
    ("of_target", "lacks"),
    [({"vexlab_device_kind": "none"}, {"mkfs"}), ({"vexlab_module_source": "kernel"}, {"structure", "build"})],
)
def test_what_goes_on_expects_no_stage_that_the_target_lacks(of_target: dict[str, str], lacks: set[str]) -> None:
    """The playbook doesn't begin one: a filesystem in memory that crashed had its run end without a verdict."""
    mount = stage("mount", Verdict.PANICKED, "a.b=panicked a.c=not_run")
    plan = next_plan(SPECS, NAMES, [seen(mount, died=True)])
    assert plan is not None
    assert lacks <= {*plan.applied, *plan.judged}
    planned = replan.planned_stages(plan, contract_defaults() | of_target)
    assert [each.name for each in planned] == [name for name in NAMES if name not in lacks]


def test_not_reached_stage_says_why() -> None:
    known = passed("structure") | {"build": stage("build", Verdict.FAILED, achieved=False)}
    said = "stage build failed, and it needs its result"
    assert replan.why_not_run(SPECS, "mount", known, "x") == said
    assert replan.why_not_run(SPECS, "mount", passed("build"), "no guest") == "no guest"


# ---------------------------------------------------------------- running a check again


def a_run(*stages: Stage) -> Run:
    return Run("r", Verdict.FAILED, "toy", "then", None, "0", None, None, stages, {}, NAMES)


def test_first_check_that_went_wrong_is_the_guilty_one() -> None:
    early = stage("mkfs", Verdict.FAILED, "a.x=passed a.k=xfailed a.y=failed a.z=failed")
    found = replan.first_failed_check(
        a_run(*passed("load").values(), early, stage("mount", Verdict.PANICKED, "b.x=panicked"))
    )
    assert found is not None
    assert (found[0].name, found[1].name) == ("mkfs", "a.y")
    assert (
        replan.first_failed_check(a_run(stage("build", Verdict.FAILED), stage("mount", Verdict.HUNG, "b.x=not_run")))
        is None
    )


def test_check_that_tells_most_of_its_stage_is_the_guilty_one() -> None:
    """It is the one that the stage's reason is about."""
    errno = Check("a.x", Verdict.FAILED, 0.0, "write: EIO")
    oops = Check("a.y", Verdict.FAILED, 0.0, "the kernel reported a bug: BUG")
    found = replan.first_failed_check(a_run(Stage("mount", Verdict.FAILED, checks=(errno, oops))))
    assert found is not None
    assert found[1] is oops


def test_check_is_run_again_alone() -> None:
    choices = {"mount": Choice(only=("b.x",))}
    same = Plan("stages", ("mount",), apply=False, choices=choices)
    assert replan.rerun_plan(SPECS, "mount", "b.x", fresh=False) == same
    other = Plan("up", ("mount",), applied=BEFORE_MOUNT, fresh=True, choices=choices)
    assert replan.rerun_plan(SPECS, "mount", "b.x", fresh=True) == other


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (3, "deterministic (3 of 3, a rate of 44 to 100 % with 95 % confidence)"),
        (1, "flaky (1 of 3, a rate of 6 to 79 % with 95 % confidence)"),
        (0, "flaky (0 of 3, a rate of 0 to 56 % with 95 % confidence)"),
    ],
)
def test_reruns_are_in_the_reason_of_their_stage(failed: int, words: str) -> None:
    reruns = Reruns("mount/b.x", 3, failed)
    assert replan.with_reruns(stage("mount", Verdict.HUNG), reruns).reason == f"mount hung; {words}"
    assert replan.with_reruns(stage("load", Verdict.FAILED), reruns).reason == "load failed"
    assert replan.with_reruns(stage("mount", Verdict.HUNG), None).reason == "mount hung"


@pytest.mark.parametrize(("times", "rate"), [(1, 79), (10, 28), (100, 4)])
def test_what_never_failed_may_still_be_rare(times: int, rate: int) -> None:
    assert replan.never_failed(times, 600) == (
        f"all has passed {times} times within 600 s; what still fails does so in less than {rate} % of runs, "
        "with 95 % confidence"
    )


def test_last_stage_that_was_judged_pays_for_what_could_not_be_taken_down() -> None:
    stages = [*passed(*BEFORE_MOUNT).values(), Stage("mount"), Stage("stress"), Stage("errors")]
    found = replan.fail_last(stages, BEFORE_MOUNT, "something is left")
    assert [one.verdict for one in found] == [*[Verdict.PASSED] * 3, Verdict.FAILED, *[Verdict.NOT_RUN] * 3]
    assert found[3].reason == "something is left"
    assert judge_run(found, BEFORE_MOUNT) is Verdict.FAILED


@pytest.mark.parametrize("verdict", [Verdict.PANICKED, Verdict.NOT_RUN])
def test_what_went_wrong_before_stays_the_reason(verdict: Verdict) -> None:
    stages = [*passed(*BEFORE_MOUNT).values(), stage("mount", verdict)]
    assert replan.fail_last(stages, (*BEFORE_MOUNT, "mount"), "something is left") == stages


@pytest.mark.parametrize(
    ("lost", "since", "words"),
    [(0, 0, ""), (299, 2000, ""), (301, 400, "took 5 minutes beside what was judged"), (10, 3601, "the 60 minutes")],
)
def test_other_guests_are_started_as_long_as_something_is_judged(lost: float, since: float, words: str) -> None:
    said = executions.no_other_guest(lost, since)
    assert bool(said) is bool(words)
    assert words in said


def test_time_that_was_judged_is_that_of_checks_with_a_verdict() -> None:
    """Neither that of the check during which the guest died, nor what it took to bring all about."""
    verdicts = (("a.b", Verdict.PASSED, 4.0), ("a.c", Verdict.FAILED, 3.0), ("a.d", Verdict.PANICKED, 20.0))
    done = Stage("mount", Verdict.PANICKED, 90.0, checks=tuple(Check(*each) for each in verdicts))
    assert executions.judged_seconds(seen(done, died=True, before=())) == 7.0
