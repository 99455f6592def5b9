from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from autograder.course.build import built_tree
from autograder.course.leaks import scan_release
from autograder.course.model import LANGUAGES, Course, CourseError
from autograder.course.reading import load_course
from tests.autograder.course.sample import CHAPTER, edit, write_course

PATH = PurePosixPath("notebooks", "zh", CHAPTER, "doubling.ipynb")
SOLUTION_LINE = "twice_the_number = x + x"
Notebook = dict[str, Any]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return load_course(write_course(tmp_path_factory.mktemp("leaks")))


@pytest.fixture(scope="module")
def release(course: Course) -> dict[PurePosixPath, bytes]:
    return {path: content for path, content in built_tree(course).items() if path.parts[0] == "notebooks"}


def planted(release: dict[PurePosixPath, bytes], plant: Callable[[Notebook], None]) -> dict[PurePosixPath, bytes]:
    notebook = json.loads(release[PATH])
    plant(notebook)
    return release | {PATH: json.dumps(notebook).encode()}


def append(text: str) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"][2]["source"].append("\n" + text)


def first_code_cell(notebook: Notebook) -> Notebook:
    return next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def test_what_the_build_releases_is_clean(course: Course, release: dict[PurePosixPath, bytes]) -> None:
    assert scan_release(course, release) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (SOLUTION_LINE, "the solution of doubling.double"),
        ("twice_the_number  =x+x   # renamed nothing", "the solution of doubling.double"),
        ("see `twice_the_number = x + x` here", "the solution of doubling.double"),
        (json.dumps(f"a\n    {SOLUTION_LINE}\n"), "the solution of doubling.double"),
        ("twice_the_number &#61; x &#43; x", "the solution of doubling.double"),
        (base64.b64encode(f"if 1:\n    {SOLUTION_LINE}".encode()).decode(), "the solution of doubling.double"),
        (base64.encodebytes(f"{'#' * 90}\n{SOLUTION_LINE}".encode()).decode(), "the solution of doubling.double"),
        ("return made_by_squares(x)", "the wrong solution squares of doubling.double"),
        ("return rightly_by_sum(x)", "the right solution by_sum of doubling.double"),
        ("def reference(number_to_double):", "checks.py of doubling.double"),
        ("yield Case(x=draw.normal(3, scale=7.25))", "checks.py of doubling.double"),
        ("Every number is added to itself, 5 too.", "the key of doubling.q5"),
        ("每个数都与自己相加，5 也不例外。", "the key of doubling.q5"),
    ],
)
def test_a_planted_text_is_found_whatever_its_clothes(
    course: Course, release: dict[PurePosixPath, bytes], text: str, secret: str
) -> None:
    leaks = scan_release(course, planted(release, append(text)))
    assert {leak.what.partition(": ")[0] for leak in leaks} == {secret}
    assert {leak.file for leak in leaks} == {str(PATH)}
    assert {leak.where for leak in leaks} == {"cell slide-01"}


def set_in_cell(**fields: Any) -> Callable[[Notebook], None]:
    return lambda notebook: first_code_cell(notebook).update(fields)


def set_in_metadata(key: str, value: Any) -> Callable[[Notebook], None]:
    return lambda notebook: first_code_cell(notebook)["metadata"].update({key: value})


def set_answer(source: str) -> Callable[[Notebook], None]:
    def plant(notebook: Notebook) -> None:
        next(cell for cell in notebook["cells"] if cell["id"] == "doubling--q5--answer")["source"] = [source]

    return plant


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (set_in_cell(outputs=[{"output_type": "stream", "name": "stdout", "text": ["6"]}]), "the output of a run"),
        (set_in_cell(execution_count=3), "the output of a run"),
        (set_in_cell(attachments={"a.png": {"image/png": "AA=="}}), "an attachment"),
        (set_in_metadata("seed", 17), "metadata that no build writes: seed"),
        (set_in_metadata("tilewise", {"role": SOLUTION_LINE}), "the solution of doubling.double"),
        (set_in_metadata("tilewise", {SOLUTION_LINE: 1}), "the solution of doubling.double"),
        (set_answer('q5 = "b"'), "an answer cell that is not its stub"),
        (append("### BEGIN SOLUTION"), "the marks of a solution"),
        (lambda notebook: notebook["metadata"].update(seed=17), "metadata that no build writes: seed"),
    ],
)
def test_what_no_build_writes_is_a_leak_whatever_it_says(
    course: Course, release: dict[PurePosixPath, bytes], plant: Callable[[Notebook], None], what: str
) -> None:
    leaks = scan_release(course, planted(release, plant))
    assert any(what in leak.what for leak in leaks), leaks


def test_outputs_are_read_too(course: Course, release: dict[PurePosixPath, bytes]) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["a\n", f"{SOLUTION_LINE}\n"]}
    leaks = scan_release(course, planted(release, set_in_cell(outputs=[output])))
    assert any("the solution" in leak.what for leak in leaks)


@pytest.mark.parametrize("name", ["gradebook.db", "checks.py", "quiz.toml", "figures/key.txt"])
def test_a_file_that_is_neither_notebook_nor_figure_is_a_leak(
    course: Course, release: dict[PurePosixPath, bytes], name: str
) -> None:
    leaks = scan_release(course, release | {PATH.parent / name: b"17"})
    assert [leak.file for leak in leaks] == [str(PATH.parent / name)]


def test_a_figure_is_read_too(course: Course, release: dict[PurePosixPath, bytes]) -> None:
    figure = PATH.parent / "figures" / "bars.svg"
    leaks = scan_release(course, release | {figure: f"<svg><desc>{SOLUTION_LINE}</desc></svg>".encode()})
    assert [leak.file for leak in leaks] == [str(figure)]


def test_one_line_shown_on_purpose_is_no_leak_and_most_of_a_body_is(course_folder: Path) -> None:
    body = ["first_long_line = x + 1", "second_long_line = x + 2", "third_long_line = x + 3"]
    solution = course_folder / CHAPTER / "double" / "solution.py"
    edit(solution, f"    {SOLUTION_LINE}\n", "".join(f"    {line}\n" for line in body))
    for language in LANGUAGES:
        edit(course_folder / CHAPTER / f"slides.{language}.md", "print(1 + 1)", body[0])
    built_tree(load_course(course_folder))
    for language in LANGUAGES:
        edit(course_folder / CHAPTER / f"slides.{language}.md", body[0], "\n".join(body))
    with pytest.raises(CourseError, match="3 of its 4 lines") as caught:
        built_tree(load_course(course_folder))
    assert caught.value.key == "cell slide-06-2"


def test_the_build_refuses_to_write_a_leak(course_folder: Path) -> None:
    for language in LANGUAGES:
        edit(course_folder / f"home.{language}.md", "{{chapters}}", f"{{{{chapters}}}}\n\n`{SOLUTION_LINE}`")
    with pytest.raises(CourseError, match=r"the solution of doubling\.double") as caught:
        built_tree(load_course(course_folder))
    assert caught.value.file.name == "home.ipynb"
