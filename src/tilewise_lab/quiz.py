"""`quiz(id)` shows a question; `picked(id)` returns the saved answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autograder.course.model import Question, Text
from autograder.course.quiz import Answer, AnswersError, mark, normalised, read_answers, write_answer
from tilewise_lab import explain, output, place, record

if TYPE_CHECKING:
    from tilewise_lab.widget import QuizWidget

_NOTHING = Text(
    en="{id} has no saved answer yet. Choose in the question above, then run this cell again; or type "
    "`{name} = {example}`.",
    zh="{id} 还没有保存的答案。请在上面的题目中作答，再运行这一格；也可以直接写 `{name} = {example}`。",
)
_NOT_READ = Text(en="answers.json could not be read: {reason}.", zh="无法读取 answers.json：{reason}。")
_SET_ASIDE = Text(
    en="The old answers.json could not be read. It is kept as {kept}, and a new one has been started.",
    zh="原来的 answers.json 无法读取，已保留为 {kept}，并新建了一份。",
)


def quiz(question_id: str, answer: str | float | list[str] | None = None) -> QuizWidget:
    """Show a question; where widgets cannot be shown, its text says how to answer by typing.

    question_id: "online_softmax.q1".   answer: answers at once, as typing does: "b", ["a", "c"] or 12.5.
    Raises UnknownIdError for an id that no question has, ValueError for an answer that is none to this question.
    """
    from tilewise_lab.widget import QuizWidget

    question = _question(question_id)
    widget = QuizWidget(question=question, language=place.language())
    if answer is not None:
        widget.take(tuple(answer) if isinstance(answer, list) else answer, strict=True)
    return widget


def picked(question_id: str) -> str | float | list[str] | None:
    """Return the saved answer to a question: a key, a list of keys, or a number; None, with a note, if there is none.

    Raises UnknownIdError for an id that no question has.
    """
    question, language = _question(question_id), place.language()
    answer, problem = saved_answer(question)
    if answer is None:
        text = _NOTHING[language].format(id=question_id, name=question.id, example=explain.example(question))
        output.show_notice(language, "note", "○", text, problem)
    return list(answer) if isinstance(answer, tuple) else answer


def saved_answer(question: Question) -> tuple[Answer, str]:
    """Read the normalised answer from answers.json, and a message, empty when all is well."""
    try:
        answers = read_answers(place.folder())
    except AnswersError as error:
        return None, _NOT_READ[place.language()].format(reason=error)
    return normalised(question, answers.get(question.full_id)), ""


def save(question: Question, answer: Answer) -> str:
    """Keep a normalised answer beside the notebook and count it; return a message, empty when all is well."""
    language = place.language()
    kept = write_answer(place.folder(), question.full_id, answer)
    right = None if question.graded else mark(question, answer).correct
    messages = [record.add_answer(question.full_id, right)]
    if kept:
        messages.append(_SET_ASIDE[language].format(kept=kept.name))
    return " ".join(message for message in messages if message)


def _question(question_id: str) -> Question:
    questions = place.course().questions
    if question_id not in questions:
        raise output.unknown_id(question_id, list(questions))
    return questions[question_id]
