"""Guess from a card's title which exercise it is about: the one that shares the rarest words with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from autograder.course.model import Exercise

_LATIN = re.compile(r"[a-z]+")
_HAN = re.compile(r"[\u3400-\u9fff]+")


def guess_exercise(title: str, candidates: Iterable[tuple[Exercise, str]]) -> Exercise | None:
    """Give the exercise whose words are nearest to the title; None where none shares a word with it.

    candidates: each exercise with the words that tell what it is about, in any language. A word counts for more the
    fewer exercises have it; of equals the first wins.
    """
    words = [(exercise, words_of(text)) for exercise, text in candidates]
    spread = Counter(word for _, found in words for word in found)
    wanted = words_of(title)
    scored = [(sum(1 / spread[word] for word in found & wanted), exercise) for exercise, found in words]
    best = max(scored, key=lambda pair: pair[0], default=None)
    return best[1] if best and best[0] > 0 else None


def about(exercise: Exercise, chapter: str) -> str:
    """Give the words that tell what an exercise is about. chapter: the titles of its chapter."""
    return " ".join([exercise.id.replace("_", " "), exercise.title.en, exercise.title.zh, chapter])


def words_of(text: str) -> set[str]:
    """Split text: Latin words as they stand, Chinese into pairs of neighbours, which needs no dictionary."""
    lowered = text.lower()
    pairs = {run[i : i + 2] for run in _HAN.findall(lowered) for i in range(len(run) - 1)}
    return set(_LATIN.findall(lowered)) | pairs
