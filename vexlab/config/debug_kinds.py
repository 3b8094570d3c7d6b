"""How hard the guest's kernel looks for mistakes: the kinds that the lab's contract has, and what the chosen one asks.

With the stock kernel it is what its command line can ask of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "none"
"""The kernel as machines have it."""


def slower(contract: Mapping[str, Any]) -> int:
    """By how much deadlines grow."""
    return int(_chosen(contract)["slower"])


def kernel_arguments(contract: Mapping[str, Any]) -> str:
    """What the guest's kernel is asked for, as playbooks/vars/wiring.yml puts it together."""
    return " ".join(filter(None, [_chosen(contract)["arguments"], contract["vexlab_kernel_arguments"]]))


def _chosen(contract: Mapping[str, Any]) -> Mapping[str, Any]:
    """The kind of a contract; that of one which names none, as an inventory by hand or of a former vexlab does."""
    kinds: Mapping[str, Mapping[str, Any]] = contract.get("vexlab_debug_kinds", {})
    return kinds.get(contract.get("vexlab_debug", NONE), {"slower": 1, "arguments": ""})
