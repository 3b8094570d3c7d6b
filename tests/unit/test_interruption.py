"""A signal that ends a module is an exception in it, once, and nothing to who has the process afterwards."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils import commands
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import (
    ENDS,
    Interrupted,
    interruptible,
    uninterrupted,
)

from vexlab.guest.lab import started


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_signal_is_raised_once(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in ENDS]
    cleaned_up = False
    with pytest.raises(Interrupted, match="Ctrl-C" if number == signal.SIGINT else number.name), interruptible():
        try:
            os.kill(os.getpid(), number)
        finally:
            for other in ENDS:
                os.kill(os.getpid(), other)
            cleaned_up = True
    assert cleaned_up
    assert [signal.getsignal(one) for one in ENDS] == before


def test_signal_waits_for_the_start_of_a_process(tmp_path: Path) -> None:
    """The process is there before subprocess has told its number to us: nobody could end it then."""
    told = tmp_path / "pid"

    def in_the_child() -> None:
        told.write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(0.2)  # the other waits for what comes of exec meanwhile

    with (
        pytest.raises(Interrupted, match="SIGTERM"), interruptible(),
        commands.running(["sleep", "300"], preexec_fn=in_the_child) as process,
    ):  # fmt: skip
        process.wait(timeout=60)
    assert not started(int(told.read_text()))


def test_signal_that_waited_is_raised_where_it_may_be() -> None:
    after = []
    with pytest.raises(Interrupted, match="SIGHUP"), interruptible():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGHUP)
            after.append("the rest of it")
        after.append("what follows")
    assert after == ["the rest of it"]


def test_nothing_is_left_of_it_where_no_signal_came() -> None:
    before = [signal.getsignal(one) for one in ENDS]
    with interruptible():
        assert [signal.getsignal(one) for one in ENDS] != before
    assert [signal.getsignal(one) for one in ENDS] == before
