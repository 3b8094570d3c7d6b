"""How hard the guest's kernel looks for mistakes: what is asked of it, and what becomes of deadlines."""

from __future__ import annotations

import jinja2
import pytest
from msgspec.structs import replace

from tests.unit.gate_evidence import CONTRACT, KERNEL, a_run
from vexlab.config import debug_kinds, installation, settings
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem
from vexlab.history import past_runs
from vexlab.results import model
from vexlab.run.replan import Plan, planned_stages

KINDS = installation.contract_defaults()["vexlab_debug_kinds"]
OWN = "toyfs.debug=1"


@pytest.mark.parametrize("own", ["", OWN])
@pytest.mark.parametrize("kind", KINDS)
def test_playbooks_and_results_know_the_same_arguments(kind: str, own: str) -> None:
    """The contract that is sealed says what the guest was booted with."""
    contract = installation.contract_defaults() | {"vexlab_debug": kind, "vexlab_kernel_arguments": own}
    wiring = installation.read_yaml(installation.root() / "playbooks" / "vars" / "wiring.yml")
    rendered = jinja2.Environment(autoescape=True).from_string(wiring["vexlab_guest_kernel_arguments"]).render(contract)
    assert debug_kinds.kernel_arguments(contract) == rendered
    assert rendered.split() == [*KINDS[kind]["arguments"].split(), *own.split()]


def test_kernel_is_as_it_is_unless_asked() -> None:
    contract = settings.make("x", Options()).contract
    assert debug_kinds.kernel_arguments(contract) == ""
    assert debug_kinds.slower(contract) == 1


def test_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageProblem, match="unknown kind of debug kernel 'kasam'"):
        settings.make("x", Options(debug="kasam"))


def test_stages_may_take_longer() -> None:
    plan = Plan("up", ("mount", "stress"))
    contract = installation.contract_defaults()
    usual, longer = (planned_stages(plan, contract | {"vexlab_debug": kind}) for kind in ("none", "slab"))
    assert [stage.deadline for stage in longer] == [2 * stage.deadline for stage in usual]


ON_SLAB = a_run(contract=replace(CONTRACT, debug="slab", kernel_arguments="slub_debug=P"))


def test_runs_of_two_kinds_are_not_alike() -> None:
    """A check that fails on one of them and passes on the other is not flaky, and takes another time."""
    one, other = (past_runs.facts(run, "default", "") for run in (a_run(), ON_SLAB))
    assert (one["of_debug"], other["of_debug"]) == ("none", "slab")
    assert one["of_conditions"] != other["of_conditions"]


def test_kernel_is_named_with_its_kind() -> None:
    assert model.kernel_in_words(a_run()) == KERNEL
    assert model.kernel_in_words(ON_SLAB) == f"{KERNEL} with --debug slab (slub_debug=P)"


def test_contract_that_names_no_kind_has_the_kernel_as_machines_have_it() -> None:
    """An inventory by hand, or one that a former vexlab wrote."""
    assert debug_kinds.slower({}) == 1
    assert debug_kinds.kernel_arguments({"vexlab_kernel_arguments": "quiet"}) == "quiet"
