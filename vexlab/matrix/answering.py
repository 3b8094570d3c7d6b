"""What the programs of a cell have in common, the one that builds and the one that has a guest: order and answer."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from vexlab.errors import HostProblem, VexlabError, of_system
from vexlab.matrix import worker
from vexlab.results.matrix import Finding
from vexlab.run import interrupt

INTERRUPTED = 130  # exit code
Record = TypeVar("Record", bound=Struct)


class Answer(Struct, frozen=True):
    """What was found, and whether that was before."""

    found: Finding
    kept: bool = False
    key: str = ""


def of_problem(problem: VexlabError) -> Answer:
    """The answer of a cell that could not be tried."""
    return Answer(Finding(problem=problem.message, hint=problem.hint, exit_code=problem.exit_code))


def serve(
    kind: type[Record], perform: Callable[[Record], Struct], failed: Callable[[VexlabError], Struct] = of_problem
) -> int:
    """Do what is ordered on standard input, and answer; returns the exit code. `failed` answers for a problem."""
    interrupt.listen()
    try:
        order = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
        try:
            answer = perform(order)
        except (VexlabError, OSError) as raised:
            problem = _of_this_machine(raised) if isinstance(raised, OSError) else raised
            if problem.exit_code == INTERRUPTED:
                return INTERRUPTED
            answer = failed(problem)
        worker.answer(msgspec.to_builtins(answer))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _of_this_machine(raised: OSError) -> HostProblem:
    """What the system refused, whatever it was; it says nothing of the cell."""
    told = of_system(raised)
    return HostProblem(told.message, told.hint)


def kept(path: Path, kind: type[Record]) -> Record | None:
    """What a file of a cell keeps; None when it keeps nothing, or what another vexlab wrote."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def is_held(directory: Path) -> bool:
    """Whether somebody works there at the moment."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
