"""Reads C as text: comments away, then patterns, functions by their braces, numbers by their definitions.

Not seen: what the preprocessor decides (all branches are read, the first definition of a name holds), what a macro
makes of its arguments, what a table or a function of another file fills in.
"""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PIECE = re.compile(r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\S(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_CONSTANT = re.compile(
    r"^(?:static\s+)?const(?:expr)?\s+[\w\s]{1,80}?\*?(\w+)(?:\[\w*\])?\s*=\s*([^;{]{1,200});", re.MULTILINE
)
_ENUMERATOR = re.compile(r"^\s*([A-Z]\w*)\s*=\s*([^,;{}\n]+?)\s*,?\s*$", re.MULTILINE)
_FUNCTION = re.compile(r"^(?:[A-Za-z_][\w\s*]{0,200}?[\s*])?(\w+)\s*\([^;{}]{0,2000}\)[^;{}()=]{0,200}\{", re.MULTILINE)
_NUMBER = re.compile(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b")
_CAST = re.compile(
    r"\(\s*(?:const\s+)?(?:(?:unsigned|signed|long)\s+)*(?:(?:__)?[us]?(?:int|long|char|short|size|loff|sector)\w*|(?:__)?(?:le|be|u|s)\d+)\s*\)"
)
_SIZEOF = re.compile(r"\bsizeof\s*\(\s*((?:struct\s+|union\s+)?\w+)\s*\)")
_WRAPPED = re.compile(r"\b(?:__)?(?:cpu_to_|hto|constant_cpu_to_)(?:le|be)\d+\b")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
DEEPEST = 12  # names that stand for names
LONGEST = 2000  # characters of an expression
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}


@dataclass(frozen=True)
class Function:
    """A function with its body, and the line that it begins in."""

    name: str
    body: str
    line: int


def without_comments(text: str) -> str:
    """The text with blanks in the place of comments: lines keep their numbers, strings their content."""

    def kept(found: re.Match[str]) -> str:
        piece = found[0]
        return piece if piece[0] in "\"'" else " " + "\n" * piece.count("\n")

    return _PIECE.sub(kept, text)


def line_of(text: str, position: int) -> int:
    """Number of the line that a position is in."""
    return text.count("\n", 0, position) + 1


def body_at(text: str, brace: int) -> str:
    """What is between a brace and the one that closes it, or up to the end."""
    depth = 0
    for found in re.compile(r"""[{}]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""").finditer(text, brace):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return text[brace + 1 : found.start()]
    return text[brace + 1 :]


def functions(text: str) -> Iterator[Function]:
    """Yield the functions of a file without comments."""
    position = 0
    while found := _FUNCTION.search(text, position):
        body = body_at(text, found.end() - 1)
        if found[1] not in ("if", "for", "while", "switch"):
            yield Function(found[1], body, line_of(text, found.start()))
        position = found.end() + len(body)


@functools.lru_cache(maxsize=4096)
def definitions(text: str) -> dict[str, str]:
    """What each macro without arguments, constant and enumerator of a file stands for; the first of a name holds."""
    values: dict[str, str] = {}
    for pattern in (_DEFINE, _CONSTANT, _ENUMERATOR):
        for found in pattern.finditer(text):
            values.setdefault(found[1], found[2].replace("\\\n", " ").strip())
    return values


def string(text: str, values: dict[str, str]) -> str | None:
    """The text that a literal, or a name that stands for one, is; None for anything else."""
    for _ in range(DEEPEST):
        text = text.strip().strip("()").strip()
        if re.fullmatch(r'(?:"(?:\\.|[^"\\])*"\s*)+', text):
            try:
                return "".join(ast.literal_eval(part) for part in re.findall(r'"(?:\\.|[^"\\])*"', text))
            except (ValueError, SyntaxError):
                return None
        if text not in values:
            return None
        text = values[text]
    return None


def number(text: str, values: dict[str, str], sizes: dict[str, int] | None = None) -> int | None:
    """The value of an expression of whole numbers; None where a name or an operator in it can't be told.

    `sizes` are the bytes that a `struct NAME` takes, for sizeof.
    """
    known = sizes or {}
    for _ in range(DEEPEST):
        if len(text) > LONGEST:
            return None
        text = _SIZEOF.sub(lambda found: str(known.get(" ".join(found[1].split()), found[0])), text)
        text = _WRAPPED.sub("", _CAST.sub("", text))  # after sizeof, which looks like one
        text = _NUMBER.sub(lambda found: str(_integer(found[1])), text)
        replaced = _NAME.sub(lambda found: f"({values[found[0]]})" if found[0] in values else found[0], text)
        if replaced == text:
            break
        text = replaced
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError):
        return None


def _integer(digits: str) -> int:
    """A number as C writes it: a leading zero is octal."""
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    return int(digits, 8 if octal else 0)


def _value(node: ast.expr) -> int:
    """The value of an expression that Python and C read alike; raises ValueError for another."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if not isinstance(node, ast.BinOp):
        raise ValueError("not a whole number")
    left, right = _value(node.left), _value(node.right)
    if max(abs(left), abs(right)) >= 1 << 64:
        raise ValueError("larger than C can hold")
    operation = _OPERATIONS.get(type(node.op))
    if operation is None or (operation in (operator.lshift, operator.rshift) and not 0 <= right < 64):
        raise ValueError("not an operator of sizes and places")
    return int(operation(left, right))
