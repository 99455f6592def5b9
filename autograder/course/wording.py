"""The words of the course: each text in its own language, the glossary's terms, mathematics and links that work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from urllib.parse import urlsplit

from autograder.course import markup
from autograder.course.finding import Finding
from autograder.course.model import LANGUAGES, Chapter, Model, Term, Text
from autograder.course.slides import outside_fences

_HAN = re.compile(r"[\u3400-\u9fff]")
# Code, mathematics, numbers and single letters are the same in every language.
_NOT_WORDS = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
_ADDRESS = re.compile(r"\]\([^)\n]*\)|https?://[^\s)）]+")
_WORD = re.compile(r"[A-Za-z]{3,}")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(\s*<?([^)\s>]+)")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
_AROUND = 12  # characters of context on each side of a word that is told of


def check_texts(file: Path, model: Model, *, skip: Set[str] = frozenset(), prefix: str = "") -> Iterator[Finding]:
    """Check that every text of a model is in its own language, the Chinese in the Chinese one."""
    for key, text in texts_of(model, skip):
        yield from _check_text(file, prefix + key, text)


def check_prose(file: Path, language: str, text: str) -> Iterator[Finding]:
    """Check a markdown file: its language, and where its links lead."""
    if (_HAN.search(text) is not None) != (language == "zh"):
        what = "holds Chinese characters" if language == "en" else "holds no Chinese"
        yield Finding(file, what, f"Write it in {'English' if language == 'en' else 'Chinese'}")
    for link in _LINK.findall(_NOT_WORDS.sub("", outside_fences(text, file))):
        if not link.startswith(("#", "../")):
            yield from check_address(file, f"links to {link}", link)


def check_addresses(chapter: Chapter) -> Iterator[Finding]:
    """Check the addresses of videos and reading."""
    named = [(f"video[{n}].url", video.url) for n, video in enumerate(chapter.video)]
    named += [(f"reading[{n}].url", reading.url) for n, reading in enumerate(chapter.reading)]
    for key, address in named:
        yield from check_address(chapter.folder / "chapter.toml", f"{key} is {address!r}", address)


def check_address(file: Path, what: str, address: str) -> Iterator[Finding]:
    """Check that an address is one that a browser takes, and encrypted. It is not visited."""
    remedy = "Link to an address such as https://example.org/page, or to a chapter as ../FOLDER/"
    try:
        parts = urlsplit(address)
        is_sound = parts.scheme == "https" and not parts.username and parts.port is None
    except ValueError:  # brackets or a port that are none
        yield Finding(file, what, remedy)
        return
    if not is_sound or not _HOST.fullmatch(parts.netloc) or re.search(r"[\s<>\"\\^`{|}]", address):
        yield Finding(file, what, remedy)


def check_mathematics(file: Path, model: Model, *, skip: Set[str] = frozenset(), prefix: str = "") -> Iterator[Finding]:
    """Check that the little markup can show the mathematics in every text of a model."""
    for key, text in texts_of(model, skip):
        for language in LANGUAGES:
            for fault in markup.faults(text[language]):
                remedy = "Write it with what autograder/course/markup.py lists, or in words"
                yield Finding(file, f"{prefix}{key}.{language}: {fault}", remedy)


def check_terms(chapter: Chapter, terms: Sequence[Term]) -> Iterator[Finding]:
    """Check that the Chinese of a chapter calls each thing of the glossary by its one name."""
    for file, key, text in _chinese_of(chapter):
        yield from check_words(file, key, text, terms)


def check_words(file: Path, key: str, text: str, terms: Sequence[Term]) -> Iterator[Finding]:
    """Check one Chinese text: no term stands there in English or under another Chinese name.

    English is left alone within a name in English (Ring attention), and in brackets behind the Chinese: 块（tile）.
    """
    words = _ADDRESS.sub(" ", _NOT_WORDS.sub(" ", text))
    for term in terms:
        for word in (term.en, *term.avoid):
            if word.lower() in term.zh.lower():
                continue
            longer = [other.zh for other in terms if word in other.zh]
            for match in _pattern(word, longer).finditer(words):
                if match[0] in longer:
                    continue
                around = " ".join(words[max(0, match.start() - _AROUND) : match.end() + _AROUND].split())
                remedy = f"The glossary's word for it is {term.zh}; code goes between backquotes"
                yield Finding(file, f"{key}: {match[0]!r} in “{around}”".removeprefix(": "), remedy)


def texts_of(model: Model, skip: Set[str] = frozenset()) -> Iterator[tuple[str, Text]]:
    """Walk a model: (key as an author writes it, the text)."""
    for name in type(model).model_fields:
        if name not in skip:
            yield from _texts_of(name, getattr(model, name))


def _texts_of(key: str, value: object) -> Iterator[tuple[str, Text]]:
    if isinstance(value, Text):
        yield key, value
    elif isinstance(value, Model):
        yield from ((f"{key}.{inner}", text) for inner, text in texts_of(value))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts_of(f"{key}.{name}", item)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _texts_of(f"{key}[{place}]", item)


def _check_text(file: Path, key: str, text: Text) -> Iterator[Finding]:
    if _HAN.search(text.en):
        yield Finding(file, f"{key}.en holds Chinese characters", "Write it in English")
    # A title may be a proper name, and code or a formula has no language.
    if key.endswith("title") or not _WORD.search(_NOT_WORDS.sub("", text.zh)):
        return
    if text.en == text.zh:
        yield Finding(file, f"{key} is the same in English and Chinese", "Translate it")
    elif not _HAN.search(text.zh):
        yield Finding(file, f"{key}.zh holds no Chinese", "Write it in Chinese")


def _pattern(word: str, longer: Sequence[str]) -> re.Pattern[str]:
    """Find a Chinese word, or one of the longer words that hold it; or an English word, in the plural too.

    The English one is no part of a name in English, and does not stand in brackets by itself.
    """
    if not word.isascii():
        return re.compile("|".join(map(re.escape, [*sorted(longer, key=len, reverse=True), word])))
    spelled = r"[\s-]".join(map(re.escape, word.split()))
    return re.compile(rf"(?<![A-Za-z_.-])(?<![A-Za-z-] )(?<![(（]){spelled}s?(?![A-Za-z_-]| [A-Za-z])(?![)）])", re.I)


def _chinese_of(chapter: Chapter) -> Iterator[tuple[Path, str, str]]:
    """Give every Chinese text of a chapter: its file, its key there ("" for the whole file), and the text."""
    yield chapter.folder / "slides.zh.md", "", chapter.slides.zh
    for exercise in chapter.exercises:
        yield exercise.folder / "statement.zh.md", "", exercise.statement.zh
    models: list[tuple[Path, str, Model]] = [(chapter.folder / "chapter.toml", "", chapter)]
    models += [(chapter.folder / "quiz.toml", f"question[{n}].", each) for n, each in enumerate(chapter.questions)]
    models += [(exercise.folder / "exercise.toml", "", exercise) for exercise in chapter.exercises]
    for file, prefix, model in models:
        skip = {"exercises", "questions", "slides"} if isinstance(model, Chapter) else {"statement"}
        for key, text in texts_of(model, skip):
            yield file, f"{prefix}{key}.zh", text.zh
