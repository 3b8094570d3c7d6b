"""Matrices that ended: which are meant, and what is new in one against another, cell by cell."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from vexlab.config import user_directories
from vexlab.errors import UsageProblem, VexlabError
from vexlab.history.changes import Change, changes, new_failures
from vexlab.history.differences import Difference
from vexlab.results import matrix
from vexlab.results.matrix import CellRecord, MatrixRecord
from vexlab.results.model import Check, Verdict

HINT = "ls shows them: {directory}"


@dataclass(frozen=True)
class MatrixComparison:
    """Two matrices: the cells that changed, in how many both came to a verdict, and what else differs of a cell."""

    old: MatrixRecord
    new: MatrixRecord
    common: int
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    remarks: tuple[str, ...]

    @property
    def new_failures(self) -> list[Change]:
        """The cells that are wrong now and were not before, and not as their target expects."""
        return new_failures(self.changes)


def ended() -> list[MatrixRecord]:
    """Return the matrices that came to their end, the oldest first; what can't be read is none of them."""
    found = []
    for path in sorted(user_directories.matrices_directory().glob(f"*/{matrix.RESULTS}")):
        with contextlib.suppress(VexlabError):
            record = matrix.read(path)
            found += [record] if record.finished else []
    return found


def named(word: str, known: Sequence[MatrixRecord]) -> MatrixRecord | None:
    """Return the matrix of this name, or the one whose name begins so; None where that is none, or several."""
    fits = [one for one in known if one.name == word] or [one for one in known if word and one.name.startswith(word)]
    return fits[0] if len(fits) == 1 else None


def pair(old: str, new: str | None, known: Sequence[MatrixRecord]) -> tuple[MatrixRecord, MatrixRecord] | None:
    """Return the matrices that two words mean, None where neither means one; without the second, the last of its tier.

    Raises UsageProblem where there is nothing to compare a matrix with.
    """
    first, second = named(old, known), named(new, known) if new is not None else None
    if first is None and second is None:
        return None
    if first is None or (second is None and new is not None):
        word = old if first is None else new
        hint = HINT.format(directory=user_directories.matrices_directory())
        raise UsageProblem(f"{word!r} is no matrix that ended, and a matrix is compared with another one", hint)
    if second is None:
        second = next((one for one in reversed(known) if one.tier == first.tier and one.name != first.name), None)
    if second is None or (new is None and second.name < first.name):
        raise UsageProblem(f"{first.name} is the last matrix of tier {first.tier}", "name the one to compare it with")
    return first, second


def compare(old: MatrixRecord, new: MatrixRecord) -> MatrixComparison:
    """Tell what is new in a matrix against another; a cell is the same by its target, kernel and variant.

    What fails as its target expects counts as a known failure.
    """
    before, now = ({_name(cell): _as_check(cell) for cell in record.cells} for record in (old, new))
    cells = [{_name(cell): cell for cell in record.cells} for record in (old, new)]
    common = [name for name in now if name in before]
    judged = [name for name in common if Verdict.NOT_RUN not in (before[name].verdict, now[name].verdict)]
    if not common:
        raise UsageProblem(
            f"{old.name} and {new.name} have no cell in common", "compare matrices of one target and kernel"
        )
    differs = tuple(each for name in common for each in _differences(name, cells[0][name], cells[1][name]))
    remarks = [f"the tiers are two: {old.tier}, {new.tier}"] if old.tier != new.tier else []
    return MatrixComparison(old, new, len(judged), tuple(changes(before, now)), differs, tuple(remarks))


def _name(cell: CellRecord) -> str:
    return f"{cell.target} {cell.kernel} {cell.variant}"


def _as_check(cell: CellRecord) -> Check:
    """A cell as what a check is in a run: wrong unless it is as expected."""
    found, verdict = cell.found, cell.found.verdict
    if cell.as_expected and verdict not in (Verdict.PASSED, Verdict.NOT_RUN):
        return Check(_name(cell), Verdict.XFAILED, found.seconds, cell.expected)
    if verdict is Verdict.PASSED and not cell.as_expected:
        return Check(_name(cell), Verdict.FAILED, found.seconds, cell.unexpected)
    return Check(_name(cell), verdict, found.seconds, found.problem or cell.unexpected or found.error)


def _differences(name: str, old: CellRecord, new: CellRecord) -> list[Difference]:
    """What a reader may want to know of a cell beside its verdict: another kernel of the same word, more warnings."""
    pairs = (
        ("kernel", old.found.release, new.found.release), ("compiler", old.found.compiler, new.found.compiler),
        ("warnings", str(old.found.warnings), str(new.found.warnings)),
    )  # fmt: skip
    return [Difference(f"{name}, {what}", one, other) for what, one, other in pairs if one != other and one and other]
