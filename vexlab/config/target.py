"""What a target is: one YAML file of contract variables, checked against `target.schema.json` before all else."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from vexlab.config import literals, marked_yaml, place, target_rules
from vexlab.config.place import Finding, did_you_mean
from vexlab.errors import UsageProblem

PREFIX = "vexlab_"
SURELY = 0.8  # how like a name is to the one that was meant, so that it counts as that
UNKNOWN = "additionalProperties"  # the rule of the schema that unknown fields break
KNOWN_FAILURES = "vexlab_known_failures"
TARGET_FILE = "target file"
HINT = "docs/targets.md explains each field of a target file; examples/targets/ holds complete ones."
VERSION = 1  # of the format of target files; a file that doesn't say has this one
FEW = 12  # words of which one is to be chosen that are all named, though one of them seems to be meant
# JSON schema takes 256.0 for an integer; a shell command would not.
_EXACT = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
_Validator = validators.extend(Draft202012Validator, type_checker=_EXACT)  # type: ignore[no-untyped-call]
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
}
_FOUND = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


def schema() -> dict[str, Any]:
    """Return the JSON schema of a target file: names, types and meanings of its fields, without defaults."""
    text = Path(__file__).with_name("target.schema.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def capabilities() -> list[str]:
    """Every capability that a target can claim, in the order of the schema."""
    return [each["const"] for each in schema()["properties"]["vexlab_capabilities"]["items"]["oneOf"]]


def not_claimed(claims: Iterable[str]) -> list[str]:
    """The capabilities that are not among these."""
    known = set(claims)
    return [name for name in capabilities() if name not in known]


def load_target(path: Path) -> dict[str, object]:
    """Read and check a target file; return the fields that it sets, `vexlab_source` made absolute.

    A UsageProblem names the file and, for each thing that is wrong, its line, the field and what is wrong with it.
    Whether the source directory exists is not checked here, since another one may be given in its place.
    """
    text = _read(path)
    target, node = _parse(path, text)
    if problems := problems_of(target):
        known = set(_names(schema()))
        raise place.problem(path, text, [Finding(words, *_place_of(words, node, known)) for words in problems], HINT)
    if "vexlab_source" in target:
        source = Path(str(target["vexlab_source"]))
        target["vexlab_source"] = str((path.parent / _expand(path, source)).resolve())
    return target


def load_known_failures(path: Path) -> list[dict[str, object]]:
    """Read and check a file that has the field vexlab_known_failures alone; its entries.

    A UsageProblem names the file and, for each thing that is wrong, its line.
    """
    text = _read(path, "file of known failures")
    found, node = _parse(path, text, "file of known failures")
    rules = {
        "type": "object", "additionalProperties": False, "required": [KNOWN_FAILURES],
        "properties": {KNOWN_FAILURES: schema()["properties"][KNOWN_FAILURES]},
    }  # fmt: skip
    problems, meant = _against_schema(found, rules)
    if problems := [*problems, *target_rules.across_known_failures(meant)]:
        known = set(_names(rules))
        raise place.problem(path, text, [Finding(words, *_place_of(words, node, known)) for words in problems], HINT)
    entries: Any = found[KNOWN_FAILURES]
    return list(entries)


def _names(rule: dict[str, Any]) -> Iterator[str]:
    """The names of all fields that a rule of the schema knows, those of parts of fields too."""
    for name, below in rule.get("properties", {}).items():
        yield name
        yield from _names(below)
        yield from _names(below.get("items", {}))


def _place_of(words: str, node: yaml.Node | None, known: Collection[str]) -> tuple[int, int]:
    """Where in the file what is wrong by these words is; what is missing is so in what it belongs to."""
    field = re.split(": |, ", words)[0]
    if words.startswith(f"{field}: is missing"):
        return marked_yaml.place_of(node, field.rpartition(".")[0])
    return marked_yaml.place_of(node, field, known)


def problems_of(target: dict[str, object]) -> list[str]:
    """Say of each field of a target what is wrong with it, the schema's rules first; empty for a good one.

    A field with a name that is nearly right counts as the one that was meant: it isn't missing as well.
    """
    version = target.get("vexlab_target_version", VERSION)
    if type(version) is int and version != VERSION:
        # what else is wrong with it would be said of fields that mean something else there
        return [
            f"vexlab_target_version: the file is of version {version}, and this vexlab reads version {VERSION}; get a "
            f"vexlab that reads {version}, or write {VERSION} there and see which fields it doesn't know"
        ]
    rules = schema()
    found, meant = _against_schema(target, rules)
    return list(dict.fromkeys([*found, *target_rules.across_fields(meant, rules["properties"])]))


def _against_schema(fields: dict[str, object], rules: dict[str, Any]) -> tuple[list[str], Any]:
    """What is wrong with each field by itself; and the fields with the names that were meant."""
    meant: Any = _as_meant(fields, rules)
    errors = [error for error in _Validator(rules).iter_errors(fields) if error.validator == UNKNOWN]
    errors += [error for error in _Validator(rules).iter_errors(meant) if error.validator != UNKNOWN]
    return [*(problem for error in errors for problem in _say(error, rules)), *_templates(fields)], meant


def _as_meant(value: object, rule: dict[str, Any]) -> object:
    """A value in which each field whose name is nearly that of one that isn't there has that name."""
    if isinstance(value, list):
        return [_as_meant(item, _below(rule, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties: dict[str, Any] = rule.get("properties", {}) if rule.get("additionalProperties") is False else {}
    found: dict[str, object] = {}
    for name, item in value.items():
        near = (
            ""
            if not properties or name in properties
            else place.nearest(_full(str(name), properties), properties, SURELY)
        )
        known = near if near and near not in value and near not in found else name
        found[known] = _as_meant(item, _below(rule, known))
    return found


def _full(name: str, properties: Iterable[str]) -> str:
    """A name as those beside it begin: a forgotten prefix is as likely a slip as a misspelt name."""
    prefixed = all(each.startswith(PREFIX) for each in properties)
    return f"{PREFIX}{name.removeprefix(PREFIX)}" if prefixed else name


def _expand(path: Path, source: Path) -> Path:
    try:
        return source.expanduser()
    except RuntimeError as error:
        raise UsageProblem(f"{path}: vexlab_source: no home directory for {source.parts[0]}", HINT) from error


# ---------------------------------------------------------------- reading


def _read(path: Path, what: str = TARGET_FILE) -> str:
    """The text of a file; `what` it is."""
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            # A FIFO would be waited for, and a device may have no end.
            raise UsageProblem(f"{path}: the {what} is not a file", HINT)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageProblem(f"{path}: the {what} can't be read: {error.strerror}", HINT) from error
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path}: the {what} is not UTF-8 text", HINT) from error


def _parse(path: Path, text: str, what: str = TARGET_FILE) -> tuple[dict[str, object], yaml.Node | None]:
    """What the file says, and the nodes of its document, which know their places."""
    try:
        parsed, node = marked_yaml.load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        words = f"not YAML as a {what} needs it: {error.problem}"
        raise place.problem(path, text, [Finding(words, *at)], HINT) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: PyYAML makes dates while it reads, and lets 2026-13-45 through to datetime
        raise UsageProblem(f"{path}: not YAML as a {what} needs it: {error}", HINT) from error
    if parsed is None:
        raise UsageProblem(f"{path}: the {what} is empty", HINT)
    if not isinstance(parsed, dict):
        raise UsageProblem(f"{path}: the {what} holds {_found(parsed)} instead of fields (name: value)", HINT)
    odd = next((name for name in parsed if not isinstance(name, str)), None)
    if odd is not None:
        raise UsageProblem(f"{path}: {odd!r}: names of fields are text", HINT)
    return parsed, node


# ---------------------------------------------------------------- saying what is wrong


def _say(error: ValidationError, rules: dict[str, Any]) -> Iterator[str]:
    """Turn a finding of the JSON schema into '<field>: <what is wrong>', once for each field that it is about."""
    found: Any = error.instance
    schema: Any = error.schema
    where, meaning, rule = "", "", rules
    for step in error.absolute_path:
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else str(step)
        rule = _below(rule, step)
        meaning = rule.get("description", meaning)
    within = f"{where}." if where else ""
    properties: dict[str, Any] = schema.get("properties", {})
    if error.validator == "required":
        # a finding for each missing field, which only its message tells apart
        missing = next(name for name in schema["required"] if error.message.startswith(repr(name)))
        yield f"{within}{missing}: is missing. {properties[missing].get('description', meaning)}"
    elif error.validator == UNKNOWN:
        for name in (str(name) for name in found if name not in properties):
            yield f"{within}{name}: unknown field{did_you_mean(_full(name, properties), properties)}"
    else:
        yield f"{where}: {_misfit(error, found, meaning)}"


def _below(rule: dict[str, Any], step: str | int) -> dict[str, Any]:
    """Return the rule of a member of a list or a mapping; an empty one where that is said elsewhere in the schema."""
    found = rule.get("items") if isinstance(step, int) else rule.get("properties", {}).get(step)
    others = rule.get("additionalProperties")
    return found or (others if isinstance(others, dict) else {})


def _misfit(error: ValidationError, found: object, meaning: str) -> str:
    """Say why a value doesn't fit the rule of its field, and what would."""
    limit: Any = error.validator_value
    if error.validator == "type":
        # 53464556 without quotes is a number to YAML, and a leading zero or an exponent would be lost
        quotes = ". Put it in quotes" if limit == "string" and not isinstance(found, (list, dict)) else ""
        problem = f"must be {_TYPES[limit]}, not {_found(found)}{quotes}"
    elif error.validator in ("enum", "oneOf"):
        words = [choice["const"] if error.validator == "oneOf" else choice for choice in limit]
        near = did_you_mean(str(found), words)
        known = "unknown" if near and len(words) > FEW else f"none of {', '.join(words)}"
        return f"{found!r} is {known}{near}"
    elif error.validator in ("minimum", "maximum", "maxLength"):
        problem = f"{found!r} is out of range ({error.validator} {limit})"
    elif error.validator == "uniqueItems":
        problem = "names something twice"
    else:
        problem = f"{found!r} doesn't fit"
    return f"{problem}. {meaning}"


def _found(value: object) -> str:
    if value is None:
        return "nothing"
    kind = _FOUND.get(type(value), f"a {type(value).__name__}")
    return kind if isinstance(value, (list, dict, str)) else f"{kind} ({value})"


def _templates(target: dict[str, object]) -> Iterator[str]:
    """Find text that Ansible would render where the file is read by it alone, though a target holds literals only."""
    for name, value in target.items():
        for text in literals.texts(value):
            if mark := literals.mark_in(text):
                yield f"{name}: {text!r} holds {mark}, which Ansible would take for a template; fields are literals"
