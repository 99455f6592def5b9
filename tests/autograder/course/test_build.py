from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from autograder.course.build import build, built_tree, check_build, write_source
from autograder.course.model import LANGUAGES, CourseError, Language
from autograder.course.notebook import ANSWER_PLACE, chapter_notebook
from autograder.course.reading import load_course
from autograder.course.starter import solution_cell_source, starter_cell_source
from tests.autograder.course.sample import CHAPTER, edit

RELEASE = PurePosixPath("notebooks")
NOTEBOOK = PurePosixPath(CHAPTER, "doubling.ipynb")


def read(tree: dict[PurePosixPath, bytes], path: PurePosixPath) -> dict[str, Any]:
    return json.loads(tree[path])


def cell(notebook: dict[str, Any], cell_id: str) -> dict[str, Any]:
    found = [cell for cell in notebook["cells"] if cell["id"] == cell_id]
    assert len(found) == 1, f"{len(found)} cells have the id {cell_id}"
    return found[0] | {"source": "".join(found[0]["source"])}


def test_the_same_course_gives_the_same_bytes_wherever_it_is_built(
    course_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = built_tree(load_course(course_folder))
    moved = tmp_path_factory.mktemp("elsewhere") / "course"
    course_folder.rename(moved)
    monkeypatch.setenv("TMPDIR", str(moved.parent))
    assert built_tree(load_course(moved)) == first
    assert not any(str(moved.parent.parent).encode() in content for content in first.values())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("top", ["notebooks", "solutions"])
def test_notebooks_are_valid_for_jupyter_and_nbgrader(course_folder: Path, top: str, language: str) -> None:
    content = built_tree(load_course(course_folder))[top / PurePosixPath(language) / NOTEBOOK]
    notebook = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.tilewise == {"format": 1, "chapter": "doubling", "language": language}
    assert content.endswith(b"}\n")
    assert not content.endswith(b"\n\n")


def test_code_ids_and_locked_cells_are_the_same_in_both_languages(course_folder: Path) -> None:
    tree = built_tree(load_course(course_folder))
    english, chinese = (read(tree, RELEASE / language / NOTEBOOK)["cells"] for language in LANGUAGES)
    assert [(c["id"], c["metadata"]) for c in english] == [(c["id"], c["metadata"]) for c in chinese]
    for one, other in zip(english, chinese, strict=True):
        is_free = one["cell_type"] == "markdown" and "nbgrader" not in one["metadata"]
        assert (one["source"] == other["source"]) != is_free, one["id"]


def test_a_release_holds_the_starter_that_the_judge_knows(course_folder: Path) -> None:
    course = load_course(course_folder)
    exercise = course.exercises["doubling.double"]
    tree = built_tree(course)
    released = cell(read(tree, RELEASE / "zh" / NOTEBOOK), "doubling--double--code")["source"]
    assert released == starter_cell_source(exercise)
    assert released.startswith("# exercise: doubling.double\n")
    assert '    # YOUR CODE HERE\n    raise NotImplementedError("YOUR CODE HERE")' in released
    solved = cell(read(tree, PurePosixPath("solutions", "en") / NOTEBOOK), "doubling--double--code")["source"]
    assert solved == solution_cell_source(exercise)


def test_a_release_asks_and_the_solved_notebook_answers(course_folder: Path) -> None:
    tree = built_tree(load_course(course_folder))
    release, solved = read(tree, RELEASE / "en" / NOTEBOOK), read(tree, PurePosixPath("solutions", "en") / NOTEBOOK)
    stub = 'q5 = picked("doubling.q5")  # or type q5 = "b"'
    assert cell(release, "doubling--q5--answer")["source"] == stub
    assert 'q5 = "b"' in cell(solved, "doubling--q5--answer")["source"].splitlines()
    assert cell(release, "doubling--w1")["source"] == ANSWER_PLACE


def test_graded_cells_are_locked_and_carry_their_points(course_folder: Path) -> None:
    notebook = read(built_tree(load_course(course_folder)), RELEASE / "en" / NOTEBOOK)
    check = cell(notebook, "doubling--double")
    assert check["source"] == 'check("doubling.double")'
    assert check["metadata"]["nbgrader"]["points"] == 3
    for name in ("setup", "doubling--double", "doubling--q1--quiz", "doubling--q5", "doubling--q5--quiz"):
        metadata = cell(notebook, name)["metadata"]
        assert metadata["nbgrader"]["locked"], name
        assert metadata["editable"] is metadata["deletable"] is False, name
    points = [c["metadata"].get("nbgrader", {}).get("points", 0) for c in notebook["cells"]]
    assert sum(points) == 3 + 1 + 2


def test_the_home_notebook_links_to_what_was_built(course_folder: Path) -> None:
    tree = built_tree(load_course(course_folder))
    for language in LANGUAGES:
        intro = cell(read(tree, RELEASE / language / "home.ipynb"), "intro")["source"]
        assert f"({NOTEBOOK})" in intro
        assert RELEASE / language / NOTEBOOK in tree


def test_building_twice_changes_nothing_and_drift_is_found(course_folder: Path) -> None:
    course, out = load_course(course_folder), course_folder.parent
    assert build(course, out).missing
    assert not build(course, out)
    changed, lost, stray = (out / "notebooks" / "en" / name for name in ("home.ipynb", NOTEBOOK, "old.ipynb"))
    changed.write_text(changed.read_text() + "\n")
    lost.unlink()
    stray.write_text("{}")
    drift = check_build(course, out)
    assert [len(names) for names in (drift.differ, drift.missing, drift.stray)] == [1, 1, 1]
    assert stray.exists(), "a check writes nothing"
    build(course, out)
    assert not check_build(course, out)
    assert not stray.exists()


def test_a_changed_course_is_drift_in_release_and_solutions(course_folder: Path) -> None:
    build(load_course(course_folder), course_folder.parent)
    edit(course_folder / CHAPTER / "slides.zh.md", "与自己相加", "加上它自己")
    drift = check_build(load_course(course_folder), course_folder.parent)
    assert {(name.parts[0], name.parts[1]) for name in drift.differ} == {("notebooks", "zh"), ("solutions", "zh")}


def test_a_draft_is_not_released(course_folder: Path) -> None:
    edit(course_folder / CHAPTER / "chapter.toml", "minutes = 10", "minutes = 10\ndraft = true")
    tree = built_tree(load_course(course_folder))
    assert {path.name for path in tree} == {"home.ipynb"}
    assert all(CHAPTER.encode() not in content for content in tree.values())


def test_an_instructor_gets_the_source_with_its_figures(course_folder: Path, tmp_path: Path) -> None:
    course = load_course(course_folder)
    chapter = course.chapter("doubling")
    path = write_source(course, chapter, "en", tmp_path / "class" / "source" / CHAPTER)
    assert "### BEGIN SOLUTION" in path.read_text()
    assert (path.parent / "figures" / "bars.svg").read_bytes() == (chapter.folder / "figures/bars.svg").read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_chapter_links_to_the_home_notebook_only_where_there_is_one(
    course_folder: Path, tmp_path: Path, language: Language
) -> None:
    course = load_course(course_folder)
    tree = built_tree(course)
    homes = {name.parent for name in tree if name.name == "home.ipynb"}
    for name in (top / PurePosixPath(language) / NOTEBOOK for top in ("notebooks", "solutions")):
        assert ("../home.ipynb" in cell(read(tree, name), "intro")["source"]) is (name.parent.parent in homes), name
    in_class = write_source(course, course.chapter("doubling"), language, tmp_path / "class" / "source" / CHAPTER)
    assert "home.ipynb" not in in_class.read_text(encoding="utf-8")


@pytest.mark.parametrize(("language", "line"), [("en", "Comes after: {}"), ("zh", "先修章节：{}")])
def test_chapters_that_come_before_are_named_by_their_titles(language: Language, line: str) -> None:
    course = load_course()
    first = chapter_notebook(course.chapter("merge_softmax"), language, course).cells[0].source
    assert line.format(course.chapter("online_softmax").title[language]) in first.splitlines()


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("slides.en.md", "figures/bars.svg", "figures/gone.svg", "out of step"),
        ("slides.zh.md", "{{quiz q1}}", "{{quiz q9}}", "There are: q1"),
        ("slides.zh.md", "{{quiz q1}}", "{{quiz q2}}", "stands 0 times"),
        ("slides.zh.md", "print(1 + 1)", "print(2)", "letter by letter"),
        ("double/statement.zh.md", "## 轮到你", "轮到你", "same in both languages"),
        ("double/solution.py", "    ### END SOLUTION", "", "BEGIN SOLUTION"),
        ("double/solution.py", "import torch", "# exercise: doubling.other", "Write '# exercise: doubling.double'"),
        ("double/solution.py", "def double(x: torch.Tensor) -> torch.Tensor:", "def double(", "whole statements"),
    ],
)
def test_a_course_that_does_not_hold_together_is_refused(
    course_folder: Path, file: str, old: str, new: str, problem: str
) -> None:
    edit(course_folder / CHAPTER / file, old, new)
    with pytest.raises(CourseError) as caught:
        built_tree(load_course(course_folder))
    assert problem in str(caught.value)


def test_a_missing_figure_is_named_with_its_remedy(course_folder: Path) -> None:
    figure = course_folder / CHAPTER / "figures" / "bars.svg"
    figure.unlink()
    with pytest.raises(CourseError, match="Draw it") as caught:
        built_tree(load_course(course_folder))
    assert caught.value.file == figure


def test_a_figure_outside_its_folder_is_refused(course_folder: Path) -> None:
    for language in LANGUAGES:
        edit(course_folder / CHAPTER / f"slides.{language}.md", "figures/bars.svg", "../course.toml")
    with pytest.raises(CourseError, match="outside figures/"):
        built_tree(load_course(course_folder))


def test_what_nbgrader_refuses_is_told_once_and_with_its_reason(
    course_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for language in LANGUAGES:
        edit(course_folder / CHAPTER / f"slides.{language}.md", "print(1 + 1)", "### BEGIN SOLUTION")
    with pytest.raises(CourseError, match="No end solution statement found") as caught:
        built_tree(load_course(course_folder))
    assert caught.value.file == course_folder / CHAPTER
    assert capfd.readouterr() == ("", "")
