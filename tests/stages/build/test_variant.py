"""The module is of the variant that was asked for, by what the target says tells its variants apart."""

from __future__ import annotations

import shlex
from fnmatch import fnmatchcase

import pytest

from vexlab.guest.testing.guest import Guest
from vexlab.guest.testing.target import Target
from vexlab.guest.testing.words import quoted


@pytest.fixture(scope="module")
def symbols(guest: Guest, target: Target) -> set[str]:
    """Names in the module's symbol table; its objects bring those of the files that they were made from."""
    lines = guest.ok(f"nm --debug-syms {shlex.quote(target.module_path)}").splitlines()
    names = {line.split()[-1] for line in lines}
    assert names, "the module has no symbols"
    return names


def test_symbol(target: Target, symbols: set[str], symbol: tuple[str, str]) -> None:
    """A build that quietly took another variant's parts has their symbols and lacks the right ones."""
    kind, pattern = symbol
    found = sorted(name for name in symbols if fnmatchcase(name, pattern))
    if kind == "has_symbols":
        assert found, f"{target.module_file} was built as {target.variant}, but has no symbol {pattern}"
    else:
        assert not found, (
            f"{target.module_file} was built as {target.variant}, but has the symbol {', '.join(found[:5])}"
        )


def test_string(guest: Guest, target: Target, string: tuple[str, str]) -> None:
    """The module file has the texts of its variant and not those of another: what a compiler leaves, say."""
    kind, text = string
    result = guest.run(f"LC_ALL=C grep -q -a -F -e {shlex.quote(text)} {shlex.quote(target.module_path)}")
    assert result.code in (0, 1), f"{result.command} failed with {result.code}: {result.said}"
    has = "has" if result.code == 0 else "doesn't have"
    assert (result.code == 0) == (kind == "has_strings"), (
        f"{target.module_file} was built as {target.variant}, but {has} the text {quoted(text)}"
    )
