"""YAML whose parts know their places: for a message that shows the line of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import yaml

from vexlab.config import place


class _Loader(yaml.SafeLoader):
    """YAML in which naming a field twice is an error: the first one would be dropped without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping after looking for a name that is there twice."""
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in names:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            names.add(str(key.value))
        return super().construct_mapping(node, deep)


def load(text: str) -> tuple[Any, yaml.Node | None]:
    """What a document holds, and its nodes; raises yaml.YAMLError, ValueError or RecursionError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    finally:
        loader.dispose()


def place_of(node: yaml.Node | None, field: str, known: Collection[str] = ()) -> tuple[int, int]:
    """Line and column, from 1, of a field such as `checks[0].stage`; what isn't there has the place of what it is in.

    In a whole document it has none, which is 0. `known` are the names of fields: another name that is like that of a
    field which isn't there may be meant for it.
    """
    mark = None
    for step in re.findall(r"\[\d+\]|[^.\[\]]+", field):
        found = _below(node, step, known)
        if found is None:
            break
        node, mark = found
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _below(node: yaml.Node | None, step: str, known: Collection[str]) -> tuple[yaml.Node, yaml.Mark] | None:
    """A member of a node, and where it begins; None when there is none."""
    if isinstance(node, yaml.SequenceNode) and step.startswith("["):
        index = int(step[1:-1])
        return (node.value[index], node.value[index].start_mark) if index < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    members = {str(key.value): (value, key.start_mark) for key, value in node.value}
    return members.get(step) or members.get(place.nearest(step, [name for name in members if name not in known]))
