"""What templates do with text from a guest, and what a page may do at all."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from tests.unit.example_runs import NASTY, with_last
from vexlab.report import markdown, templating, text
from vexlab.results.model import Check, Run, Stage, Verdict

LONG = 10_000_000


def page(content: str) -> str:
    """A page that extends the base, with a body of its own."""
    base = "{% extends 'base.html.j2' %}{% block title %}t{% endblock %}{% block content %}"
    return templating.environment().from_string(base + "{{ text }}{% endblock %}").render(text=content)


def body(document: str) -> str:
    found = re.search(r'<main id="content">(.*)</main>', document, re.S)
    assert found
    return found[1]


@pytest.mark.parametrize(
    "said", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "</main></body>", "{{ 7 * 7 }}"]
)
def test_page_escapes_what_it_is_given(said: str) -> None:
    shown = body(page(said))
    assert "<" not in shown
    assert '"' not in shown
    assert "49" not in shown


def test_page_shows_no_order_to_a_terminal_and_no_control_character() -> None:
    shown = body(page("\x1b[31mred\x1b[0m \x1b]0;title\x07rest \x00\x08 \u202eback\u202c \udcff"))
    assert shown.strip() == "red rest \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} " + (
        "\N{REPLACEMENT CHARACTER}back\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}"
    )


def test_page_is_bounded_by_no_template() -> None:
    shown = body(page("<" * LONG))
    assert len(shown) < 5 * templating.MOST  # each of them is four letters more
    assert f"{LONG - templating.MOST} more characters" in shown


def test_page_lets_its_own_style_and_script_be_used_and_no_other() -> None:
    document = page("")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', document)
    assert policy
    for tag in ("style", "script"):
        [inline] = re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.S)
        wanted = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{wanted}'" in policy[1].replace("&#39;", "'")
    assert policy[1].startswith("default-src &#39;none&#39;") or policy[1].startswith("default-src 'none'")


def test_page_asks_nothing_of_anywhere() -> None:
    document = page("")
    assert re.findall(r"""(?:src|href|url|action)\s*[=(]\s*["']?([^"'>)\s]+)""", document) == ["data:,", "#content"]
    assert "@import" not in document
    assert "fetch(" not in document


def test_name_that_a_template_lacks_is_told() -> None:
    with pytest.raises(Exception, match="'run' is undefined"):
        templating.render("report.md.j2")


@pytest.mark.parametrize("long", ["x" * LONG, "x\n" * (LONG // 2)], ids=["one line", "many lines"])
def test_report_is_bounded(long: str) -> None:
    """10 MB of a check's message are in results.json, and nobody reads them in a report."""
    checks = (Check("a", Verdict.FAILED, 1.0, long), Check("b", Verdict.SKIPPED, 0.0, long, long))
    stage = Stage("mount", Verdict.FAILED, 1.0, long, checks, details=long)
    base = with_last(Verdict.FAILED)
    run = Run(**{name: getattr(base, name) for name in Run.__struct_fields__} | {"stages": (stage,), "target": long})
    assert len(markdown.render_markdown(run)) < 250_000


def test_bound_says_how_much_is_missing() -> None:
    assert text.bounded("abcdef", 4) == "abcd … 2 more characters; the whole is in results.json"
    assert text.bounded("a\nb\nc\nd", 100, 2, "see the log") == "a\nb\n… 2 more lines; see the log"
    assert text.bounded("a\nb", 100, 2) == "a\nb"
    assert text.bounded(NASTY, 10_000).startswith("first | line\nsecond `tick` red <b>&amp; ")
