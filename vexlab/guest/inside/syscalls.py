"""System calls that Python has no function for, by the C library. Each raises OSError with its errno."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from vexlab.guest.inside.system import libc


def counted(name: str, *arguments: Any) -> int:
    """Call a function of the C library that returns a number, or -1 and an errno; returns the number."""
    result = int(getattr(libc, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def wide(number: int) -> ctypes.c_int64:
    """A number for a parameter of 64 bits, such as an offset."""
    return ctypes.c_int64(number)
