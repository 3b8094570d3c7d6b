"""What kernel messages mean: the one table, which roles and checks have too (content.module_util tells why so)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vexlab import content

if TYPE_CHECKING:
    from plugins.module_utils import kernel_messages
else:
    kernel_messages = content.module_util("kernel_messages")

__all__ = ["kernel_messages"]
