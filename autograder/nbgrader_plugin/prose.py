"""Markdown as HTML that needs nothing more: formulas become MathML, which browsers draw without a script."""

from __future__ import annotations

from html import escape
from pathlib import Path
from unicodedata import category

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


class _Renderer(IPythonRenderer):
    """nbconvert's renderer, with formulas drawn and images taken in."""

    def block_math(self, body: str) -> str:
        return _formula(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return _formula(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def inline_math(self, body: str) -> str:
        return _formula(body, "inline")


def to_page(text: str, folder: Path) -> str:
    """Render markdown; images are looked for in `folder` and put into the page itself."""
    renderer = _Renderer(escape=False, embed_images=True, exclude_anchor_links=True, path=str(folder))
    return str(MarkdownWithMath(renderer=renderer).render(text))


def on_the_graders_page(text: str) -> str:
    """Render markdown for formgrader's page, which serves its images itself."""
    return str(MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(text))


def visible(text: str) -> str:
    """Write out what is in a text and does not show: what steers a terminal, turns the reading order, takes no room."""
    return "".join(f"⟨U+{ord(c):04X}⟩" if c not in "\n\t\r" and category(c) in _UNSEEN else c for c in text)


def _formula(source: str, display: str) -> str:
    try:
        return str(convert(source, display=display))
    except Exception:  # the library has no error of its own; a person's comment may hold what only looks like a formula
        return f"<code>{escape(source)}</code>"
