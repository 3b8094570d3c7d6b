"""Writes a proposal as a target file: YAML for people, with what is uncertain beside the field that it is about."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

import yaml

from vexlab.config import target
from vexlab.source.proposal import Field, Proposal

WIDTH = 120  # characters of a line, as far as a value lets it
SECTIONS = {
    "vexlab_target_name": "Identity and source",
    "vexlab_build_command": "Build",
    "vexlab_module_file": "Module",
    "vexlab_filesystem_type": "Filesystem",
    "vexlab_capabilities": "",
}


def render(proposal: Proposal, root: str) -> str:
    """The text of a target file for what is at `root`, as a person may read it."""
    lines = [
        "---",
        *_comment(f"{proposal.module}, as its source at {root} tells it. {_origin(proposal)}"),
        *_comment('"not found" and "guessed" stand beside what you should look at. docs/targets.md explains each field,'
                  " `vexlab target check` compares the file with the source once more."),
    ]  # fmt: skip
    for field in proposal.fields:
        if field.name in SECTIONS or field.above:
            lines.append("")
        lines += [line for text in field.above for line in _comment(text)]
        lines += _field(field)
        if field.name == "vexlab_capabilities":
            lines += _not_claimed(proposal, field)
    lines += _superblock(proposal)
    return "\n".join(lines) + "\n"


def _origin(proposal: Proposal) -> str:
    """Where capabilities and limits come from."""
    measured = "It was built, loaded and mounted in a guest for what it can do and its limits."
    return measured if proposal.measured else "Nothing of it was built or run for this."


def _field(field: Field) -> Iterator[str]:
    """Yield the lines of one field; one without a value is a comment."""
    if field.value is None:
        yield f"# {field.name}: {field.beside}"
        return
    if field.name == "vexlab_capabilities" and isinstance(field.value, list) and field.value:
        yield f"{field.name}:"
        yield from (f"  - {name}" for name in field.value)
        return
    line = f"{field.name}: {_value(field.value)}"
    note = f" # {field.beside}" if field.beside else ""
    if note and len(line) + len(note) > WIDTH:
        yield from _comment(field.beside)
        note = ""
    yield f"{line}{note}"


def _not_claimed(proposal: Proposal, field: Field) -> Iterator[str]:
    """Yield a comment for each capability that isn't claimed, with what was seen of it, or what speaks for it.

    Without the sign that makes a comment of it, each line is one of the list.
    """
    claimed = field.value if isinstance(field.value, list) else []
    if not claimed:
        yield "# Put the first of these in the place of [] and the others below it:"
    names = [name for name in target.not_claimed(claimed) if not proposal.impossible(name)]
    widest = max(map(len, names), default=0)
    for name in names:
        place = proposal.signs.get(name)
        said = f"for it: {place}" if place else "nothing in the source for it" if name in proposal.signs else ""
        said = proposal.measured.get(name, said)
        line = f"#  - {name:<{widest}}  # {said}" if said else f"#  - {name}"
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip()}…"


def _superblock(proposal: Proposal) -> Iterator[str]:
    """Yield, as comments, the members of the superblock; what of them must be refused only its author knows."""
    if not proposal.superblock:
        return
    yield ""
    yield from _comment(
        "The superblock as the source lays it out. With a field of this list turned over in each bit, and with each"
        " value of its `wrong`, the filesystem must not be mounted: keep what a checksum covers, or what is looked at."
    )
    yield "# vexlab_superblock_fields:"
    for member in proposal.superblock:
        yield f"#  - {_value(member)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]


def _value(value: object) -> str:
    """A value as YAML on one line: plain where that reads back as the same, else in quotes."""
    if isinstance(value, list):
        return f"[{', '.join(_inner(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_inner(item)}' for name, item in value.items())}}}"
    return _text(value, "k: ", " # x") if isinstance(value, str) else json.dumps(value)


def _inner(value: object) -> str:
    """A value within a list or a mapping, where commas and brackets mean something."""
    return _text(value, "k: [", ", x]") if isinstance(value, str) else json.dumps(value)


def _text(text: str, before: str, after: str) -> str:
    """The plainest way to write a text that YAML reads back; what could be a number is quoted, whatever reads it."""
    choices = [text, f'"{text}"', "'" + text.replace("'", "''") + "'"]
    for choice in choices[1:] if re.match(r"\d|[0-9A-Fa-f]+$", text) else choices:
        try:
            parsed = yaml.safe_load(f"{before}{choice}{after}")["k"]
        except (yaml.YAMLError, ValueError, TypeError):
            continue
        if parsed in (text, [text, "x"]):
            return choice
    return json.dumps(text, ensure_ascii=False)
