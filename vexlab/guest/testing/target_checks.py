"""What the target file says of itself, as the parameters of checks."""

from __future__ import annotations

from typing import Any

import pytest

from vexlab.guest.testing.target import Target

FIXTURES = ("own_check", "symbol", "string", "sysfs_file", "first_module")


def parameters(fixture: str, target: Target, stage: str) -> list[Any]:
    """The values of one of these fixtures, each a check of its own; a skipped one when the target has none."""
    proof: dict[str, Any] = target.variant_proofs.get(target.variant, {})
    if fixture == "own_check":
        found = [pytest.param(check, id=check["name"]) for check in target.checks if check["stage"] == stage]
    elif fixture == "first_module":
        found = [pytest.param(module, id=module["name"]) for module in target.modules]
    elif fixture == "sysfs_file":
        found = [pytest.param(pair, id=pair[0]) for pair in proof.get("sysfs", {}).items()]
    else:
        kinds = (f"has_{fixture}s", f"lacks_{fixture}s")
        found = [pytest.param((kind, text), id=f"{kind} {text}") for kind in kinds for text in proof.get(kind, [])]
    reason = f"target {target.target_name} declares none for stage {stage} and variant {target.variant}"
    return found or [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
