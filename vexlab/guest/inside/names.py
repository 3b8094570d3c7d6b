"""Names of files."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

from vexlab.guest.inside.filesystem import Filesystem
from vexlab.guest.inside.system import read, write


def listing(fs: Filesystem, names: Sequence[str]) -> dict[str, Any]:
    """Make a file of each name that holds its name; what is listed after a remount, each with what it holds.

    And which were refused for the characters in them, with the errno.
    """
    os.mkdir("names")
    refused = {}
    for name in names:
        try:
            write(f"names/{name}", name)
        except OSError as problem:
            if problem.errno not in (errno.EINVAL, errno.EILSEQ):
                raise
            refused[name] = errno.errorcode[problem.errno]
    fs.remount()
    return {"listed": [[name, read(f"names/{name}")] for name in os.listdir("names")], "refused": refused}
