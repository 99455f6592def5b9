"""Write a lesson card as a chapter draft, whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from autograder.course.draft import CARD, STARTER, load_draft
from autograder.course.lessons import deck as decks
from autograder.course.lessons import toml
from autograder.course.lessons.card import Card, seconds
from autograder.course.lessons.exporting import card_of_draft
from autograder.course.lessons.extras import Extras, VideoExtras, unfenced
from autograder.course.model import CourseError, Language, slug_of

EXERCISE = "task"
_HAN = re.compile(r"[\u3400-\u9fff]")
_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = "# What the lesson card says that a chapter has no place for. `tilewise export-lesson` puts it back.\n"


def language_of(text: str) -> Language:
    """Tell Chinese from English."""
    return "zh" if _HAN.search(text) else "en"


def slug_for(file: Path) -> str:
    """Make a chapter's slug of a file's name: 1-Lesson-Card.json -> lesson_card; may be empty."""
    return re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_0123456789")


def import_card(card: Card, file: Path, into: Path, slug: str) -> Path:
    """Write the draft into a new folder NN_slug and give that folder; whatever fails, nothing of it stays.

    file: where the card comes from, for errors. Raises CourseError where the folder cannot be made, and where the
    draft would not give the card back.
    """
    if not _SLUG.fullmatch(slug):
        problem = f"expected a slug of a-z, 0-9 and _ that begins with a letter, got {slug!r}"
        raise CourseError(file, "slug", problem, "Give one: --slug NAME")
    if not into.is_dir():
        raise CourseError(into, "", "expected a folder for the draft, got none", "Make it, or name another: --into")
    if there := next((f for f in sorted(into.iterdir()) if slug_of(f.name) == slug), None):
        raise CourseError(there, "", "is there already", "Give the draft another name: --slug NAME")
    files = files_of(card, file)
    folder = into / f"{_next_number(into):02}_{slug}"
    workspace = Path(tempfile.mkdtemp(prefix=".import-", dir=into))
    try:
        workspace.chmod(0o755)
        for name, text in files.items():
            path = workspace / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(f"{text}\n".encode())
        if (found := card_of_draft(load_draft(workspace))) != card:
            raise CourseError(file, _first_difference(card, found), "would not survive the draft", "Simplify its text")
        workspace.rename(folder)
    except BaseException:
        shutil.rmtree(workspace)
        raise
    return folder


def files_of(card: Card, file: Path) -> dict[str, str]:
    """Give the texts of the draft's files, each without its last line end."""
    lesson, task = card.task, card.task.task
    language = language_of(lesson.ppt_slide + task.title)
    deck = decks.opened(lesson.ppt_slide, file)
    starter, answer = unfenced(task.starter_code), unfenced(task.answer)
    extras = Extras(
        heading=deck.title is not None,
        breaks=deck.breaks,
        starter_fence=starter.fence,
        answer_fence=answer.fence,
        video=tuple(VideoExtras(url=v.url, cover=v.cover, duration=v.duration) for v in lesson.videos),
    )
    questions = [_question(number, q, language) for number, q in enumerate(lesson.questions, start=1)]
    chapter = {
        "draft": True,
        "title": {language: deck.title or task.title},
        "difficulty": lesson.difficulty,
        "exercises": [EXERCISE],
        "video": [
            {"title": v.title, "url": v.url, "language": language_of(v.title), "minutes": -(-seconds(v.duration) // 60)}
            for v in lesson.videos
        ],
    }
    blocks = [f"exercise {EXERCISE}", *(f"quiz {q['id']}" for q in questions)]
    return {
        "chapter.toml": toml.written(chapter).removesuffix("\n"),
        "quiz.toml": toml.written({"question": questions}).removesuffix("\n"),
        f"slides.{language}.md": decks.placed(deck.slides, blocks),
        CARD: _HEADER + toml.written(extras.model_dump(exclude_defaults=True)).removesuffix("\n"),
        f"{EXERCISE}/exercise.toml": toml.written({"title": {language: task.title}}).removesuffix("\n"),
        f"{EXERCISE}/statement.{language}.md": task.description,
        f"{EXERCISE}/{STARTER}": starter.code,
        f"{EXERCISE}/solution.py": answer.code,
    }


def _question(number: int, question: Any, language: Language) -> Mapping[str, Any]:
    options = [
        {"key": key, "text": {language: text}, **({"correct": True} if text == question.answer else {})}
        for key, text in zip(ascii_lowercase, question.options, strict=False)
    ]
    return {"id": f"q{number}", "kind": "one", "prompt": {language: question.question}, "option": options}


def _next_number(into: Path) -> int:
    numbers = [int(found[1]) for folder in into.iterdir() if (found := re.match(r"(\d+)_", folder.name))]
    return max(numbers, default=0) + 1


def _first_difference(card: Card, found: Card) -> str:
    wanted, got = card.task.model_dump(), found.task.model_dump()
    return next((f"task.{name}" for name in wanted if wanted[name] != got[name]), "task")
