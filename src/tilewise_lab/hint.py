"""`hint(id)`: one step more each time, and the solution after a pass or when asked for by name."""

from __future__ import annotations

import re

from autograder.course.markup import to_html, to_text
from autograder.course.model import Exercise, Language, Text
from autograder.judge import panel
from tilewise_lab import output, place, record

CONFIRM = "show me"
_HINT = Text(en="Hint {number} of {all}", zh="提示 {number} / {all}")
_MORE = Text(en="Run this cell again for the next hint.", zh="再次运行这一格，可以看到下一条提示。")
_LAST = Text(
    en='That was the last hint. The solution is shown after you pass, or now by `hint("{id}", solution=True)`.',
    zh='提示到此为止。通过之后会显示参考解答；现在就想看，请运行 `hint("{id}", solution=True)`。',
)
_CONFIRM_TITLE = Text(en="Show the solution before you have passed?", zh="还没有通过，确定要看参考解答吗？")
_CONFIRM = Text(
    en="You only find this one out once: most who stop here were one idea away. If you want to go on with the solution "
    'in front of you, run `hint("{id}", solution="{confirm}")`. It costs no points.',
    zh="亲手想出来的机会只有一次，停在这里的人往往只差一个念头。如果确定要对照解答继续，请运行 "
    '`hint("{id}", solution="{confirm}")`。不扣分。',
)
_TAKES = Text(
    en='solution takes True, False or "{confirm}", got {given}',
    zh='solution 可以是 True、False 或 "{confirm}"，收到的是 {given}',
)
_SOLUTION = Text(en="One solution", zh="参考解答之一")
_COMPARE = Text(
    en="Yours may look different and be just as right. Read it against this one: what differs, and does it matter?",
    zh="你的写法可以不同，同样正确。对照着读一遍：哪里不同，这种不同要紧吗？",
)
_STUDY = Text(
    en="Read it until you can say why each line is there. Then close it, and write your own.",
    zh="读到能说出每一行为什么在那里，再把它收起来，自己写一遍。",
)


def hint(exercise_id: str, *, solution: bool | str = False) -> None:
    """Show the next hint of an exercise; after it is passed, the solution.

    solution=True asks before it shows the solution early and names the words that confirm it. How many hints were read
    is kept in progress.json. Raises UnknownIdError for an id that no exercise has.
    """
    course, language = place.course(), place.language()
    if exercise_id not in course.exercises:
        raise output.unknown_id(exercise_id, list(course.exercises))
    if solution not in (True, False, CONFIRM):
        raise ValueError(_TAKES[language].format(confirm=CONFIRM, given=repr(solution)[:80]))
    exercise = course.exercises[exercise_id]
    done, message = record.load()
    entry = done.exercises.get(exercise_id, record.ExerciseRecord())
    if entry.passed or solution == CONFIRM:
        _show_solution(exercise, _COMPARE if entry.passed else _STUDY, language)
    elif solution:
        body = _CONFIRM[language].format(id=exercise_id, confirm=CONFIRM)
        output.show_notice(language, "note", "?", _CONFIRM_TITLE[language], body)
    else:
        message = message or _count_one(exercise)
        _show_hints(exercise, min(entry.hints + 1, len(exercise.hint)), language, message)


def _count_one(exercise: Exercise) -> str:
    def edit(done: record.Record) -> None:
        entry = done.exercises.setdefault(exercise.id, record.ExerciseRecord(of=exercise.points))
        entry.hints = min(entry.hints + 1, len(exercise.hint))

    return record.change(edit)[1]


def _show_hints(exercise: Exercise, count: int, language: Language, message: str) -> None:
    parts, lines = [], []
    for number, text in enumerate(exercise.hint[:count], start=1):
        title = _HINT[language].format(number=number, all=len(exercise.hint))
        parts.append(panel.callout("note", title, to_html(text[language])))
        lines += [title, f"  {to_text(text[language])}"]
    after = (_MORE if count < len(exercise.hint) else _LAST)[language].format(id=exercise.id)
    small = to_html(after) + (f"<br>⚠ {output.escaped(message)}" if message else "")
    title = panel.title_line("note", "◆", to_html(exercise.title[language]))
    html = panel.frame(language, "note", title, "".join(parts) + panel.small_print(small))
    output.show(html, "\n".join(line for line in (*lines, to_text(after), message) if line))


def _show_solution(exercise: Exercise, advice: Text, language: Language) -> None:
    text = _without_marks(exercise.solution_path.read_text(encoding="utf-8"))
    title = panel.title_line("note", "◆", to_html(exercise.title[language]))
    body = (
        panel.heading(_SOLUTION[language])
        + panel.block(text, height="none")
        + panel.small_print(to_html(advice[language]))
    )
    output.show(panel.frame(language, "note", title, body), f"{_SOLUTION[language]}\n{text}\n{advice[language]}")


def _without_marks(source: str) -> str:
    """Drop the author's `### BEGIN SOLUTION` and `### END SOLUTION` lines."""
    return re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION[ \t]*\n?", "", source, flags=re.MULTILINE).strip()
