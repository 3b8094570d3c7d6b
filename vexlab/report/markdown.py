"""Renders a run for people, as Markdown. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping

from vexlab.gate.decision import Decision, Refused
from vexlab.report import facts, templating
from vexlab.results import results_file
from vexlab.results.model import Run


def render_json(run: Run, *, unchanged_since: str | None = None) -> str:
    """Return the document that `results.json` holds.

    `unchanged_since`: when its verdicts were given, if nothing was run because nothing has changed since then.
    """
    if unchanged_since is None:
        return results_file.encode(run)
    return results_file.as_text(results_file.to_document(run) | {"unchanged_since": unchanged_since})


def render_markdown(
    run: Run, command_options: str = "", decision: Decision | Refused | None = None,
    traces: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Return the progress report of a run, written for somebody who has to decide on it.

    `command_options` is put after suggested commands, such as ` --name LAB` for a lab that isn't the default one;
    `decision` is what the gate says of the run's module, `traces` the trace of each stage in which a kernel died.
    """
    return templating.render("report.md.j2", **facts.of(run, command_options, decision, traces))
