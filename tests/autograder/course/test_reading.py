from __future__ import annotations

from pathlib import Path

import pytest

from autograder.course.model import CourseError
from autograder.course.reading import load_course, load_glossary
from tests.autograder.course.sample import CHAPTER, RIGHT, WRONG, edit

EXERCISE = f"{CHAPTER}/double/exercise.toml"
QUIZ = f"{CHAPTER}/quiz.toml"
CHAPTER_FILE = f"{CHAPTER}/chapter.toml"


def test_a_sound_course_is_read_whole(course_folder: Path) -> None:
    course = load_course(course_folder)
    exercise = course.exercises["doubling.double"]
    assert exercise.points == 3
    assert tuple(exercise.variants("wrong")) == tuple(sorted(WRONG))
    assert tuple(exercise.variants("right")) == tuple(sorted(RIGHT))
    assert [q.full_id for q in course.questions.values() if q.graded] == ["doubling.q5"]
    assert course.chapter("doubling") is course.chapter(CHAPTER)
    assert [term.id for term in load_glossary(course_folder)] == ["row"]


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "remedy"),
    [
        ("course.toml", "format = 1", "format = 2", "format", "Write format = 1"),
        ("course.toml", "format = 1", "", "format", "Write format = 1"),
        ("course.toml", '["01_doubling"]', '["02_gone"]', "part.chapters", "Add it or drop it"),
        ("course.toml", '["01_doubling"]', '["01_doubling", "01_doubling"]', "part.chapters", "Give each its own"),
        ("course.toml", "[[part]]", "part = 3\n[other]", "part", "[[part]]"),
        ("course.toml", 'slug = "only"', "slug = 3", "part[0].slug", "Mend the value"),
        ("course.toml", 'slug = "only"', "", "part[0].slug", "Add it"),
        ("course.toml", 'slug = "only"', 'slug = "only"\nsulg = 1', "part[0].sulg", "spelling"),
        (CHAPTER_FILE, 'difficulty = "beginner"', 'difficulty = "easy"', "difficulty", "Mend the value"),
        (CHAPTER_FILE, "minutes = 10", "", "minutes", "Add it"),
        (CHAPTER_FILE, "minutes = 10", "minutes = 10\nhours = 1", "hours", "spelling"),
        (CHAPTER_FILE, "minutes = 10", 'minutes = 10\nslides = "x"', "slides", "spelling"),
        (CHAPTER_FILE, '["double"]', '["double", "double"]', "exercises", "Give each its own"),
        (CHAPTER_FILE, '["double"]', "3", "exercises", "exercises = "),
        (CHAPTER_FILE, "https://example.org/film", "ftp://example.org", "video.0.url", "Mend the value"),
        (CHAPTER_FILE, "https://example.org/doubling", "example.org", "reading.0.url", "Mend the value"),
        (QUIZ, 'id = "q2"', 'id = "q1"', "question.id", "Give each its own"),
        (QUIZ, 'id = "q2"', 'id = "two"', "question[1].id", "Mend the value"),
        (QUIZ, "correct = true", 'misconception = "none"', "question[0]", "Mend the value"),
        (QUIZ, 'misconception = "adds_one"', "", "question[0].option.0", "Mend the value"),
        (QUIZ, 'key = "b"', 'key = "a"', "question[0]", "Mend the value"),
        (QUIZ, "points = 1", "", "question[4]", "Mend the value"),
        (QUIZ, "\n[[question]]\nid", "\n[other]\n[[question]]\nid", "other", "[[question]]"),
        (EXERCISE, "points = 2", "points = 0", "property.doubles.points", "Mend the value"),
        (EXERCISE, 'zh = "得到两倍"', "", "property.doubles.zh", "Add it"),
        (EXERCISE, 'zh = "得到两倍"', 'zh = " "', "property.doubles.zh", "Mend the value"),
        (EXERCISE, 'functions = ["double"]', 'functions = ["double"]\nname = "x"', "name", "spelling"),
        (EXERCISE, 'functions = ["double"]', "functions = []", "functions", "Mend the value"),
        (EXERCISE, "[wrong.adds_one]", "[wrong.adds_two]", "wrong.adds_one", "Add the other half"),
        (EXERCISE, "[[hint]]", "[[hint", "", "Mend the syntax"),
    ],
)
def test_a_wrong_missing_or_unknown_field_names_file_key_and_remedy(
    course_folder: Path, file: str, old: str, new: str, key: str, remedy: str
) -> None:
    edit(course_folder / file, old, new)
    with pytest.raises(CourseError) as caught:
        load_course(course_folder)
    assert (caught.value.file, caught.value.key) == (course_folder / file, key)
    assert remedy in caught.value.remedy
    assert str(course_folder / file) in str(caught.value)


@pytest.mark.parametrize(
    "file",
    [
        "course.toml",
        QUIZ,
        EXERCISE,
        f"{CHAPTER}/slides.zh.md",
        f"{CHAPTER}/double/statement.en.md",
        f"{CHAPTER}/double/solution.py",
        f"{CHAPTER}/double/checks.py",
    ],
)
def test_a_missing_file_is_named(course_folder: Path, file: str) -> None:
    (course_folder / file).unlink()
    with pytest.raises(CourseError, match="is missing") as caught:
        load_course(course_folder)
    assert caught.value.file == course_folder / file


@pytest.mark.parametrize("file", ["course.toml", f"{CHAPTER}/slides.zh.md"])
def test_a_file_in_another_encoding_is_named(course_folder: Path, file: str) -> None:
    (course_folder / file).write_bytes("标题".encode("gb18030"))
    with pytest.raises(CourseError, match="is not UTF-8") as caught:
        load_course(course_folder)
    assert caught.value.file == course_folder / file


def test_an_empty_translation_is_missing_work(course_folder: Path) -> None:
    (course_folder / CHAPTER / "slides.zh.md").write_text(" \n")
    with pytest.raises(CourseError, match="is empty"):
        load_course(course_folder)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('zh = "行"', "", "term[0].zh"),
        ('zh = "行"', 'zh = "行"\nsymbool = "x"', "term[0].symbool"),
        ('id = "row"', 'id = "row"\nen = "a"\nzh = "b"\n[[term]]\nid = "row"', "term.id"),
    ],
)
def test_a_wrong_glossary_entry_is_named(course_folder: Path, old: str, new: str, key: str) -> None:
    edit(course_folder / "glossary.toml", old, new)
    with pytest.raises(CourseError) as caught:
        load_glossary(course_folder)
    assert (caught.value.file, caught.value.key) == (course_folder / "glossary.toml", key)


def test_only_exercises_of_earlier_chapters_are_given(course_folder: Path) -> None:
    file = course_folder / CHAPTER / "double" / "exercise.toml"
    edit(file, 'functions = ["double"]', 'functions = ["double"]\ngiven = ["doubling.double"]')
    with pytest.raises(
        CourseError, match=r"exercise\.toml: given: .* no exercise of an earlier chapter.*there are: none"
    ):
        load_course(course_folder)
