"""THE way from values to what Ansible reads: whatever a person or a tree can name is data, and never a template.

Ansible renders each variable of an inventory that looks like a template, and a template can run commands. A string
that could look like one is written with the tag `!unsafe`, which Ansible keeps through all that is made of it. Others
are written plainly: whoever reads the file sees what is meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from vexlab.errors import UsageProblem

MARKS = ("{{", "{%", "{#", "#jinja2:")  # the last replaces the others, at the beginning of a text
UNSAFE = "__ansible_unsafe"  # what ansible-inventory makes of the tag
VAULT = "__ansible_vault"


class _Dumper(yaml.SafeDumper):
    """Writes text that could be a template as data."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    if "{" in text or MARKS[-1] in text:
        return dumper.represent_scalar("!unsafe", text, style='"')
    return dumper.represent_str(text)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    """A YAML file of plain values for Ansible to read; raises UsageProblem for text that no file can hold."""
    for text in texts(document):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageProblem(f"{text!r} is not UTF-8 text", "give it a name that is") from None
    return "---\n" + yaml.dump(document, Dumper=_Dumper, allow_unicode=True)


def texts(value: object) -> Iterator[str]:
    """All text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def mark_in(value: object) -> str:
    """What in a value would make it a template; empty when nothing does."""
    return next((mark for text in texts(value) for mark in MARKS if mark in text), "")


def from_inventory(name: str, value: object) -> Any:
    """A value as ansible-inventory prints it, as data; raises UsageProblem when only Ansible knows what it is."""
    document = json.dumps(value)
    if VAULT in document:
        raise UsageProblem(f"{name} is encrypted", "vexlab and the checks read it themselves: write it in clear")
    if mark := mark_in(_without_unsafe(value)):
        hint = "vexlab and the checks read it themselves: write what it stands for, or tag it !unsafe"
        raise UsageProblem(f"{name} holds {mark}, which is a template", hint)
    return _plain(value)


def _plain(value: object) -> Any:
    """A value of which each tagged text is text again."""
    if isinstance(value, dict):
        return value[UNSAFE] if [*value] == [UNSAFE] else {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _without_unsafe(value: object) -> object:
    """A value without the texts that are tagged as data."""
    if isinstance(value, dict):
        return {} if [*value] == [UNSAFE] else {key: _without_unsafe(item) for key, item in value.items()}
    return [_without_unsafe(item) for item in value] if isinstance(value, list) else value
