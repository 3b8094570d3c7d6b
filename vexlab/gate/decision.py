"""What the gate says: of which module, which level it reached, which criteria were met and by what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.vexfs.vexlab.plugins.module_utils import readiness

from vexlab.config import target
from vexlab.gate import run_criteria
from vexlab.results.model import Contract

MAX_AGE_DAYS = 7  # how long evidence and statements count, unless somebody asks for another limit

EVIDENCE = "evidence"

TEXTS = (
    {EVIDENCE: "A complete run in the VM, unaltered and recent, is about this very module"}
    | {run_criteria.claims_key("vm"): "What a filesystem can't do without was demanded of it"}
    | run_criteria.MUST_PASS
    | {run_criteria.claims_key("device"): "What a device can't do without was demanded as well"}
    | run_criteria.PROTOCOL
    | {run_criteria.claims_key("production"): "What keeps other disks from harm was demanded as well"}
    | {
        "phase-1": "Phase 1, read-only, passed on a device that nobody needs",
        "phase-2": "Phase 2, read-write, passed on that device",
        "phase-3": "Phase 3, stress, passed on that device",
    }
)
"""Every criterion by its key, in order. Only those of the protocol may be signed."""


@dataclass(frozen=True)
class Subject:
    """The module that is asked about."""

    name: str
    sha256: str
    srcversion: str
    kernel: str


@dataclass(frozen=True)
class Criterion:
    """One condition of a level: met or not, and by what or why not."""

    key: str
    level: str
    text: str
    met: bool
    why: str


@dataclass(frozen=True)
class Source:
    """What a decision rests on: a run by the hash of its seal, or a statement by its own; `made` is ISO 8601."""

    what: str
    sha256: str
    made: str


@dataclass(frozen=True)
class Decision:
    """What the gate says of a module, and until when that holds; `contract` is what the run that decides demanded."""

    level: str
    criteria: tuple[Criterion, ...]
    sources: tuple[Source, ...]
    made: datetime
    valid_until: datetime
    contract: Contract | None = None

    @property
    def not_claimed(self) -> list[str]:
        """The capabilities of which nothing is known, since the target doesn't claim them; all without a run."""
        return target.not_claimed(self.contract.claims if self.contract else ())

    def unmet(self, level: str) -> list[Criterion]:
        """What keeps the module from a level, first things first."""
        levels = LEVELS[: LEVELS.index(level) + 1]
        return [criterion for criterion in self.criteria if not criterion.met and criterion.level in levels]


@dataclass(frozen=True)
class Refused:
    """That the gate could say nothing at all, and why."""

    why: str


LEVELS: tuple[str, ...] = readiness.LEVELS

OLDEST_DAYS: int = readiness.OLDEST_DAYS  # how long evidence counts at the most, whatever is asked for

_FUTURE = timedelta(seconds=readiness.CLOCKS_DIFFER)
