"""`progress()`: the whole course at a glance, with what has been done of it."""

from __future__ import annotations

from autograder.course.markup import to_text
from autograder.course.model import Chapter, Course, Language, Text
from autograder.judge import panel
from tilewise_lab import output, place, record

_TITLE = Text(en="Your progress", zh="你的学习进度")
_HEADINGS = (Text(en="Chapter", zh="章"), Text(en="Exercise", zh="练习"), Text(en="State", zh="状态"))
_BEST = Text(en="Best points", zh="最高得分")
_QUIZ = Text(en="Quiz", zh="测验")
_PASSED = Text(en="✓ passed", zh="✓ 通过")
_STARTED = Text(en="○ started", zh="○ 进行中")
_NEW = Text(en="– not started", zh="– 未开始")
_ANSWERED = Text(en="{answered} of {all} answered", zh="已答 {answered} / {all} 题")
_RIGHT = Text(en="{right} of {practice} practice questions right", zh="练习题答对 {right} / {practice}")
_TOTAL = Text(
    en="{passed} of {all} exercises passed, {points:g} of {of:g} points",
    zh="通过 {passed} / {all} 个练习，共 {points:g} / {of:g} 分",
)
_NO_FILE = Text(
    en="Nothing is kept here: there is no progress.json in this folder or above it. `tilewise learn` makes one.",
    zh="这里没有可写入的记录：当前文件夹及其上级都没有 progress.json，`tilewise learn` 会创建它。",
)


def progress() -> None:
    """Show every chapter with its exercises, best points and quiz answers. Both languages share the record."""
    language = place.language()
    done, message = record.load()
    if record.find(place.folder()) is None:
        message = to_text(_NO_FILE[language])
    output.show(*panels(place.course(), done, language, message), kind=output.PROGRESS)


def panels(course: Course, done: record.Record, language: Language, message: str = "") -> tuple[str, str]:
    """Draw a record as HTML and as text, with a message below it."""
    rows = [row for chapter in course.chapters for row in _rows(chapter, done, language)]
    entries = [done.exercises.get(id_) for id_ in course.exercises]
    total = _TOTAL[language].format(
        passed=sum(entry.passed for entry in entries if entry),
        all=len(entries),
        points=sum(entry.best for entry in entries if entry),
        of=sum(exercise.points for exercise in course.exercises.values()),
    )
    headings = (*(text[language] for text in _HEADINGS), _BEST[language])
    body = panel.fact(total, "") + output.table(headings, rows)
    body += panel.small_print(f"⚠ {output.escaped(message)}") if message else ""
    html = panel.frame(language, "note", panel.title_line("note", "◆", _TITLE[language]), body)
    lines = [_TITLE[language], total, *("  ".join(part for part in row if part) for row in rows), message]
    return html, "\n".join(line for line in lines if line)


def _rows(chapter: Chapter, done: record.Record, language: Language) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    name = chapter.title[language]
    for exercise in chapter.exercises:
        entry = done.exercises.get(exercise.id)
        state = (_PASSED if entry.passed else _STARTED if entry.tries else _NEW) if entry else _NEW
        points = f"{entry.best if entry else 0.0:g} / {exercise.points:g}"
        rows.append((name, exercise.title[language], state[language], points))
        name = ""  # a chapter is named once
    answers = [(question, done.questions.get(question.full_id)) for question in chapter.questions]
    practice = [entry for question, entry in answers if not question.graded]
    answered = sum(bool(entry and entry.answered) for _, entry in answers)
    right = sum(bool(entry and entry.right) for entry in practice)
    state_text = _ANSWERED[language].format(answered=answered, all=len(answers))
    rows.append((name, _QUIZ[language], state_text, _RIGHT[language].format(right=right, practice=len(practice))))
    return rows
