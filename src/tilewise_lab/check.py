"""`check(id)`: judge the text of an exercise's cell and show what came of it."""

from __future__ import annotations

import os

from autograder.course.model import Course, Exercise, Language, Question, Text
from autograder.course.quiz import PICKED, Answer, AnswersError, assigns, mark, normalised, read_answers, typed_answer
from autograder.judge.panel import Tone
from autograder.judge.report import as_html, as_text
from autograder.judge.verdict import Kind, PropertyResult, Verdict
from tilewise_lab import explain, judging, output, place, record

_RUN_FIRST = Text(
    en="Run the cell that begins with “# exercise: {id}” first, then this one.",
    zh="请先运行以 “# exercise: {id}” 开头的单元格，再运行这一格。",
)
_CHECKED = Text(en="checked the text of In[{number}]", zh="检查的是 In[{number}] 的代码")
_DIFFERS = Text(
    en="The saved notebook holds another text for this cell than In[{number}]. If you changed it since, run the cell "
    "and check again. If it is not saved yet, save (Ctrl+S).",
    zh="已保存的 notebook 中，这一格的内容与 In[{number}] 不同。如果之后又改过，请先运行这一格，再检查一次；"
    "如果还没有保存，请保存（Ctrl+S）。",
)
_SAVED_MORE = Text(
    en="You can change it until you hand in. It is marked after that.", zh="提交之前可以随时修改，提交之后才会评分。"
)
_NO_ANSWER = Text(en="No answer to {id} yet.", zh="{id} 还没有答案。")
_HOW_TO_ANSWER = Text(
    en="Choose in the question above, or type it in the answer cell, such as `{name} = {example}`, and run that cell.",
    zh="请在上面的题目中选择，或在答案单元格里写，例如 `{name} = {example}`，然后运行该单元格。",
)
_NOT_UNDERSTOOD = Text(
    en="What is there is no answer to this question: {found}.", zh="现有的内容不是这道题的有效答案：{found}。"
)
_MARKED = Text(en="{points:g} of {max_points:g} points", zh="{points:g} / {max_points:g} 分")


def check(exercise_id: str, *, seed: int | None = None) -> float | None:
    """Judge an exercise, or look at the answer to a question; show a panel.

    exercise_id: "online_softmax.streaming", or a question's, "online_softmax.q7".
    seed: draws the inputs that a panel named, to see that failure again; left out, fresh inputs are drawn.
    Returns the points of an exercise as a float, 0.0 included. A question returns None (its panel says what is saved),
    except under `nbgrader autograde`, where a graded one returns its points.
    A wrong answer never raises. Raises UnknownIdError, NotInNotebookError (no notebook runs here), and JudgeError (the
    judge itself could not run).
    """
    course, language = place.course(), place.language()
    if question := course.questions.get(exercise_id):
        return _check_question(question, language)
    executed = _executed(course, exercise_id)
    exercise = course.exercises[exercise_id]
    if executed is None:
        verdict = _not_run(exercise)
        output.show(as_html(verdict, language), as_text(verdict, language))
        return 0.0
    verdict = judging.judged(exercise_id, executed.source, seed)
    warnings = [record.add_verdict(verdict)]
    if place.saved_text_differs(exercise_id, executed.source):
        # JupyterLab, as `tilewise learn` opens it, has just saved the notebook: there it means the first of the two.
        warnings.append(_DIFFERS[language].format(number=executed.number))
    note = _CHECKED[language].format(number=executed.number)
    warning = "\n".join(text for text in warnings if text)
    output.show(
        as_html(verdict, language, note=note, warning=warning), as_text(verdict, language, note=note, warning=warning)
    )
    return float(verdict.points)


def verdict(exercise_id: str, *, seed: int | None = None) -> Verdict:
    """Judge an exercise as `check` does, but return the Verdict and show and record nothing."""
    course = place.course()
    executed = _executed(course, exercise_id)
    if executed is None:
        return _not_run(course.exercises[exercise_id])
    return judging.judged(exercise_id, executed.source, seed)


def _executed(course: Course, exercise_id: str) -> place.Executed | None:
    if exercise_id not in course.exercises:
        raise output.unknown_id(exercise_id, [*course.exercises, *course.questions])
    return place.newest_input(lambda source: place.is_marked(source, exercise_id))


def _not_run(exercise: Exercise) -> Verdict:
    properties = tuple(
        PropertyResult(name=name, text=Text(en=p.en, zh=p.zh), kind=Kind.NOT_RUN, points=0.0, max_points=p.points)
        for name, p in exercise.properties.items()
    )
    headline = Text(en=_RUN_FIRST.en.format(id=exercise.id), zh=_RUN_FIRST.zh.format(id=exercise.id))
    return Verdict(
        exercise=exercise.id,
        kind=Kind.NOT_STARTED,
        points=0.0,
        max_points=exercise.points,
        properties=properties,
        headline=headline,
    )


def _check_question(question: Question, language: Language) -> float | None:
    try:
        found = _found_answer(question)
        problem = "" if found is None else _NOT_UNDERSTOOD[language].format(found=str(found)[:80])
    except AnswersError as error:
        found, problem = None, str(error)
    answer = normalised(question, found)
    if question.graded and os.environ.get("NBGRADER_EXECUTION") == "autograde":
        marked = mark(question, answer)
        tone: Tone = "good" if marked.correct else "bad"
        glyph = "✓" if marked.correct else "✗"
        output.show_notice(
            language, tone, glyph, _MARKED[language].format(points=marked.points, max_points=marked.max_points)
        )
        return float(marked.points)
    if answer is None:
        how = _HOW_TO_ANSWER[language].format(name=question.id, example=explain.example(question))
        headline = _NO_ANSWER[language].format(id=question.full_id)
        output.show_notice(language, "note", "○", headline, "\n\n".join(part for part in (problem, how) if part))
    elif question.graded:
        output.show_notice(
            language,
            "note",
            "✓",
            explain.SAVED[language].format(answer=explain.written(question, answer)),
            _SAVED_MORE[language],
        )
    else:
        explained = explain.explanation(question, answer, language)
        output.show(explain.as_html(explained, language), explain.as_text(explained))
    return None


def _found_answer(question: Question) -> Answer:
    """The answer typed in the newest cell that assigns one, else the one in answers.json."""
    if place.shell() is not None:
        # A marker is not needed here: the cell that assigns `q7` is the answer cell of q7.
        cell = place.newest_input(lambda source: assigns(source, question.full_id))
        typed = typed_answer(cell.source, question.full_id) if cell else PICKED
        if typed is not PICKED:
            return typed
    return read_answers(place.folder()).get(question.full_id)
