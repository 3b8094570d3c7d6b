"""Build hook: puts the collection into a wheel where ansible-core and Python look for one by themselves.

An editable install has none of it: it finds the checkout through the link in .collections.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = "ansible_collections/vexfs/vexlab"
SHIPPED = (
    "ansible.cfg",
    "examples",
    "galaxy.yml",
    "inventory",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests/stages",
)


class CollectionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds what is shipped beside the Python package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel; `version` is `standard` or `editable`."""
        if version == "standard":
            build_data["force_include"] |= {name: f"{COLLECTION}/{name}" for name in SHIPPED}
