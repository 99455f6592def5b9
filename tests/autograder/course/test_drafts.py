"""Drafts: read leniently, built to look at, never released, and told what they lack."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import nbformat
import pytest

from autograder.course.build import build, build_drafts, built_tree, check_build
from autograder.course.draft import load_draft
from autograder.course.lessons.drafting import import_card
from autograder.course.lessons.reading import read_card
from autograder.course.model import CourseError
from autograder.course.preview import previews
from autograder.course.reading import load_course
from autograder.course.unfinished import unfinished
from tests.autograder.course.lessons.cards import write_card
from tests.autograder.course.sample import CHAPTER, edit


@pytest.fixture
def draft_folder(course_folder: Path, tmp_path: Path) -> Path:
    """Give the folder of a Chinese draft in the sample course."""
    file = write_card(tmp_path)
    return import_card(read_card(file), file, course_folder, "lesson")


def told(folder: Path) -> list[str]:
    return [f"{f.file.relative_to(folder)}: {f.what}" for f in unfinished(folder)]


def test_a_draft_is_found_whether_or_not_the_course_names_it(course_folder: Path, draft_folder: Path) -> None:
    assert load_course(course_folder).drafts == (draft_folder,)
    edit(course_folder / "course.toml", '["01_doubling"]', f'["01_doubling", "{draft_folder.name}"]')
    course = load_course(course_folder)
    assert course.drafts == (draft_folder,)
    assert [chapter.slug for chapter in course.chapters] == ["doubling"]
    assert course.draft("lesson") == course.draft(draft_folder.name) == draft_folder
    with pytest.raises(KeyError, match="'lesson' is a draft, which is not released"):
        course.chapter("lesson")


def test_a_chapter_still_needs_both_languages(course_folder: Path, draft_folder: Path) -> None:
    edit(draft_folder / "chapter.toml", "draft = true\n", "")
    edit(course_folder / "course.toml", '["01_doubling"]', f'["01_doubling", "{draft_folder.name}"]')
    with pytest.raises(CourseError):
        load_course(course_folder)


def test_an_unnamed_folder_that_cannot_be_read_is_no_draft(course_folder: Path, draft_folder: Path) -> None:
    (draft_folder / "chapter.toml").write_text("draft = ")
    assert load_course(course_folder).drafts == ()


def test_a_draft_changes_nothing_of_the_release(course_folder: Path, draft_folder: Path) -> None:
    course = load_course(course_folder)
    build(course, course_folder.parent)
    build_drafts(course, course_folder.parent)
    assert not check_build(course, course_folder.parent)
    assert all("lesson" not in str(name) for name in built_tree(course))


def test_a_draft_is_built_in_the_language_that_it_has_and_cannot_be_handed_in(draft_folder: Path) -> None:
    name = PurePosixPath("build/drafts/zh", draft_folder.name, "lesson.ipynb")
    tree = previews(draft_folder)
    assert list(tree) == [name]
    notebook = nbformat.reads(tree[name].decode(), as_version=4)
    nbformat.validate(notebook)
    assert all("nbgrader" not in cell.metadata for cell in notebook.cells)
    text = "\n".join(cell.source for cell in notebook.cells)
    for part in (
        "草稿",
        "注意力为什么可以一块一块地算",
        "从这里开始写",
        "torch.softmax",
        "✓ a) 显存",
        "https://example.org/b",
    ):
        assert part in text
    assert "{{" not in text
    assert previews(draft_folder) == tree


def test_what_the_other_language_lacks_in_a_preview_is_shown_and_not_copied(draft_folder: Path) -> None:
    (draft_folder / "slides.en.md").write_text("## Why\n\n---\n{{quiz q1}}\n---\n{{exercise task}}\n")
    notebook = previews(draft_folder)[PurePosixPath("build/drafts/en", draft_folder.name, "lesson.ipynb")].decode()
    assert "[missing in English]" in notebook
    assert "显存" not in notebook


def test_a_removed_draft_leaves_no_preview(course_folder: Path, draft_folder: Path) -> None:
    assert len(build_drafts(load_course(course_folder), course_folder.parent)) == 1
    edit(draft_folder / "chapter.toml", "draft = true", "draft = false")
    assert build_drafts(load_course(course_folder), course_folder.parent) == []
    assert not (course_folder.parent / "build/drafts").exists()


def test_the_other_language_comes_first_in_what_is_missing(draft_folder: Path) -> None:
    findings = told(draft_folder)
    english = [number for number, line in enumerate(findings) if "the English is missing" in line]
    assert english == list(range(5))
    assert findings[:2] == [
        "slides.en.md: the English is missing",
        "task/statement.en.md: the English is missing",
    ]
    assert "quiz.toml: the English is missing (7): question[0].prompt, question[0].option[0].text" in findings[3]
    assert "chapter.toml: summary is missing; minutes is missing; reading is missing" in findings
    assert any("question[1].option[0].why is missing" in line for line in findings)
    assert (
        "task/exercise.toml: functions is missing; property is missing; hint is missing; wrong is missing" in findings
    )
    assert "task/checks.py: is missing" in findings
    assert findings[-1] == "chapter.toml: holds draft = true: a draft is not released"


def test_what_is_written_is_no_longer_missing(draft_folder: Path) -> None:
    (draft_folder / "slides.en.md").write_text("## Why\n")
    edit(draft_folder / "chapter.toml", "title.zh", 'title.en = "Blocks"\ntitle.zh')
    edit(draft_folder / "chapter.toml", "exercises", "minutes = 5\nexercises")
    findings = told(draft_folder)
    assert not any(line.startswith("slides.en.md: the English") for line in findings)
    assert "chapter.toml: summary is missing; reading is missing" in findings


def test_a_finished_chapter_lacks_nothing_but_the_word(course_folder: Path) -> None:
    edit(course_folder / CHAPTER / "chapter.toml", "minutes = 10", "minutes = 10\ndraft = true")
    folder = course_folder / CHAPTER
    assert load_draft(folder).languages == ("en", "zh")
    assert told(folder) == ["chapter.toml: holds draft = true: a draft is not released"]


def test_a_draft_that_cannot_be_read_is_a_finding(draft_folder: Path) -> None:
    (draft_folder / "task/solution.py").unlink()
    assert told(draft_folder) == ["task/solution.py: is missing"]
