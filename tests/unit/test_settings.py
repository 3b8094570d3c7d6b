"""What the command line, the target file and the defaults come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from vexlab.config import installation, settings, stage_list
from vexlab.config.settings import Options
from vexlab.errors import UsageProblem


def test_defaults_are_the_bundled_filesystem() -> None:
    made = settings.make("default", Options())
    assert made.target_name == "vexfs"
    assert made.source == str(installation.root() / "examples" / "vexfs")
    assert made.contract["vexlab_memory_mb"] == 2048


def test_options_reach_the_contract(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = settings.make("x", Options(source=str(tmp_path), memory_mb=1024, cpus=1, accelerator="tcg"))
    assert made.source == str(tmp_path)
    names = ("vexlab_memory_mb", "vexlab_cpus", "vexlab_accelerator", "vexlab_lab")
    assert [made.contract[name] for name in names] == [1024, 1, "tcg", "x"]


def test_first_of_the_targets_variants_is_built_where_none_is_named(tmp_path: Path) -> None:
    """The lab's default is a name of one target's; another one's build may never have heard of it."""
    nodev = (installation.root() / "examples" / "targets" / "nodev.yml").read_text()
    file = tmp_path / "toy.yml"
    source = installation.root() / "examples" / "nodev"
    more = (
        "vexlab_variants: [debug, fast]\nvexlab_variant_proofs: {debug: {has_strings: [d]}, fast: {has_strings: [f]}}\n"
    )
    file.write_text(nodev.replace("../nodev", str(source)) + more)
    assert settings.make("x", Options(target=str(file))).contract["vexlab_variant"] == "debug"
    assert settings.make("x", Options(target=str(file), variant="fast")).contract["vexlab_variant"] == "fast"
    with pytest.raises(UsageProblem, match="unknown variant 'c-only'"):
        settings.make("x", Options(target=str(file), variant="c-only"))


def test_source_replaces_one_that_is_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = str(installation.root() / "examples" / "targets" / "apfs.yml")
    assert settings.make("x", Options(target=target)).source == ""
    made = settings.make("x", Options(target=target, source=str(tmp_path)))
    assert (made.source, made.contract["vexlab_source_in_guest"]) == (str(tmp_path), "")


def test_what_was_not_given_is_remembered() -> None:
    remembered = Options(source="/a", target="/t.yml", cpus=1)
    assert Options(memory_mb=1024).over(remembered) == Options(source="/a", target="/t.yml", cpus=1, memory_mb=1024)


def test_another_target_forgets_the_source() -> None:
    remembered = Options(source="/a", target="/t.yml", variant="full", cpus=1)
    assert Options(target="/u.yml").over(remembered) == Options(target="/u.yml", cpus=1)


@pytest.mark.parametrize("name", ["", "UP", "a/b", "..", "-a", "a" * 33, "ä"])
def test_bad_names_of_labs(name: str) -> None:
    with pytest.raises(UsageProblem):
        settings.check_lab_name(name)


def test_quick_does_a_quarter_but_for_what_was_asked_for_by_number() -> None:
    names = ("vexlab_load_cycles", "vexlab_mount_cycles", "vexlab_churn_operations", "vexlab_seed")
    assert [settings.make("x", Options()).contract[name] for name in names] == [20, 100, 2000, 0]
    assert [settings.make("x", Options(quick=True)).contract[name] for name in names] == [5, 25, 500, 0]
    asked = settings.make("x", Options(quick=True, cycles=30, seed=7))
    assert [asked.contract[name] for name in names] == [30, 30, 500, 7]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Options(cycles=0), "vexlab_load_cycles is 0"),
        (Options(cycles=-1), "vexlab_load_cycles is -1"),
        (Options(cycles=0, quick=True), "vexlab_load_cycles is 0"),
        (Options(seed=-5), "vexlab_seed is -5"),
        (Options(boot_deadline=0), "vexlab_boot_deadline is 0"),
    ],
)
def test_amounts_that_make_no_sense(wrong: Options, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        settings.make("x", wrong)


def test_how_much_one_test_does_is_not_remembered() -> None:
    assert Options(cpus=1, cycles=3, seed=2, quick=True).to_remember() == Options(cpus=1)


def test_up_stops_before_the_stages_that_wear_the_filesystem_out() -> None:
    assert [spec.name for spec in stage_list.stages() if not spec.up] == ["stress", "errors"]
