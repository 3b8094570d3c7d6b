"""Prepares a hypervisor to take cells: the program that a matrix starts for each.

Run as: python -m vexlab.matrix.host_preparation, with an order as JSON on standard input. What it is doing, and in the
end what the host is, are lines of JSON on standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec import Struct

from vexlab.errors import VexlabError
from vexlab.hosts import preparation
from vexlab.hosts.preparation import Prepared
from vexlab.hosts.shipment import Item
from vexlab.matrix import answering
from vexlab.matrix.worker import tell


class Order(Struct, frozen=True):
    """Which host of which inventory, and what it gets."""

    host: str
    inventory: str
    items: tuple[Item, ...]


def perform(order: Order) -> Prepared:
    """Look at the host, then bring what is missing; raises VexlabError."""
    return preparation.prepare(order.host, Path(order.inventory), order.items, tell)


def _lost(problem: VexlabError) -> Prepared:
    return Prepared(lost=f"{problem.message} → {problem.hint}" if problem.hint else problem.message)


if __name__ == "__main__":
    sys.exit(answering.serve(Order, perform, _lost))
