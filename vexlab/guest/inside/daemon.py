"""The program that runs as long as the target's module is loaded: stopped and started with it."""

from __future__ import annotations

import os

from plugins.module_utils import daemon


def state() -> str:
    """`running`, or in words what is wrong."""
    return daemon.problem() or ("running" if daemon.known().get("runs") else "the daemon was not started")


def after_load() -> None:
    """Start it, if its module is loaded; raises AssertionError when it doesn't run then."""
    told = daemon.known()
    if told and os.path.exists(f"/sys/module/{told['module']}"):
        try:
            daemon.start(told["command"], told["directory"], told["module"])
        except daemon.DaemonError as wrong:
            raise AssertionError(str(wrong)) from None


def before_unload(module: str) -> None:
    """Stop it, if it is this module's; raises AssertionError when it doesn't run any more, or doesn't end.

    One that had to be killed runs again then, since the module stays loaded: what comes next finds both.
    """
    told = daemon.known()
    if not told or told["module"] != module or not told["runs"]:
        return
    wrong = daemon.problem()
    assert not wrong, wrong
    try:
        daemon.stop()
    except daemon.DaemonError as late:
        after_load()
        raise AssertionError(str(late)) from None
