"""The quiz widget: the question goes to the browser, the key stays here until there is an answer to explain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from autograder.course.markup import to_html, to_text
from autograder.course.model import Language, Question, Text
from autograder.course.quiz import Answer, from_json, normalised
from autograder.judge.panel import LANGUAGE_TAG
from tilewise_lab import explain, output
from tilewise_lab.quiz import save, saved_answer

_STATIC = Path(__file__).parent / "static"
_HOW: dict[str, Text] = {
    "one": Text(
        en="Choose one. Its letter key chooses too, Enter sends.", zh="单选。也可以按选项字母键选择，按 Enter 提交。"
    ),
    "several": Text(
        en="Choose all that are right. Letter keys choose too, Enter sends.",
        zh="多选。也可以按选项字母键选择，按 Enter 提交。",
    ),
    "number": Text(en="Type a number. Enter sends.", zh="填入一个数，按 Enter 提交。"),
    "ordering": Text(
        en="Bring them in order. A letter key picks a line, the arrow keys move it, Enter sends.",
        zh="排出正确的顺序。按字母键选中一行，用上下方向键移动，按 Enter 提交。",
    ),
}
_LABELS: dict[str, Text] = {
    "check": Text(en="Check", zh="检查"),
    "again": Text(en="Check again", zh="再检查一次"),
    "save": Text(en="Save", zh="保存"),
    "sending": Text(en="Sending …", zh="正在提交……"),
    "lost": Text(
        en="No reply. Is the kernel running? Run this cell again, then answer.",
        zh="没有响应。内核在运行吗？请重新运行这一格，然后再作答。",
    ),
    "stopped": Text(
        en="The kernel was restarted; your saved answer stays. Run the first code cell, then this one, to answer.",
        zh="内核已重启，保存过的答案还在。要作答，请先运行第一个代码单元格，再运行这一格。",
    ),
    "changed": Text(en="Changed, not sent yet.", zh="已改动，尚未提交。"),
    "up": Text(en="Move up", zh="上移"),
    "down": Text(en="Move down", zh="下移"),
    "moved": Text(en="{key} is now number {place} of {all}.", zh="{key} 现在是第 {place} 项，共 {all} 项。"),
    "answer": Text(en="Your answer", zh="你的答案"),
}
_SAVED = Text(en="Saved.", zh="已保存。")
_NO_ANSWER: dict[str, Text] = {
    "one": Text(en="Choose an option first.", zh="请先选择一项。"),
    "several": Text(en="Choose at least one option.", zh="请至少选择一项。"),
    "number": Text(
        en="That is not a number; write it like 12.5 or 3e-4.", zh="这不是一个数，请写成 12.5 或 3e-4 的形式。"
    ),
    "ordering": Text(en="Every line must stand in the order once.", zh="每一行都要在顺序中出现一次。"),
}
_TAKES = Text(
    en="{id} takes an answer such as {example}, got {given}",
    zh="{id} 的答案应写成 {example} 这样的形式，收到的是 {given}",
)
_NOT_SAVED = Text(en="The answer could not be saved: {reason}.", zh="答案没有保存成功：{reason}。")
_TYPE_IT = Text(
    en='To answer by typing, run: quiz("{id}", {example})', zh='也可以用输入的方式作答，请运行：quiz("{id}", {example})'
)
_TYPE_GRADED = Text(
    en="To answer by typing, write in the answer cell: {name} = {example}",
    zh="也可以在答案单元格里直接写：{name} = {example}",
)


class QuizWidget(anywidget.AnyWidget):
    """One question. What a browser may know stands in the synced traits, and nothing else does.

    answer: what is saved, as JSON.   result: what to say of it; whys only of a practice question that was answered.
    """

    _esm = _STATIC / "quiz.js"
    _css = _STATIC / "quiz.css"

    question_id = traitlets.Unicode().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    language = traitlets.Unicode().tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    options = traitlets.List(traitlets.Dict()).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    graded = traitlets.Bool().tag(sync=True)
    how = traitlets.Unicode().tag(sync=True)
    labels = traitlets.Dict().tag(sync=True)
    answer = traitlets.Any(None, allow_none=True).tag(sync=True)
    result = traitlets.Dict().tag(sync=True)

    def __init__(self, *, question: Question, language: Language) -> None:
        self._question, self._language = question, language
        answer, problem = saved_answer(question)
        labels = {name: text[language] for name, text in _LABELS.items()} | {"tag": explain.label(question, language)}
        super().__init__(
            question_id=question.full_id,
            kind=question.kind,
            language=LANGUAGE_TAG[language],
            prompt=to_html(question.prompt[language]),
            options=[{"key": o.key, "html": to_html(o.text[language])} for o in explain.as_shown(question)],
            unit=question.unit,
            graded=question.graded,
            how=_HOW[question.kind][language],
            labels=labels,
            answer=_as_json(answer),
            result=self._said(answer) if answer is not None else ({"problem": problem} if problem else {}),
        )
        self.on_msg(self._on_message)

    def take(self, given: Answer, *, strict: bool = False) -> None:
        """Take an answer, keep it and say what is to be said of it.

        strict: raise ValueError for something that is no answer to this question, where a person typed it as code.
        """
        answer = normalised(self._question, given)
        if answer is None:
            if strict:
                example = explain.example(self._question)
                text = _TAKES[self._language]
                raise ValueError(text.format(id=self.question_id, example=example, given=repr(given)[:80]))
            self.result = {"problem": _NO_ANSWER[self.kind][self._language]}
            return
        try:
            message = save(self._question, answer)
        except OSError as error:
            self.result = {"problem": _NOT_SAVED[self._language].format(reason=error.strerror or error)}
            return
        self.answer = _as_json(answer)
        self.result = self._said(answer) | ({"problem": message} if message else {})

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") == "answer":
            # The same result twice changes nothing, and the browser would wait for a change: it is cleared first.
            self.result = {}
            self.take(from_json(content.get("value")))

    def _said(self, answer: Answer) -> dict[str, Any]:
        if self._question.graded:
            return {"headline": _SAVED[self._language]}
        said = explain.explanation(self._question, answer, self._language)
        return {
            "right": said.right,
            "headline": said.headline,
            "answer": said.answer,
            "why": to_html(said.why) if said.why else "",
            "options": {o.key: {"why": to_html(o.why), "badge": o.badge, "good": o.good} for o in said.options},
        }

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {output.QUIZ: {"id": self.question_id}}, metadata

    def __repr__(self) -> str:
        """The whole question as text: what is shown where widgets are not."""
        question, language = self._question, self._language
        lines = [f"[{self.labels['tag']}] {self.question_id}", to_text(question.prompt[language])]
        lines += [f"  {option.key}) {to_text(option.text[language])}" for option in explain.as_shown(question)]
        if question.kind == "number":
            lines.append(f"  ({question.unit})" if question.unit else "")
        answer = normalised(question, from_json(self.answer))
        if answer is not None and not question.graded:
            lines.append(explain.as_text(explain.explanation(question, answer, language)))
        elif answer is not None:
            lines.append(f"{_SAVED[language]} {explain.written(question, answer)}")
        how = _TYPE_GRADED if question.graded else _TYPE_IT
        lines.append(how[language].format(id=self.question_id, name=question.id, example=explain.example(question)))
        return "\n".join(line for line in lines if line)


def _as_json(answer: Answer) -> Any:
    return list(answer) if isinstance(answer, tuple) else answer
