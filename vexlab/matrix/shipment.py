"""What all hypervisors of a matrix get: what its cells need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vexlab.hosts import shipment
from vexlab.hosts.shipment import Item, Say
from vexlab.matrix.cells import Cell
from vexlab.results.matrix import Tier


@dataclass(frozen=True)
class Shipment:
    """What all hosts get: its items, where vexlab's own code is on a host, and the source and the target of each cell.

    They are relative to the home directory; a cell without one has none that is shipped.
    """

    items: tuple[Item, ...]
    code: str
    sources: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)


def of_cells(cells: Sequence[Cell], tier: Tier, say: Say) -> Shipment:
    """Pack what these cells need as far as this tier; raises VexlabError."""
    with shipment.packing() as directory:
        code = shipment.code(directory)
        sources = {
            cell.settings.source: shipment.source(directory, cell.settings.source)
            for cell in cells if cell.settings.source
        }  # fmt: skip
        targets = {file: shipment.target(directory, file) for cell in cells if (file := cell.options.target)}
        contracts = [cell.contract for cell in cells]
        of_kernels = shipment.parts(directory, contracts, say, builds_only=tier is Tier.BUILD)
        items = [code, *sources.values(), *targets.values(), *of_kernels]
    return Shipment(
        tuple({item.directory: item for item in items}.values()), code.directory,
        {cell.name: sources[cell.settings.source].directory for cell in cells if cell.settings.source},
        {cell.name: targets[cell.options.target].directory for cell in cells if cell.options.target},
    )  # fmt: skip
