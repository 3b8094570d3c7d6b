"""A fresh filesystem for a check, when an earlier one failed on the one that both share, or left it unfit.

What a check finds then is its own finding. Fixtures that looked at the old one are made anew with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from _pytest.fixtures import FixtureDef

from vexlab.config.check_names import RENEWED, short_name
from vexlab.guest.testing.guest import Guest

SHARED = ("scratch", "corruptible")  # fixtures that give several checks one filesystem
PLUGIN = "vexlab-renewal"


def alike(state: str) -> str:
    """The words of a state without its numbers."""
    return re.sub(r"\d+", "#", state)


class Renewal:
    """Watches what becomes of the filesystems that checks share."""

    def __init__(self, guest: Callable[[], Guest | None]) -> None:
        """Begin with filesystems that are right; `guest` gives the connection, if there is one yet."""
        self._guest = guest
        self._why = ""  # the next check must not have the filesystem of the last one, in words
        self._told = ""  # what the check that has another one is to say of it
        self._orders = 0  # that the guest had done when the phase of a check began
        self._usual: set[str] = set()  # states that a fresh one is in
        self._generation = 1

    def name(self, base: str) -> str:
        """The name of a filesystem: another one while what had this name can't be taken down."""
        return base if self._generation == 1 else f"{base}-{self._generation}"

    def is_usual(self, state: str) -> None:
        """Take a state for no reason to make another filesystem, since a fresh one is in it."""
        self._usual.add(alike(state))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let go of what the check would find unfit, and say so in its advice."""
        self._orders = self._answered()
        if not self._why:
            return
        made = [each for name in SHARED for each in self._definitions(item, name) if each.cached_result is not None]
        if not made:
            self._why = ""  # the module ended, and its filesystem with it
        used = [each for each in made if each.argname in getattr(item, "fixturenames", ())]
        if not used or self._would_fail_again(item):
            return
        told = f"{RENEWED}{self._why}"
        for each in used:
            try:
                each.finish(item._request)  # type: ignore[attr-defined]
            except (OSError, AssertionError, pytest.fail.Exception, BaseExceptionGroup) as problem:
                self._generation += 1
                told += f", and it can't be taken down ({str(problem).partition(chr(10))[0]})"
        self._why, self._told = "", told

    def pytest_runtest_call(self) -> None:
        """Begin to count what the check itself does in the guest: its fixtures have done theirs."""
        self._orders = self._answered()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:  # what is yielded and returned is pytest's own
        """Note a phase that failed when it had something done in the guest, and a state that nobody wants to find."""
        report = yield
        guest = self._guest()
        is_skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
        is_judged = call.when == "call" or (call.when == "setup" and call.excinfo is not None)
        if self._told and is_judged and not is_skipped:  # one that is skipped has no use for it: the next one gets it
            item.user_properties.append(("advice", self._told))
            self._told = ""
        if guest is not None and call.when != "teardown":
            is_wrong = call.excinfo is not None and not is_skipped
            name = short_name(item.nodeid)
            if is_wrong and guest.orders > self._orders:
                self._why = f"{name} failed on the one before"
            elif guest.unfit and guest.orders > self._orders and alike(guest.unfit) not in self._usual:
                self._why = f"{name} left the one before {guest.unfit}"
        return report

    def _answered(self) -> int:
        guest = self._guest()
        return guest.orders if guest is not None else 0

    @staticmethod
    def _definitions(item: pytest.Item, name: str) -> list[FixtureDef[object]]:
        return list(item.session._fixturemanager.getfixturedefs(name, item) or ())

    def _would_fail_again(self, item: pytest.Item) -> bool:
        """Whether a fixture of the check failed: it is told with the same words, and not tried again for each check."""
        names = getattr(item, "fixturenames", ())
        results = (each.cached_result for name in names for each in self._definitions(item, name))
        return any(result is not None and result[2] is not None for result in results)


def of_session(config: pytest.Config) -> Renewal:
    """What knows whether a filesystem has to have another name than the one before."""
    return cast(Renewal, config.pluginmanager.get_plugin(PLUGIN))
