"""The templates of every report, in one tree. What comes from a guest is data there: bounded, cleaned, escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from jinja2.nodes import EvalContext
from markupsafe import Markup

from vexlab import __version__
from vexlab.report.terminal import STYLES, clock
from vexlab.report.text import bounded, cell, code, fence
from vexlab.results.model import Verdict

TEMPLATES = Path(__file__).with_name("templates")
MOST = 20_000  # characters of one value that a page shows, whatever it is


def render(name: str, **context: object) -> str:
    """Return a template of this tree with these names filled in: a page (`*.html.j2`), or Markdown (`*.md.j2`).

    Raises jinja2.UndefinedError for a name that the template has and the context doesn't.
    """
    return environment().get_template(name).render(context)


@cache
def environment() -> jinja2.Environment:
    """Return what renders all of them: HTML is escaped, Markdown by its filters."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(disabled_extensions=("md.j2",), default=True),
        undefined=jinja2.StrictUndefined,
        finalize=_as_data,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(cell=cell, code=code, fence=fence, bounded=bounded, clock=clock, sign=sign, word=word)
    style, script = (_inline(name) for name in ("style.css", "page.js"))
    made.globals.update(
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script), version=__version__
    )
    return made


def word(verdict: Verdict) -> str:
    """Return a verdict as a word that people read."""
    return str(verdict).replace("_", " ")


def sign(verdict: Verdict) -> str:
    """Return the sign of a verdict, so that it isn't told by its colour alone."""
    return STYLES[verdict][0]


@jinja2.pass_eval_context
def _as_data(context: EvalContext, value: object) -> object:
    """Return what is written of a value: on a page nothing that is longer than anybody reads, nor unprintable."""
    return bounded(value, MOST) if context.autoescape and type(value) is str else value


def _inline(name: str) -> Markup:
    """Return a file that stands in each page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _hash(text: str) -> str:
    """Return the hash by which a page lets this style or script be used, and no other that got into it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
