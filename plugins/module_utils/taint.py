# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel's taint flags say: which of them come with an out-of-tree module, and which mean that it broke."""

from __future__ import annotations

from collections.abc import Collection

# Bits of /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst). An out-of-tree, unsigned module
# sets O and E by being loaded; a proprietary one would set P, which says nothing about a crash.
EXPECTED = {"P", "O", "E"}
LETTERS = {
    0: "P", 1: "F", 2: "S", 3: "R", 4: "M", 5: "B", 6: "U", 7: "D", 8: "A", 9: "W", 10: "C", 11: "I", 12: "O", 13: "E",
    14: "L", 15: "K", 16: "X", 17: "T", 18: "N",
}  # fmt: skip


def unexpected(before: int, now: int, of_the_module: Collection[str] = ()) -> list[str]:
    """Letters of the taint flags that were set meanwhile and that loading an out-of-tree module doesn't explain.

    `of_the_module` are letters of those that the target says its module sets.
    """
    new = now & ~before
    letters = [LETTERS.get(bit, str(bit)) for bit in range(new.bit_length()) if new >> bit & 1]
    return [letter for letter in letters if letter not in EXPECTED | set(of_the_module)]
