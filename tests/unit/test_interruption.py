"""A signal that ends a module is an exception in it, once, and nothing to who has the process afterwards."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.vexfs.vexlab.plugins.module_utils.interruption import ENDS, Interrupted, interruptible


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


def test_nothing_is_left_of_it_where_no_signal_came() -> None:
    before = [signal.getsignal(one) for one in ENDS]
    with interruptible():
        assert [signal.getsignal(one) for one in ENDS] != before
    assert [signal.getsignal(one) for one in ENDS] == before
