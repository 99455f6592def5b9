"""Faults that reading a course finds, and running its demos: each is told of with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder.course import demos
from autograder.course.demos import check_demos
from autograder.course.finding import Finding
from autograder.course.model import Text
from autograder.course.questions import check_places
from autograder.course.reading import load_course
from autograder.course.soundness import check_chapter, check_course, check_exercise
from autograder.course.wording import check_address
from tests.autograder.course.sample import CHAPTER, edit

QUIZ, EXERCISE = f"{CHAPTER}/quiz.toml", f"{CHAPTER}/double/exercise.toml"
SLIDES, TABLE = f"{CHAPTER}/slides.{{}}.md", f"{CHAPTER}/chapter.toml"
STATEMENT = f"{CHAPTER}/double/statement.zh.md"
TERMS = """[[term]]
id = "tile"
en = "tile"
zh = "块"
avoid = ["瓦片", "大块"]

[[term]]
id = "giant"
en = "giant"
zh = "大块头"

[[term]]"""


def found(folder: Path) -> Iterator[Finding]:
    course = load_course(folder)
    yield from check_course(course)
    for chapter in course.chapters:
        yield from check_chapter(course, chapter)
        for exercise in chapter.exercises:
            yield from check_exercise(exercise)


def told(folder: Path) -> list[str]:
    return [f"{finding.file.name}: {finding.what} -> {finding.remedy}" for finding in found(folder)]


def test_the_sample_is_sound(course_folder: Path) -> None:
    assert told(course_folder) == []


# Quizzes


def always_second(folder: Path) -> None:
    edit(folder / QUIZ, 'en = "Twice as much", zh = "两倍"', 'en = "Twice", zh = "两倍"')
    text = (folder / QUIZ).read_text()
    head, second, rest = text.split("[[question]]", 3)[0], text.split("[[question]]")[1], text.split("[[question]]")[3:]
    others = [second.replace('"q1"', '"q2"'), *rest]
    (folder / QUIZ).write_text("[[question]]".join([head, second, *others]))


def test_a_right_option_that_always_has_one_place_is_found(course_folder: Path) -> None:
    always_second(course_folder)
    (line,) = told(course_folder)
    assert "option 2 is right in 5 of 5 questions" in line
    assert "Move the right option" in line


def test_a_place_that_is_right_too_often_is_found_only_where_there_are_enough_questions(course_folder: Path) -> None:
    course = load_course(course_folder)
    chapter = course.chapters[0]
    option = chapter.questions[0].options[0]
    four = tuple(
        option.model_copy(update={"key": key, "correct": correct})
        for key, correct in zip("abcd", (True, False, False, False), strict=True)
    )
    first, last = (chapter.questions[0].model_copy(update={"option": options}) for options in (four, four[::-1]))

    def findings(questions: list) -> list[Finding]:
        asked = [q.model_copy(update={"id": f"q{n}"}) for n, q in enumerate(questions, start=1)]
        changed = chapter.model_copy(update={"questions": tuple(asked)})
        return list(check_places(course.model_copy(update={"chapters": (changed,)})))

    assert findings([first] * 3 + [last] * 2)
    assert not findings([first] * 3 + [last] * 3), "half of them, twice as many as by chance, is the most"
    assert not findings([first] * 3)


@pytest.mark.parametrize("moved", ["{{quiz q1}}", "{{exercise double}}"])
def test_what_stands_after_a_graded_question_is_found(course_folder: Path, moved: str) -> None:
    for language in ("en", "zh"):
        edit(course_folder / SLIDES.format(language), f"{moved}\n---\n", "")
        edit(course_folder / SLIDES.format(language), "{{quiz q5}}\n---\n", f"{{{{quiz q5}}}}\n---\n{moved}\n---\n")
    (line,) = told(course_folder)
    assert f"slides.en.md: {moved} stands after the graded question q5" in line
    assert "Put graded questions last, in both languages" in line


@pytest.mark.parametrize(("order", "count"), [('["a", "b"]', 1), ('["b", "a"]', 0)])
def test_an_ordering_that_is_shown_in_its_right_order_is_found(course_folder: Path, order: str, count: int) -> None:
    edit(course_folder / QUIZ, 'id = "q1"', f'id = "q1"\nkind = "ordering"\norder = {order}')
    lines = told(course_folder)
    assert len(lines) == count
    assert all("question q1: the options stand in their right order already" in line for line in lines)


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (QUIZ, "That adds one to 1", r"That adds $\foo{1}$", r"question[0].option[0].why.en: \foo is not known"),
        (QUIZ, "1 的两倍是多少", r"$\mathbb{R}$ 的两倍是多少", r"question[0].prompt.zh: \mathbb is not known"),
        (EXERCISE, "与自己相加。", "与自己相加：$x_{i$。", "hint[0].zh: $x_{i$ has a brace without its partner"),
        (
            EXERCISE,
            "This is the mistake squares.",
            r"It is \alpha.",
            r"wrong.squares.en: \alpha stands outside of $...$",
        ),
        (EXERCISE, "gives twice the number", "gives $$2x$$", "property.doubles.en: a $ has no partner"),
    ],
)
def test_mathematics_that_the_panels_cannot_show_is_found(
    course_folder: Path, file: str, old: str, new: str, fault: str
) -> None:
    edit(course_folder / file, old, new.replace("\\", "\\\\"))
    (line,) = told(course_folder)
    assert fault in line
    assert "markup.py lists, or in words" in line


@pytest.mark.parametrize("text", [r"$\exp(m) \le \frac{1}{\sqrt{D}}$", r"`\foo` costs 5", "$x_{i}$ and $e^{m}$", "$5"])
def test_mathematics_that_they_can_show_is_fine(course_folder: Path, text: str) -> None:
    edit(course_folder / EXERCISE, 'en = "gives twice the number"', f"en = '{text}'")
    assert told(course_folder) == []


# Words


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (SLIDES.format("zh"), "## 想法 1\n", "## 想法 1\n\n每个 tile 依次处理。\n"),
        (SLIDES.format("zh"), "## 想法 1\n", "## 想法 1\n\n把 Tiles 依次处理。\n"),
        (STATEMENT, "把这个数加倍。", "逐个瓦片加倍。"),
        (QUIZ, "1 的两倍是多少？", "每个大块的两倍是多少？"),
        (EXERCISE, "与自己相加。", "与 tile 相加。"),
        (TABLE, "一个数的两倍。", "tile 的两倍。"),
        ("home.zh.md", "运行单元格。", "运行瓦片。"),
    ],
)
def test_a_term_in_english_or_by_another_name_in_chinese_is_found(
    course_folder: Path, file: str, old: str, new: str
) -> None:
    edit(course_folder / "glossary.toml", "[[term]]", TERMS)
    edit(course_folder / file, old, new)
    (line,) = told(course_folder)
    assert line.startswith(Path(file).name)
    assert "The glossary's word for it is 块; code goes between backquotes" in line


@pytest.mark.parametrize(
    "text",
    [
        "每一块（tile）依次处理。",
        "变量 `tile` 与 $tile$。",
        "`x_tile` 与 my_tile。",
        "Tile Attention 是一个名字，Big-tile 也是。",
        "[一页](https://example.org/tile) 讲它。",
        "```python\ntile = 1\n```\n",
        "这里有个大块头。",
    ],
)
def test_code_names_brackets_and_longer_words_are_no_faults(course_folder: Path, text: str) -> None:
    edit(course_folder / "glossary.toml", "[[term]]", TERMS)
    for language, added in (("zh", text), ("en", "One tile.\n\n```python\ntile = 1\n```\n")):
        if "```" in text or language == "zh":
            edit(course_folder / SLIDES.format(language), " 1\n\n", f" 1\n\n{added}\n\n")
    assert told(course_folder) == []


@pytest.mark.parametrize("key", ["https://example.org/film", "https://example.org/doubling"])
def test_an_address_that_is_not_encrypted_is_found(course_folder: Path, key: str) -> None:
    edit(course_folder / TABLE, key, key.replace("https", "http"))
    (line,) = told(course_folder)
    assert f"is '{key.replace('https', 'http')}'" in line
    assert "https://example.org/page" in line


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org",
        "https://example",
        "https://",
        "https:///page",
        "https://example.org:99999/",
        "https://name:word@example.org/",
        "https://[::1/",
        "https://exa mple.org/",
        "https://example.org/a b",
        'https://example.org/"x',
        "javascript:alert(1)",
        "example.org/page",
        "page.html",
    ],
)
def test_an_address_that_is_none_is_found(address: str) -> None:
    assert list(check_address(Path("here"), "links there", address))


@pytest.mark.parametrize("address", ["https://example.org", "https://arxiv.org/abs/2205.14135", "https://b.cn/v?t=1#x"])
def test_an_address_that_is_one_is_fine(address: str) -> None:
    assert not list(check_address(Path("here"), "links there", address))


def test_a_link_in_the_slides_must_be_such_an_address_or_a_chapter(course_folder: Path) -> None:
    for language in ("en", "zh"):
        links = "[a](../02_next/next.ipynb) [b](#idea) [c](https://example.org)"
        edit(course_folder / SLIDES.format(language), " 1\n\n", f" 1\n\n{links}\n\n")
    assert told(course_folder) == []
    edit(course_folder / SLIDES.format("zh"), "https://example.org", "http://example.org")
    assert any("slides.zh.md: links to http://example.org" in line for line in told(course_folder))


# Demos


def failing(folder: Path) -> list[str]:
    course = load_course(folder)
    return [f"{f.what} -> {f.remedy}" for f in check_demos(course, course.chapters[0])]


def both(text: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        for language in ("en", "zh"):
            edit(folder / SLIDES.format(language), "print(1 + 1)", text)

    return plant


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(one + 1)", "NameError: name 'one' is not defined"),
        ("print(1 +", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os\nos._exit(4)", "its process ended with 4"),
    ],
)
def test_a_demo_that_fails_is_found(course_folder: Path, code: str, said: str) -> None:
    both(code)(course_folder)
    (line,) = failing(course_folder)
    assert said in line
    assert "it stops Run All" in line
    assert "slide 6" in line or "process" in line


def test_a_demo_that_needs_a_solved_exercise_is_found(course_folder: Path) -> None:
    for language in ("en", "zh"):
        slides = course_folder / SLIDES.format(language)
        slides.write_text(
            slides.read_text() + "\n---\n## Then\n\n```python run\nimport torch\ndouble(torch.ones(1))\n```\n"
        )
    (line,) = failing(course_folder)
    assert "NotImplementedError" in line
    assert "before any exercise is solved" in line


def test_a_demo_that_never_ends_is_found(course_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demos, "SECONDS", 1.0)
    both("while True: pass")(course_folder)
    (line,) = failing(course_folder)
    assert "it takes more than 1 s" in line


def test_demos_that_run_are_fine_whatever_they_print(course_folder: Path) -> None:
    both("import sys\nprint(2)\nprint(3, file=sys.stderr)")(course_folder)
    assert failing(course_folder) == []


def test_a_demo_finds_what_is_given_to_the_chapter(course_folder: Path) -> None:
    both("from given import triple\nassert triple(2) == 6")(course_folder)
    course = load_course(course_folder)
    chapter = course.chapters[0]
    solution = course_folder / "triple.py"
    solution.write_text("def triple(x):\n    return 3 * x\n")
    exercise = chapter.exercises[0].model_copy(update={"given": ("earlier.triple",)})

    class Earlier:
        solution_path = solution

    changed = chapter.model_copy(update={"exercises": (exercise,)})
    with_earlier = course.model_copy()
    with_earlier.__dict__["exercises"] = {"earlier.triple": Earlier()}
    assert list(check_demos(with_earlier, changed)) == []
    assert list(check_demos(course, chapter)), "without it, there is nothing to import"


def test_both_languages_of_a_fault_are_told(course_folder: Path) -> None:
    texts = Text(en=r"$\foo$", zh=r"$\foo$ 好")
    edit(course_folder / EXERCISE, 'en = "keeps the sign"\nzh = "保持符号"', f"en = '{texts.en}'\nzh = '{texts.zh}'")
    assert [line.partition(": ")[2][:24] for line in told(course_folder)] == [
        "property.keeps_sign.en: ",
        "property.keeps_sign.zh: ",
    ]
