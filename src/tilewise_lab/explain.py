"""What is said of an answer to a practice question: right or wrong, and the why of every option."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from autograder.course.markup import to_html, to_text
from autograder.course.model import Language, Option, Question, Text
from autograder.course.quiz import Answer, mark
from autograder.judge import panel

_RIGHT = Text(en="Right.", zh="答对了。")
_WRONG = Text(en="Not quite.", zh="不太对。")
SAVED = Text(en="Saved: your answer is {answer}.", zh="已保存：你的答案是 {answer}。")
_PRACTICE = Text(en="Practice", zh="练习题")
_GRADED = Text(en="Graded, {points:g} points", zh="计分题，{points:g} 分")
_RIGHT_ANSWER = Text(en="The right answer: {answer}", zh="正确答案：{answer}")
_BADGES: dict[tuple[bool, bool], Text] = {
    # (chosen, correct)
    (True, True): Text(en="your choice, right", zh="你选的，正确"),
    (True, False): Text(en="your choice, wrong", zh="你选的，错误"),
    (False, True): Text(en="right", zh="正确"),
    (False, False): Text(en="wrong", zh="错误"),
}
_LEFT_OUT = Text(en="rightly left out", zh="不该选，你也没有选")
_MISSED = Text(en="belongs, and was not chosen", zh="应选，你没有选")


class Said(NamedTuple):
    """One option with what is said of it; `badge` is empty where an option is neither right nor wrong by itself."""

    key: str
    text: str
    why: str
    badge: str
    good: bool


class Explanation(NamedTuple):
    """`answer` is the right one, written out, where the options do not show it. Texts are in the little markup."""

    right: bool
    headline: str
    answer: str
    why: str
    options: tuple[Said, ...]


def explanation(question: Question, answer: Answer, language: Language) -> Explanation:
    """Explain a normalised answer to a practice question."""
    right = mark(question, answer).correct
    shown = question.kind in ("number", "ordering")
    answer_text = _RIGHT_ANSWER[language].format(answer=written(question, right_answer(question))) if shown else ""
    return Explanation(
        right=right,
        headline=(_RIGHT if right else _WRONG)[language],
        answer=answer_text,
        why=question.why[language] if question.why else "",
        options=tuple(_said(question, option, answer, language) for option in _in_order(question)),
    )


def _in_order(question: Question) -> list[Option]:
    """The options as they were shown; those of an ordering in the right order."""
    if question.kind != "ordering":
        return list(question.options)
    return sorted(question.options, key=lambda option: question.order.index(option.key))


def _said(question: Question, option: Option, answer: Answer, language: Language) -> Said:
    text, why = option.text[language], option.why[language]
    if question.kind == "ordering":
        return Said(option.key, text, why, badge="", good=True)
    chosen = option.key == answer or (isinstance(answer, tuple) and option.key in answer)
    if question.kind == "several":
        # Here leaving out a wrong option is right, and leaving out a right one is the mistake.
        badge = _BADGES[True, option.correct] if chosen else _MISSED if option.correct else _LEFT_OUT
        return Said(option.key, text, why, badge[language], good=option.correct is chosen)
    return Said(option.key, text, why, _BADGES[chosen, option.correct][language], good=option.correct)


def as_html(explained: Explanation, language: Language) -> str:
    """Render an explanation as a panel."""
    tone: panel.Tone = "good" if explained.right else "bad"
    return panel.frame(language, tone, title_line(explained), body(explained))


def title_line(explained: Explanation) -> str:
    """Say in one line whether the answer was right, in HTML."""
    tone: panel.Tone = "good" if explained.right else "bad"
    return panel.title_line(tone, "✓" if explained.right else "✗", explained.headline)


def body(explained: Explanation) -> str:
    """Say why, of every option, in HTML."""
    parts = [panel.paragraph(f"<strong>{escape(explained.answer)}</strong>") if explained.answer else ""]
    parts.append(panel.paragraph(to_html(explained.why)) if explained.why else "")
    for option in explained.options:
        colour = panel.ACCENT["good" if option.good else "bad"]
        glyph = "✓" if option.good else "✗"
        mark_html = f'<span aria-hidden="true" style="color: {colour}; font-weight: 700">{glyph}</span>'
        badge = f"{mark_html} <strong>{escape(option.badge)}</strong>" if option.badge else ""
        parts.append(
            panel.paragraph(f"{panel.code(option.key)} {to_html(option.text)}")
            + f'<div style="margin: .1em 0 .3em 1.8em">{badge} <span>{to_html(option.why)}</span></div>'
        )
    return "".join(parts)


def as_text(explained: Explanation) -> str:
    """Render an explanation for a terminal."""
    lines = [f"{'✓' if explained.right else '✗'} {explained.headline} {explained.answer}".rstrip()]
    lines += [to_text(explained.why)] if explained.why else []
    for option in explained.options:
        lines.append(f"  {option.key}) {to_text(option.text)}")
        lines.append(f"     {f'[{option.badge}] ' if option.badge else ''}{to_text(option.why)}")
    return "\n".join(lines)


def label(question: Question, language: Language) -> str:
    """Say whether a question is for practice, or how many points it gives."""
    return _GRADED[language].format(points=question.points) if question.graded else _PRACTICE[language]


def as_shown(question: Question) -> list[Option]:
    """The options in the order of the file; turned round where that would give an ordering away."""
    options = list(question.options)
    in_file = tuple(option.key for option in options)
    return options[::-1] if question.kind == "ordering" and in_file == question.order else options


def example(question: Question) -> str:
    """Write an answer of the right shape, as it would be typed; it says nothing of which one is right."""
    keys = [option.key for option in question.options]
    match question.kind:
        case "one":
            return f'"{keys[0]}"'
        case "several":
            return f'["{keys[0]}", "{keys[-1]}"]'
        case "ordering":
            return "[" + ", ".join(f'"{key}"' for key in keys) + "]"
        case _:
            return "12.5"


def written(question: Question, answer: Answer) -> str:
    """Write an answer for a person: `b`, `a, c`, `c → a → b`, `12.5 KiB`."""
    if isinstance(answer, tuple):
        return (" → " if question.kind == "ordering" else ", ").join(answer)
    if isinstance(answer, float):
        return f"{answer:.6g} {question.unit}".rstrip()
    return str(answer)


def right_answer(question: Question) -> Answer:
    """Return the answer that earns the mark."""
    match question.kind:
        case "number":
            return question.answer
        case "ordering":
            return question.order
        case "several":
            return tuple(option.key for option in question.options if option.correct)
        case _:
            return next(option.key for option in question.options if option.correct)
