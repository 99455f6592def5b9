"""How panels get onto the page, and what they say to an id that nothing answers to."""

from __future__ import annotations

import difflib
from html import escape

from autograder.course.markup import to_html, to_text
from autograder.course.model import Language, Text
from autograder.judge import panel
from autograder.judge.printable import printable
from tilewise_lab import place

# What an output says it shows, so that `tilewise_lab.still` can draw it anew from the files. Readers that do not know
# these types pass over them.
QUIZ = "application/vnd.tilewise.quiz+json"
PROGRESS = "application/vnd.tilewise.progress+json"

_NO_SUCH_ID = Text(en="there is no id {id}; {there}", zh="没有编号为 {id} 的题目；{there}")
_NEAR = Text(en="did you mean {ids}?", zh="你要找的是不是 {ids}？")
_KNOWN = Text(en="there are: {ids}", zh="现有的编号：{ids}")
_COMMA = Text(en=", ", zh="、")


class UnknownIdError(ValueError):
    """No exercise and no question has this id: lists the ones that look like it."""


def show(html: str, text: str, *, kind: str = "") -> None:
    """Display a panel; a frontend without HTML shows the text. Never goes to stdout or stderr of the cell.

    kind: a MIME type such as PROGRESS, for a panel that is drawn anew when the notebook is opened.
    """
    if place.shell() is None:
        print(text)
        return
    from IPython.display import display

    display({"text/html": html, "text/plain": text} | ({kind: {}} if kind else {}), raw=True)


def show_notice(language: Language, tone: panel.Tone, mark: str, headline: str, body: str = "") -> None:
    """Display one sentence in a panel; headline and body are texts in the little markup."""
    html = panel.notice(language, tone, mark, to_html(headline), to_html(body) if body else "")
    show(html, "\n".join(line for line in (f"{mark} {to_text(headline)}", to_text(body)) if line))


def unknown_id(given: object, known: list[str]) -> UnknownIdError:
    """Make the error for an id that does not exist, in the reader's language."""
    language = place.language()
    near = difflib.get_close_matches(str(given), known, n=5, cutoff=0.4)
    there = (_NEAR if near else _KNOWN)[language].format(ids=_COMMA[language].join(near or known))
    return UnknownIdError(_NO_SUCH_ID[language].format(id=repr(str(given)[:80]), there=there))


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Lay out rows of escaped text under headings; the last column stands at the right."""
    last = len(headings) - 1
    cell = "padding: .3em 1.1em .3em 0; background: none; border: 0; white-space: normal; vertical-align: baseline"

    def line(tag: str, values: tuple[str, ...]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        cells = "".join(
            f'<{tag}{scope} style="{cell}; text-align: {"right" if i == last else "left"}">{escape(value)}</{tag}>'
            for i, value in enumerate(values)
        )
        return f'<tr style="background: none; border: 0; border-top: 1px solid {panel.LINE}">{cells}</tr>'

    body = "".join(line("td", row) for row in rows)
    style = "border-collapse: collapse; table-layout: auto; width: 100%; margin: .5em 0 0; font-size: .95em; border: 0"
    return f'<table style="{style}"><thead>{line("th", headings)}</thead><tbody>{body}</tbody></table>'


def escaped(text: str) -> str:
    """Escape a message that may quote a file's content."""
    return escape(printable(text))
