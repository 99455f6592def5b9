"""The pieces that every panel is made of: HTML that styles itself inline and runs nothing.

A panel is read in JupyterLab (light and dark), nbgrader's feedback and formgrader; each may drop a <style> block.
So text takes the colour around it, surfaces are see-through greys, and only marks and edges have their own colour.
Every function returns finished HTML; arguments called `text` are escaped, arguments called `body` are HTML already.
"""

from __future__ import annotations

from html import escape
from typing import Literal

from autograder.course.model import Language

Tone = Literal["good", "bad", "note"]
ACCENT: dict[Tone, str] = {
    "good": "var(--jp-success-color1, #388e3c)",
    "bad": "var(--jp-error-color1, #d32f2f)",
    "note": "var(--jp-brand-color1, #1976d2)",
}
LANGUAGE_TAG: dict[str, str] = {"en": "en", "zh": "zh-CN"}
LINE = "rgba(127, 127, 127, .35)"
SURFACE = "rgba(127, 127, 127, .09)"
MONO = "var(--jp-code-font-family, Menlo, Consolas, 'DejaVu Sans Mono', monospace)"
SANS = "var(--jp-content-font-family, system-ui, 'Noto Sans CJK SC', 'Microsoft YaHei', sans-serif)"
QUIET = "opacity: .78; font-size: .88em"


def frame(language: Language, tone: Tone, title: str, body: str) -> str:
    """Wrap a whole panel. `title` and `body` are HTML. The two classes keep MathJax out of what students wrote."""
    style = (
        f"box-sizing: border-box; max-width: 56rem; margin: .3em 0 .6em; padding: .8em 1.1em .7em; color: inherit; "
        f"border: 1px solid {LINE}; border-left: 5px solid {ACCENT[tone]}; border-radius: 6px; "
        f"font-family: {SANS}; line-height: 1.5; overflow-wrap: anywhere; overflow: hidden"
    )
    # JupyterLab paints bare code in a grey of its own, which is loud on a tinted box; student text cannot hold a tag.
    title, body = (html.replace("<code>", code_tag()) for html in (title, body))
    return (
        f'<div class="tilewise-panel mathjax_ignore tex2jax_ignore" lang="{LANGUAGE_TAG[language]}" style="{style}">'
        f"{title}{body}</div>"
    )


def title_line(tone: Tone, mark: str, body: str, aside: str = "") -> str:
    """The headline, its mark before it and a short `aside` (the points) at the right."""
    right = (
        f'<span style="white-space: nowrap; font-variant-numeric: tabular-nums">{escape(aside)}</span>' if aside else ""
    )
    return (
        '<div style="display: flex; gap: .6em; align-items: baseline; font-size: 1.12em; font-weight: 600">'
        f'<span aria-hidden="true" style="color: {ACCENT[tone]}; font-size: 1.15em">{escape(mark)}</span>'
        f'<span style="flex: 1 1 auto">{body}</span>{right}</div>'
    )


def heading(text: str) -> str:
    style = "margin: 1em 0 .3em; font-weight: 600; font-size: .95em"
    return f'<div role="heading" aria-level="4" style="{style}">{escape(text)}</div>'


def paragraph(body: str) -> str:
    return f'<div style="margin: .45em 0 0">{body}</div>'


def callout(tone: Tone, text: str, body: str) -> str:
    """A tinted box with a heading: what the reader should see first."""
    tint = {"good": "56, 142, 60", "bad": "245, 124, 0", "note": "25, 118, 210"}[tone]
    edge = "var(--jp-warn-color1, #f57c00)" if tone == "bad" else ACCENT[tone]
    style = (
        f"margin: .8em 0 .2em; padding: .6em .9em; border-radius: 5px; border-left: 3px solid {edge}; "
        f"background: rgba({tint}, .12)"
    )
    return (
        f'<div style="{style}"><div role="heading" aria-level="4" style="font-weight: 600; margin-bottom: .15em">'
        f"{escape(text)}</div><div>{body}</div></div>"
    )


def fact(text: str, body: str) -> str:
    """One line: a quiet label, then what it is."""
    return f'<div style="margin-top: .2em"><span style="{QUIET}">{escape(text)}</span> {body}</div>'


def block(text: str, *, height: str = "24em") -> str:
    """Preformatted text that scrolls within its own box, at most `height` (CSS) tall."""
    style = (
        f"margin: .25em 0; padding: .5em .7em; background: {SURFACE}; color: inherit; border: 0; border-radius: 4px; "
        f"font-family: {MONO}; font-size: .87em; line-height: 1.4; overflow: auto; max-height: {height}; "
        "white-space: pre; overflow-wrap: normal"
    )
    return f'<pre tabindex="0" style="{style}">{escape(text)}</pre>'


def code(text: str) -> str:
    return f"{code_tag()}{escape(text)}</code>"


def code_tag() -> str:
    return (
        f'<code style="font-family: {MONO}; font-size: .9em; background: {SURFACE}; color: inherit; '
        'padding: .05em .3em; border-radius: 3px">'
    )


def folded(text: str, body: str) -> str:
    """A part that opens on a click or with the Enter key."""
    return (
        f'<details style="margin-top: .9em"><summary style="cursor: pointer; font-weight: 600; font-size: .95em">'
        f"{escape(text)}</summary>{body}</details>"
    )


def small_print(body: str) -> str:
    return f'<div style="margin-top: .9em; padding-top: .45em; border-top: 1px solid {LINE}; {QUIET}">{body}</div>'


def notice(language: Language, tone: Tone, mark: str, title: str, body: str = "") -> str:
    """A panel of one sentence, with more below it where that helps; both are HTML."""
    return frame(language, tone, title_line(tone, mark, title), paragraph(body) if body else "")
