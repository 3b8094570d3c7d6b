"""The device under test, and nothing else: what writes to it looks at its serial number first."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from vexlab.guest.inside.attempts import shell


@contextlib.contextmanager
def held(by_id: str, serial: str) -> Iterator[str]:
    """The path of the disk behind a name, which can't become another's meanwhile; raises OSError for a wrong one."""
    from plugins.module_utils import device  # by which the roles decide; few tests need it

    with device.held(by_id):
        path = os.path.realpath(by_id, strict=True)
        if wrong := device.identity(device.Kernel().serial(device.number_of(os.stat(path).st_rdev)), serial):
            raise OSError(0, f"{by_id}: {wrong[0]}")
        yield path


def run(by_id: str, serial: str, script: str) -> None:
    """Run a script in which $1 is the disk."""
    with held(by_id, serial) as path:
        shell(script, path)
