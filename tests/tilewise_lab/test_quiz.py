"""The quiz widget and `picked`: what the browser is told, and what is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from autograder.course.model import LANGUAGES
from autograder.course.quiz import read_answers, write_answer
from tests.autograder.course.sample import CHAPTER, edit
from tests.tilewise_lab.questions import SECRET
from tilewise_lab import output, picked, place, quiz, record

PRACTICE = ("doubling.q11", "doubling.q12", "doubling.q13", "doubling.q14")
GRADED = ("doubling.q21", "doubling.q22", "doubling.q23", "doubling.q24")
RIGHT = {"1": "b", "2": ["a", "c"], "3": ["c", "a", "b"], "4": 12.5}
WRONG = {"1": "a", "2": ["a", "b"], "3": ["a", "b", "c"], "4": 3.0}


def state(widget: object) -> str:
    """Everything that is sent to the browser."""
    return json.dumps(widget.get_state(), ensure_ascii=False)  # type: ignore[attr-defined]


def send(widget: object, value: object) -> None:
    """Answer as the browser does."""
    widget._handle_custom_msg({"type": "answer", "value": value}, [])  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("question_id", [*PRACTICE, *GRADED])
def test_the_key_is_not_sent_before_an_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, question_id: str, language: str
) -> None:
    monkeypatch.setenv("TILEWISE_LANG", language)
    widget = quiz(question_id)
    sent = {key: value for key, value in widget.get_state().items() if not key.startswith("_")}
    assert SECRET not in state(widget)
    assert sent["result"] == {}
    assert all(set(option) == {"key", "html"} for option in sent["options"])
    assert "12.5" not in json.dumps({key: sent[key] for key in ("options", "prompt", "how", "labels")})
    assert sent["language"] == {"en": "en", "zh": "zh-CN"}[language]


@pytest.mark.parametrize("question_id", GRADED)
@pytest.mark.parametrize("answers", [RIGHT, WRONG], ids=["right", "wrong"])
def test_a_graded_question_says_saved_and_nothing_else(folder: Path, question_id: str, answers: dict) -> None:
    widget = quiz(question_id)
    before = widget.get_state()
    send(widget, answers[question_id[-1]])
    assert widget.result == {"headline": "Saved."}
    assert {key for key, value in widget.get_state().items() if value != before[key]} == {"answer", "result"}
    assert SECRET not in state(widget) + repr(widget)
    assert SECRET not in state(quiz(question_id))
    assert record.load()[0].questions[question_id].right is None


@pytest.mark.parametrize("question_id", PRACTICE)
@pytest.mark.parametrize(("answers", "right"), [(RIGHT, True), (WRONG, False)], ids=["right", "wrong"])
def test_a_practice_question_explains_every_option_at_once(
    folder: Path, question_id: str, answers: dict, right: bool
) -> None:
    widget = quiz(question_id)
    send(widget, answers[question_id[-1]])
    assert widget.result["right"] is right
    whys = [said["why"] for said in widget.result["options"].values()] or [widget.result["why"]]
    assert len(whys) == max(1, len(widget.options))
    assert all(SECRET in why for why in whys)
    assert record.load()[0].questions[question_id].right is right


def test_what_is_left_out_of_several_is_judged_as_well(folder: Path) -> None:
    widget = quiz("doubling.q12", ["a"])
    badges = {key: (said["badge"], said["good"]) for key, said in widget.result["options"].items()}
    assert badges == {
        "a": ("your choice, right", True),
        "b": ("rightly left out", True),
        "c": ("belongs, and was not chosen", False),
    }


@pytest.mark.parametrize("question_id", [*PRACTICE, *GRADED])
def test_an_answer_is_there_again_after_a_restart(folder: Path, question_id: str) -> None:
    answer = RIGHT[question_id[-1]]
    send(quiz(question_id), answer)
    again = quiz(question_id)
    assert again.answer == answer
    assert again.result["headline"]
    assert picked(question_id) == answer


@pytest.mark.parametrize(
    "value",
    [None, "", "z", [], ["z"], {}, {"a": 1}, True, "nan", [[["a"]]], 10**400, "x" * 10**6],
    ids=lambda value: str(value)[:8],
)
@pytest.mark.parametrize("question_id", PRACTICE)
def test_nonsense_from_the_browser_is_answered_and_not_kept(folder: Path, question_id: str, value: object) -> None:
    widget = quiz(question_id)
    send(widget, value)
    assert set(widget.result) == {"problem"}
    assert read_answers(folder) == {}
    widget._handle_custom_msg("not a dict", [])  # type: ignore[arg-type]
    widget._handle_custom_msg({"type": "other"}, [])


def test_the_same_answer_twice_is_answered_twice(folder: Path) -> None:
    widget = quiz("doubling.q11")
    seen: list[dict] = []
    widget.observe(lambda change: seen.append(change["new"]), "result")
    send(widget, "b")
    send(widget, "b")
    assert [bool(result) for result in seen] == [True, False, True]


def test_answers_json_that_cannot_be_read_is_kept_and_said(folder: Path) -> None:
    (folder / "answers.json").write_text("{broken")
    widget = quiz("doubling.q11")
    assert "answers.json" in widget.result["problem"]
    send(widget, "b")
    assert "answers.json.bak" in widget.result["problem"]
    assert widget.result["headline"] == "Right."
    assert (folder / "answers.json.bak").read_text() == "{broken"


def test_a_folder_that_cannot_be_written_is_said_and_not_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sys.modules["tilewise_lab.quiz"], "write_answer", refuse)
    widget = quiz("doubling.q11")
    send(widget, "b")
    assert "Permission denied" in widget.result["problem"]


@pytest.mark.parametrize("question_id", [*PRACTICE, *GRADED])
def test_without_widgets_the_text_says_all_and_how_to_type(folder: Path, question_id: str) -> None:
    shown = quiz(question_id)._repr_mimebundle_()[0]["text/plain"]  # type: ignore[index]
    name = question_id.partition(".")[2]
    assert f"prompt of {name}, x_i?" in shown
    assert all(f"option {option['key']} of" in shown for option in quiz(question_id).options)
    assert (f"{name} = " if question_id in GRADED else f'quiz("{question_id}", ') in shown
    assert SECRET not in shown


def test_typing_answers_as_clicking_does(folder: Path) -> None:
    assert quiz("doubling.q12", ["c", "a"]).result["right"]
    assert read_answers(folder) == {"doubling.q12": ("a", "c")}
    with pytest.raises(ValueError, match=r'takes an answer such as "a", got'):
        quiz("doubling.q11", "z")


def test_picked_without_an_answer_is_none_with_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert picked("doubling.q21") is None
    assert 'q21 = "a"' in capsys.readouterr().out
    write_answer(folder, "doubling.q21", "z")
    assert picked("doubling.q21") is None


@pytest.mark.parametrize("call", [quiz, picked])
def test_an_unknown_question_names_those_that_are_near(folder: Path, call: object) -> None:
    with pytest.raises(output.UnknownIdError, match=r"doubling\.q11"):
        call("doublin.q11")  # type: ignore[operator]


def test_an_ordering_is_never_shown_in_its_right_order(folder: Path) -> None:
    edit(place.course().root / CHAPTER / "quiz.toml", 'order = ["c", "a", "b"]', 'order = ["a", "b", "c"]')
    place.course.cache_clear()
    assert [option["key"] for option in quiz("doubling.q13").options] == ["c", "b", "a"]
