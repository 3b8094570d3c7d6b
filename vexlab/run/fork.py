"""Judges a share of a run's checks in a guest of its own: the program that forks.py starts.

Run as: python -m vexlab.run.fork DIRECTORY, that of its execution in that of the run. It finds its order there, and
leaves its answer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from vexlab.config.atomic_file import replace_file
from vexlab.config.settings import Settings
from vexlab.errors import Interrupted, VexlabError
from vexlab.guest.lab import Lab
from vexlab.report.screen import Screen
from vexlab.report.terminal import Progress
from vexlab.run import interrupt, plain_playbooks, replan
from vexlab.run.executions import Executions
from vexlab.run.forks import Answer, Order
from vexlab.run.replan import Plan

INTERRUPTED = 130  # exit code


def judge(order: Order, directory: Path, progress: Progress) -> Answer:
    """Judge the share, whatever happens to its guest; returns what was seen. The guest is gone afterwards."""
    lab = Lab(order.lab, Path(order.contract["vexlab_lab_directory"]))
    settings = Settings(order.lab, lab.directory, order.contract)
    root = Path(order.root)
    choices = order.share
    executions = Executions(
        lab, settings, progress, root, name=directory.name, checkpoint=order.checkpoint, choices=choices
    )
    plan = Plan(
        "up", tuple(choices), apply=False, fresh=True, choices=choices, checkpoint=order.checkpoint, goes_on=True
    )
    problem: VexlabError | None = None
    with lab.held():
        try:
            plain_playbooks.prepare(lab, settings)
            problem = executions.first(plan, lambda: None)
            if problem is None and order.goes_on:
                problem = executions.go_on(plan.judged)
        except VexlabError as raised:
            problem = raised
        except KeyboardInterrupt:
            problem = Interrupted("interrupted", "")
        finally:
            with contextlib.suppress(VexlabError):  # what is left is ended by the next command of the lab
                plain_playbooks.end_guest(lab, "absent", directory / "ansible.log")
    failed = executions.machine_problem
    told = failed or problem
    return Answer(
        dict(replan.merged(executions.seen())), told.message if told else "", told.hint if told else "",
        is_of_machine=failed is not None,
    )  # fmt: skip


def end_with_the_run() -> None:
    """Interrupt this process when the run is gone, or wants it to end: nobody holds the other end of the pipe."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


def main() -> int:
    """Judge what the order names."""
    directory = Path(sys.argv[1])
    interrupt.listen()
    threading.Thread(target=end_with_the_run, daemon=True).start()
    order = msgspec.json.decode((directory / "order.json").read_bytes(), type=Order)
    with Progress(Screen(stderr=True)) as progress:
        answer = judge(order, directory, progress)
    replace_file(directory / "answer.json", msgspec.json.encode(answer).decode() + "\n")
    return INTERRUPTED if interrupt.asked() else 0


if __name__ == "__main__":
    sys.exit(main())
