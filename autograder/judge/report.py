"""A verdict, written out for a person: HTML for notebooks and feedback, plain text for terminals and comments.

All that can come from a student (headline, error, printed, the values of a counterexample) goes through `printable`
and is escaped. Course texts go through `markup`, which escapes as well. A redacted verdict shows the same panel with
fewer parts.
"""

from __future__ import annotations

from html import escape
from textwrap import indent, wrap

from autograder.course.markup import to_html, to_text
from autograder.course.model import Language, Text
from autograder.judge import panel
from autograder.judge.printable import one_line, printable
from autograder.judge.verdict import Counterexample, Kind, PropertyResult, Verdict

MARK = {"passed": "✓", "failed": "✗", "open": "○"}
_OPEN = frozenset({Kind.NOT_RUN, Kind.NOT_STARTED, Kind.NOT_PROVEN})
HOW: dict[Kind, Text] = {
    Kind.PASSED: Text(en="passed", zh="通过"),
    Kind.WRONG: Text(en="failed · wrong result", zh="未通过 · 结果不对"),
    Kind.RAISED: Text(en="failed · raised an error", zh="未通过 · 抛出异常"),
    Kind.TIME_LIMIT: Text(en="failed · out of time", zh="未通过 · 超时"),
    Kind.MEMORY_LIMIT: Text(en="failed · over the memory limit", zh="未通过 · 超出内存上限"),
    Kind.PROTOCOL: Text(en="failed · no usable result", zh="未通过 · 没有可用的结果"),
    Kind.FORBIDDEN: Text(en="failed · uses what is forbidden here", zh="未通过 · 用了本题禁用的操作"),
    Kind.NOT_STARTED: Text(en="not started", zh="尚未作答"),
    Kind.NOT_PROVEN: Text(en="not proven", zh="未能证明"),
    Kind.NOT_RUN: Text(en="not run", zh="未运行"),
}
RUNG: dict[str, Text] = {
    "namespaces": Text(en="own namespaces", zh="独立命名空间"),
    "bubblewrap": Text(en="bubblewrap", zh="bubblewrap"),
    "landlock": Text(en="Landlock", zh="Landlock"),
    "child": Text(en="a child process only", zh="仅子进程"),
}
_POINTS = Text(en="{points:g} of {max_points:g} points", zh="{points:g} / {max_points:g} 分")
_WHAT_HAPPENED = Text(en="What happened", zh="发生了什么")
_PROPERTIES = Text(en="Properties", zh="逐项检查")
_SMALLEST = Text(en="Smallest failing input", zh="最小的出错输入")
_PROPERTY = Text(en="property", zh="检查项")
_CASE = Text(en="case", zh="用例")
_EXPECTED = Text(en="expected", zh="应为")
_GOT = Text(en="got", zh="实得")
_PICTURE = Text(en="number by number, X is wrong", zh="逐个数看，X 处不对")
_WHERE = Text(en="where", zh="位置")
_ERROR = Text(en="error", zh="误差")
_RAISED = Text(en="The error that your code raised", zh="你的代码抛出的异常")
_PRINTED = Text(en="What your code printed", zh="你的代码打印的内容")
_SEED = Text(en="seed {seed} (run this input again: {replay})", zh="随机种子 {seed}（用同样的输入重跑：{replay}）")
_REPLAY = Text(en="run this input again", zh="用同样的输入重跑")
_ISOLATION = Text(en="isolation: {rung}", zh="隔离：{rung}")


def as_html(verdict: Verdict, language: Language, *, note: str = "", warning: str = "") -> str:
    """Render the panel: one self-contained, inline-styled <div>; no script, no style block, no request.

    The notebook adds a `note` (which cell was checked) to the small print, and a `warning` above it.
    """
    state = _state(verdict.kind)
    tone: panel.Tone = {"passed": "good", "failed": "bad", "open": "note"}[state]  # type: ignore[assignment]
    title = panel.title_line(tone, MARK[state], to_html(_headline(verdict, language)), _points(verdict, language))
    parts = [f'<div style="{panel.QUIET}">{panel.code(one_line(verdict.exercise))}</div>']
    if verdict.diagnosis:
        parts.append(panel.callout(tone, _WHAT_HAPPENED[language], to_html(verdict.diagnosis[language])))
    if verdict.error.strip():
        parts += [panel.heading(_RAISED[language]), panel.block(printable(verdict.error))]
    if verdict.properties:
        rows = "".join(_property_row(p, language) for p in verdict.properties)
        table = "border-collapse: collapse; width: 100%; margin: 0; font-size: .95em; table-layout: auto; border: 0"
        parts += [panel.heading(_PROPERTIES[language]), f'<table style="{table}"><tbody>{rows}</tbody></table>']
    if verdict.counterexample:
        parts.append(_counterexample_html(verdict, verdict.counterexample, language))
    if printed := printable(verdict.printed):
        parts.append(panel.folded(_PRINTED[language], panel.block(printed)))
    if warning:
        parts.append(panel.paragraph(f'<span aria-hidden="true">⚠</span> {escape(printable(warning, width=600))}'))
    if small := _small_print(verdict, language, note):
        parts.append(panel.small_print(small))
    return panel.frame(language, tone, title, "".join(parts))


def as_text(verdict: Verdict, language: Language, *, note: str = "", warning: str = "") -> str:
    """Render the same for a terminal: no colours, lines of at most 100 columns where the words are ours."""
    state = _state(verdict.kind)
    parts = [
        f"{MARK[state]} {one_line(verdict.exercise)}: {_points(verdict, language)}\n"
        + _filled(to_text(_headline(verdict, language)))
    ]
    if verdict.diagnosis:
        parts.append(f"{_WHAT_HAPPENED[language]}\n{_filled(to_text(verdict.diagnosis[language]))}")
    if verdict.error.strip():
        parts.append(f"{_RAISED[language]}\n{indent(printable(verdict.error), '  ')}")
    if verdict.properties:
        lines = [
            f"  {MARK[_state(p.kind)]} [{HOW[p.kind][language]}] {to_text(p.text[language])} "
            f"({p.points:g}/{p.max_points:g})"
            for p in verdict.properties
        ]
        parts.append("\n".join([_PROPERTIES[language], *lines]))
    if example := verdict.counterexample:
        lines = [f"{label}: {_hung(value)}" for label, value in _facts(verdict, example, language)]
        parts.append("\n".join([_SMALLEST[language], *(indent(line, "  ") for line in lines)]))
    if printed := printable(verdict.printed):
        parts.append(f"{_PRINTED[language]}\n{indent(printed, '  ')}")
    parts += [printable(line, width=600) for line in (warning, note) if line]
    return "\n\n".join(parts)


def _state(kind: Kind) -> str:
    if kind is Kind.PASSED:
        return "passed"
    return "open" if kind in _OPEN else "failed"


def _headline(verdict: Verdict, language: Language) -> str:
    # A headline may quote the message of the student's own exception.
    return one_line(verdict.headline[language], width=400)


def _points(verdict: Verdict, language: Language) -> str:
    return _POINTS[language].format(points=verdict.points, max_points=verdict.max_points)


def _property_row(result: PropertyResult, language: Language) -> str:
    state = _state(result.kind)
    colour = {"passed": panel.ACCENT["good"], "failed": panel.ACCENT["bad"], "open": "inherit"}[state]
    cell = "padding: .28em 1.1em .28em 0; text-align: left; vertical-align: baseline; background: none; border: 0"
    return (
        f'<tr style="background: none; border: 0; border-top: 1px solid {panel.LINE}">'
        f'<td style="{cell}; white-space: nowrap; width: 1%">'
        f'<span aria-hidden="true" style="color: {colour}; font-weight: 700">{MARK[state]}</span> '
        f"{escape(HOW[result.kind][language])}</td>"
        f'<td style="{cell}; white-space: normal">{to_html(result.text[language])}</td>'
        f'<td style="{cell}; padding-right: 0; text-align: right; white-space: nowrap; width: 1%; '
        f'font-variant-numeric: tabular-nums">{result.points:g} / {result.max_points:g}</td></tr>'
    )


def _counterexample_html(verdict: Verdict, example: Counterexample, language: Language) -> str:
    inputs = "\n".join(f"{one_line(name)} = {_hung(printable(value))}" for name, value in example.inputs.items())
    named = [
        (_PROPERTY[language], to_html(_property_text(verdict, example, language))),
        (_CASE[language], escape(one_line(example.case))),
    ]
    pair = [(_EXPECTED[language], example.expected), (_GOT[language], example.got)]
    found = [(_WHERE[language], one_line(example.where)), (_ERROR[language], one_line(example.error))]
    columns = "".join(
        f'<div style="flex: 1 1 16em; min-width: 0; margin-top: .5em"><div style="{panel.QUIET}">{escape(name)}</div>'
        f"{panel.block(printable(value))}</div>"
        for name, value in pair
        if value
    )
    return "".join(
        [
            panel.heading(_SMALLEST[language]),
            *(panel.fact(name, body) for name, body in named if body),
            panel.block(inputs) if inputs else "",
            f'<div style="display: flex; flex-wrap: wrap; gap: 0 1em">{columns}</div>',
            *(panel.fact(name, panel.code(value)) for name, value in found if value),
            _picture_html(example, language),
        ]
    )


def _picture_html(example: Counterexample, language: Language) -> str:
    if not example.picture:
        return ""
    # Read aloud, hundreds of marks say less than the line above them.
    image = f'<div role="img" aria-label="{escape(one_line(example.error))}">'
    return panel.fact(_PICTURE[language], f"{image}{panel.block(printable(example.picture))}</div>")


def _property_text(verdict: Verdict, example: Counterexample, language: Language) -> str:
    return next((p.text[language] for p in verdict.properties if p.name == example.property), example.property)


def _facts(verdict: Verdict, example: Counterexample, language: Language) -> list[tuple[str, str]]:
    """The counterexample as (label, text), in reading order, without what is empty."""
    replay = f'check("{one_line(verdict.exercise)}", seed={example.seed})'
    facts = [
        (_PROPERTY[language], one_line(to_text(_property_text(verdict, example, language)))),
        (_CASE[language], one_line(example.case)),
        *((one_line(name), printable(value)) for name, value in example.inputs.items()),
        (_EXPECTED[language], printable(example.expected)),
        (_GOT[language], printable(example.got)),
        (_WHERE[language], one_line(example.where)),
        (_ERROR[language], one_line(example.error)),
        (_PICTURE[language], printable(example.picture)),
        (_REPLAY[language], replay),
    ]
    return [(label, value) for label, value in facts if value]


def _small_print(verdict: Verdict, language: Language, note: str) -> str:
    parts = [escape(one_line(note))] if note else []
    if verdict.counterexample:
        seed = verdict.counterexample.seed
        replay = panel.code(f'check("{one_line(verdict.exercise)}", seed={seed})')
        parts.append(_SEED[language].format(seed=seed, replay=replay))
    if verdict.rung:
        rung = RUNG[verdict.rung][language] if verdict.rung in RUNG else one_line(verdict.rung)
        parts.append(_ISOLATION[language].format(rung=escape(rung)))
    if verdict.seconds:
        parts.append(f"{verdict.seconds:.2f} s")
    return " · ".join(parts)


def _hung(text: str) -> str:
    """A value of several lines starts on a line of its own."""
    return text if "\n" not in text else "\n" + indent(text, "  ")


def _filled(text: str) -> str:
    # wrap() counts characters and breaks at spaces; Chinese has none and keeps its own length.
    return "\n".join(
        line
        for paragraph in text.split("\n")
        for line in (wrap(paragraph, 96, initial_indent="  ", subsequent_indent="  ", break_long_words=False) or [""])
    )
