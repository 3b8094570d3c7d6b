"""Makefiles and C as text: what is understood is right, and what isn't has an end."""

from __future__ import annotations

import pytest

from vexlab.source import c_text, dkms, layout, makefile

STRUCTURES = {
    "natural": ("char a; __le32 b; short c; u64 d;", "", [("a", 0, 1), ("b", 4, 4), ("c", 8, 2), ("d", 16, 8)]),
    "packed": ("char a; __le32 b; u64 d;", "__attribute__((packed))", [("a", 0, 1), ("b", 1, 4), ("d", 5, 8)]),
    "packed by the kernel's word": ("char a; __le32 b;", "__packed", [("a", 0, 1), ("b", 1, 4)]),
    "arrays": ("char a[N + 1][2]; u16 b[sizeof(u32)];", "", [("a", 0, 10), ("b", 10, 8)]),
    "several at once": ("u32 a, b[2]; char *p, q;", "", [("a", 0, 4), ("b", 4, 8), ("p", 16, 8), ("q", 24, 1)]),
    "structure within": ("char a; struct inner b; char c;", "", [("a", 0, 1), ("b", 8, 16), ("c", 24, 1)]),
    "union within": ("union either a; char b;", "", [("a", 0, 8), ("b", 8, 1)]),
    "up to what isn't known": ("u32 a; other_t b; u32 c;", "", [("a", 0, 4)]),
    "up to a bit field": ("u32 a; u32 b:3; u32 c;", "", [("a", 0, 4)]),
    "itself": ("u32 a; struct outer b;", "", [("a", 0, 4)]),
    "preprocessor": ("u32 a;\n#ifdef X\nu32 b;\n#endif\n", "", [("a", 0, 4), ("b", 4, 4)]),
}


@pytest.mark.parametrize(("body", "attribute", "expected"), STRUCTURES.values(), ids=STRUCTURES)
def test_layout_of_a_structure(body: str, attribute: str, expected: list[tuple[str, int, int]]) -> None:
    others = "struct inner { u64 x; char y; };\nunion either { u64 x; char y[3]; };\n"
    text = f"{others}struct outer {{ {body} }} {attribute};"
    known = dict(layout.structures("a.h", text))
    assert [(one.name, one.offset, one.size) for one in layout.members("outer", known, {"N": "4"})] == expected


NUMBERS = {
    "0x746f7966UL": 0x746F7966,
    "(1 << 12)": 4096,
    "((__u32) 010)": 8,
    "A": 24,
    "cpu_to_le32(5)": 5,
    "7 / 2": 3,
    "sizeof(u32) * 2": 8,
}
NO_NUMBERS = ("1 << 99", "B", "f(1)", "1 / 0", "", "'a'", "(" * 3000)


@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: text[:20])
def test_what_is_no_number_is_told(text: str) -> None:
    assert c_text.number(text, {"B": "B + 1"}) is None


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_value_of_an_expression(text: str, value: int) -> None:
    assert c_text.number(text, {"A": "(6 * C)", "C": "4"}, {"u32": 4}) == value


def test_comments_go_and_lines_and_strings_stay() -> None:
    text = 'a /* x\n y */ b // z\n"/* no */" \'"\' /* open\n'
    assert c_text.without_comments(text) == 'a  \n b  \n"/* no */" \'"\'  \n'


EXPANSIONS = {
    "$(A) ${B} $C": "1 2 3",
    "$(D:.c=.o)": "a.o b.o",
    "$(NO) $(shell uname -r)": "$(NO) $(shell uname -r)",
    "$(wildcard $(A)/*.c)": "$(wildcard 1/*.c)",
}


@pytest.mark.parametrize(("text", "expanded"), EXPANSIONS.items())
def test_expansion(text: str, expanded: str) -> None:
    assert makefile.expand(text, {"A": "1", "B": "$(E)", "C": "3", "D": "a.c b.c", "E": "2"}) == expanded


def test_a_value_that_doubles_has_an_end() -> None:
    assert len(makefile.expand("$(X)", {"X": "$(X)$(X)"})) <= makefile.LONGEST


def test_makefile_line_by_line() -> None:
    found = makefile.parse("d/Makefile", (
        "A = 1 \\\n 2\nexport B ?= x#y\nifdef A\nA += 3\nendif\ndefine C\nobj-m := no.o\nendef\n"
        ".PHONY: all\nall: a b; first\n\tsecond\n\n\t# third\nx y: %: %.c\nx: private F = 1\n"
    ))  # fmt: skip
    assert makefile.variables([found]) == {"A": "1 2 3", "B": "x"}
    assert [(rule.target, rule.prerequisites) for rule in found.rules] == [
        (".PHONY", "all"), ("all", "a b"), ("x", "x.c"), ("y", "y.c"), ("x", ""),
    ]  # fmt: skip
    assert found.rules[1].recipe == [(11, "first"), (12, "second"), (14, "# third")]
    assert (found.goal(), found.directory) == ("all", "d")


def test_dkms_without_what_only_dkms_knows() -> None:
    text = (
        "N=toy\nBUILT_MODULE_NAME[0]=$N\nBUILT_MODULE_LOCATION[0]=src/\nMAKE[0]='make B=$dkms_tree/$N K=$kernelver'\n"
    )
    found = dkms.parse("dkms.conf", text)
    assert found.modules == {"toy": "src"}
    assert not found.command
