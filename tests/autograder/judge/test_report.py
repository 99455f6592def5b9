"""A verdict written out: complete, in both languages, and safe whatever the student wrote."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from autograder.course.model import LANGUAGES, Language, Text
from autograder.judge.printable import LIMIT, LINES, WIDTH, one_line, printable
from autograder.judge.report import HOW, MARK, as_html, as_text
from autograder.judge.verdict import Counterexample, Kind, PropertyResult, Verdict

VOID = {"br", "img", "input", "hr", "meta", "link"}
ALLOWED = {
    "div",
    "span",
    "table",
    "tbody",
    "tr",
    "td",
    "pre",
    "code",
    "details",
    "summary",
    "strong",
    "i",
    "sub",
    "sup",
    "p",
}
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></div><iframe src=//evil.example></iframe>",
    "<style>body{display:none}</style>",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "$\\href{javascript:alert(1)}{x}$ \\(x\\) `<b>` **<b>** $<b>$",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x00\x01\x07\x08\x7f\x9b31m",
    "\u202egnp.exe\u202c \u2066hidden\u2069 \u200b\ufeff",
    "a" + "\u0301" * 500,
    "x" * 100_000,
    "line\n" * 10_000,
    "progress\rbar\r",
]


class Reader(HTMLParser):
    """Reads a panel strictly: which tags, which attributes, and whether every tag is closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text += data


def verdict(student: str = "", **more: object) -> Verdict:
    """A failing verdict; `student` stands wherever a student's text can come in."""
    properties = (
        PropertyResult(
            name="grows", text=Text(en="the maximum grows", zh="最大值变大"), kind=Kind.PASSED, points=1, max_points=1
        ),
        PropertyResult(
            name="ragged", text=Text(en="a ragged tail", zh="尾块不满"), kind=Kind.WRONG, points=0, max_points=2.5
        ),
        PropertyResult(
            name="far", text=Text(en="far below zero", zh="远小于零"), kind=Kind.NOT_RUN, points=0, max_points=1
        ),
    )
    example = Counterexample(
        property="ragged",
        case=f"x=(1, 3) float32 {student}",
        inputs={"x": f"[[1.5, 2.5]]{student}", "block": "2"},
        expected=f"[4.0]{student}",
        got=f"[5.0]{student}",
        where=f"row 0 {student}",
        error=f"off by 1 {student}",
        seed=41,
        picture=f"..X\nX.X{student}",
    )
    fields: dict[str, object] = {
        "exercise": "row.double",
        "kind": Kind.WRONG,
        "points": 1.0,
        "max_points": 4.5,
        "properties": properties,
        "headline": Text(en=f"One of three holds {student}", zh=f"三项中通过一项 {student}"),
        "mistake": "no_tail",
        "diagnosis": Text(en="The last tile was dropped: $l_i$.", zh="最后一块被丢掉了：$l_i$。"),
        "counterexample": example,
        "error": f"Traceback: {student}" if student else "",
        "printed": student,
        "rung": "namespaces",
        "seconds": 0.41,
    }
    return Verdict.model_validate(fields | more)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_nothing_from_a_student_becomes_markup_or_control(attack: str, language: Language) -> None:
    shown = verdict(attack)
    html, text = as_html(shown, language), as_text(shown, language)
    read = Reader(html)
    assert read.tags <= ALLOWED
    assert not read.open
    assert set(read.attributes) <= {
        "style",
        "class",
        "lang",
        "role",
        "aria-level",
        "aria-label",
        "aria-hidden",
        "tabindex",
    }
    assert not any("url(" in style or "expression" in style for style in read.attributes["style"])
    for output in (html, text):
        assert not re.search(
            r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", output
        )
        output.encode("utf-8")
        assert max(map(len, read.text.split("\n"))) < 20 * WIDTH
    assert len(html) < 20 * LIMIT


def test_the_reader_of_this_file_finds_what_it_looks_for() -> None:
    assert "script" in Reader("<script></script>").tags
    assert "onclick" in Reader('<p onclick="x"></p>').attributes
    assert Reader("<div><p></p>").open == ["div"]
    with pytest.raises(ValueError, match="closes nothing"):
        Reader("<div></p></div>")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("render", [as_html, as_text])
def test_a_panel_says_all_that_there_is_to_say(render: object, language: Language) -> None:
    shown = verdict("hello from print")
    output = render(shown, language, note="In[12]", warning="save first")  # type: ignore[operator]
    text = Reader(output).text if render is as_html else output
    for needed in (
        "row.double",
        "x=(1, 3) float32",
        "[4.0]",
        "[5.0]",
        "row 0",
        "off by 1",
        "seed=41",
        "hello from print",
    ):
        assert needed in text, needed
    for needed in ("In[12]", "save first", "4.5", *(p.text[language] for p in shown.properties)):
        assert needed in text, needed
    assert ("The last tile was dropped" if language == "en" else "最后一块被丢掉了") in text
    assert ("points" if language == "en" else "分") in text


def test_marks_say_in_words_what_they_say_in_colour() -> None:
    text = Reader(as_html(verdict(), "en")).text
    assert "✓ passed" in text
    assert "✗ failed · wrong result" in text
    assert "○ not run" in text


def test_not_run_and_not_proven_never_look_like_a_pass() -> None:
    for kind in (Kind.NOT_RUN, Kind.NOT_PROVEN, Kind.NOT_STARTED):
        output = as_text(verdict(kind=kind, properties=()), "en")
        assert output.startswith(MARK["open"])


def test_every_kind_has_its_words_in_both_languages() -> None:
    assert set(HOW) == set(Kind)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_redacted_verdict_shows_no_case_and_still_its_diagnosis(language: Language) -> None:
    shown = verdict("secret input").redacted()
    shown = shown.model_copy(update={"headline": Text(en="One of three holds", zh="三项中通过一项")})
    for output in (as_html(shown, language), as_text(shown, language)):
        assert "secret" not in output
        assert "41" not in output.replace("0.41", "")
        assert ("dropped" if language == "en" else "丢掉") in output


def test_a_pass_needs_no_more_than_its_properties() -> None:
    bare = verdict(kind=Kind.PASSED, counterexample=None, diagnosis=None, rung="", seconds=0.0, points=4.5)
    assert as_text(bare, "en").startswith(MARK["passed"])
    assert "<details" not in as_html(bare, "en")


def test_printable_says_what_it_left_out() -> None:
    assert printable("x" * (WIDTH + 42)).endswith("… +42")
    assert printable("y\n" * (LINES + 6) + "y").endswith("⋮ +7")
    assert printable("z\n" * LIMIT).endswith(f"… +{LIMIT}")
    assert one_line("a\n\nb\tc") == "a b c"
    assert printable("lone \ud800 surrogate") == "lone \ufffd surrogate"


def test_printable_keeps_what_people_write() -> None:
    for text in ("tensor([1.5, -inf])", "第 2 块：l = 4.02", "café naïve Ελληνικά", "a\tb".expandtabs(4), "→ ≤ α"):
        assert printable(text) == text


def test_an_unfinished_escape_swallows_no_more_than_its_line() -> None:
    assert printable("\x1b]0;no end\nnext") == "\nnext"
    assert printable("\x1b[31") == ""
    assert printable("\x1b") == ""
