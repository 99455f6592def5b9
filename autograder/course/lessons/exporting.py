"""Write a chapter, draft or not, as a lesson card, and say what of it a card cannot hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.course.draft import STARTER, Draft, DraftExercise, DraftQuestion, PartialText, read_table
from autograder.course.lessons import deck as decks
from autograder.course.lessons.card import Card, card_of
from autograder.course.lessons.extras import Extras, read_extras
from autograder.course.model import LANGUAGES, CourseError, Language
from autograder.course.starter import cleared, unmarked

# What a card takes over of each table, without the language; all else is told of.
_HELD = {
    "chapter.toml": {"draft", "title", "difficulty", "exercises", "video.title", "video.url", "video.minutes"},
    "quiz.toml": {
        "question.id",
        "question.kind",
        "question.prompt",
        "question.option.key",
        "question.option.text",
        "question.option.correct",
    },
    "exercise.toml": {"title"},
}
# Follows from the title again when the card is read.
_HELD["chapter.toml"].add("video.language")


def as_json(card: Card) -> str:
    """Write a card as the services do."""
    return json.dumps(card.model_dump(), ensure_ascii=False, indent=2) + "\n"


def card_of_draft(draft: Draft, language: Language | None = None) -> Card:
    """Make the card of a chapter in one language; None takes the first that it has.

    Raises CourseError that names the first text that is missing in that language, or the first field that a card cannot
    have as it stands.
    """
    chosen = language or (*draft.languages, LANGUAGES[0])[0]
    extras = read_extras(draft.folder)
    if not draft.exercises:
        raise CourseError(draft.folder / "chapter.toml", "exercises", "is empty", "A card needs one coding task")
    exercise = draft.exercises[0]
    slides = _in(draft.slides, chosen, draft.folder / f"slides.{chosen}.md", "")
    title = _in(draft.title, chosen, draft.folder / "chapter.toml", "title")
    deck = decks.Deck(title if extras.heading else None, slides, extras.breaks)
    data = {
        "success": True,
        "task": {
            "type": "coding",
            "difficulty": draft.difficulty,
            "ppt_slide": decks.closed(deck, draft.folder / f"slides.{chosen}.md"),
            "questions": [_question(draft, q, chosen) for q in draft.questions if _fits(q)],
            "task": _task(exercise, extras, chosen),
            "videos": [
                {"title": video.title, "url": video.url, "cover": cover, "duration": duration}
                for place, video in enumerate(draft.video)
                for cover, duration in [extras.of_video(video.url, video.minutes, place)]
            ],
        },
    }
    return card_of(data, draft.folder)


def left_out(draft: Draft, language: Language | None = None) -> list[str]:
    """List what the chapter holds and its card does not, one line a file or kind."""
    chosen = language or (*draft.languages, LANGUAGES[0])[0]
    lines = [*_unheld(draft.folder / "chapter.toml"), *_unheld(draft.folder / "quiz.toml")]
    lines += [f"quiz.toml: {q.id}, a question of kind {q.kind!r}" for q in draft.questions if not _fits(q)]
    for exercise in draft.exercises[:1]:
        lines += [f"{exercise.name}/{line}" for line in _unheld(exercise.folder / "exercise.toml")]
        lines += [f"{exercise.name}/{line}" for line in _other_files(exercise.folder, chosen)]
    lines += [f"{other.name}/: the whole exercise; a card has one coding task" for other in draft.exercises[1:]]
    return lines + _other_files(draft.folder, chosen)


def _question(draft: Draft, question: DraftQuestion, language: Language) -> dict[str, Any]:
    file, key = draft.folder / "quiz.toml", f"question {question.id}"
    texts = [_in(option.text, language, file, f"{key}, option {option.key}") for option in question.option]
    right = [text for text, option in zip(texts, question.option, strict=True) if option.correct]
    if len(right) != 1:
        raise CourseError(file, key, f"expected one right option, got {len(right)}", "Mark it with correct = true")
    prompt = _in(question.prompt, language, file, f"{key}.prompt")
    return {"question": prompt, "type": "choice", "options": texts, "answer": right[0]}


def _task(exercise: DraftExercise, extras: Extras, language: Language) -> dict[str, str]:
    if exercise.starter is None:
        starter, answer = cleared(exercise.solution), unmarked(exercise.solution)
    else:
        starter, answer = exercise.starter, exercise.solution
    return {
        "title": _in(exercise.title, language, exercise.folder / "exercise.toml", "title"),
        "description": _in(exercise.statement, language, exercise.folder / f"statement.{language}.md", ""),
        "starter_code": starter.join(extras.starter_fence),
        "answer": answer.join(extras.answer_fence),
    }


def _fits(question: DraftQuestion) -> bool:
    return question.kind == "one"


def _in(text: PartialText, language: Language, file: Path, key: str) -> str:
    if (found := text[language]) is None:
        name = {"en": "English", "zh": "Chinese"}[language]
        raise CourseError(file, key, f"is missing in {name}", "Write it, or export the other language: --lang")
    return found


def _unheld(file: Path) -> list[str]:
    """List the keys of a table that a card has no field for, with how many of each there are."""
    counts = Counter(key for key in _keys(read_table(file)) if key not in _HELD[file.name])
    names = [f"{key} ({count})" if count > 1 else key for key, count in counts.items()]
    return [f"{file.name}: {', '.join(names)}"] if names else []


def _keys(value: Any, path: str = "") -> Iterator[str]:
    """Name every value of a table by its path, without places in lists and without languages."""
    match value:
        case dict() if path and value.keys() <= set(LANGUAGES):
            yield path
        case dict() if path and all(isinstance(inner, dict) for inner in value.values()):
            yield from [path] * len(value)  # a table for each name, as [property.NAME]
        case dict():
            for key, inner in value.items():
                yield from _keys(inner, f"{path}.{key}".removeprefix("."))
        case [dict(), *_]:
            for item in value:
                yield from _keys(item, path)
        case _:
            yield path


def _other_files(folder: Path, language: Language) -> list[str]:
    """List files beside the tables that a card takes nothing of; of folders, how many there are."""
    held = {"card.toml", "chapter.toml", "quiz.toml", "exercise.toml", "solution.py", STARTER}
    held |= {f"slides.{language}.md", f"statement.{language}.md"}
    lines = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and (entry.name in ("figures", "wrong", "right")):
            lines.append(f"{entry.name}/: {sum(1 for f in entry.iterdir() if f.is_file())} files")
        elif entry.is_file() and entry.name not in held:
            lines.append(entry.name)
    return lines
