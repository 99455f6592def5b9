"""Card to draft to card is the identity, whatever the texts hold; and nothing of a failed import stays."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.course.draft import load_draft
from autograder.course.lessons import deck, toml
from autograder.course.lessons.card import Card
from autograder.course.lessons.drafting import files_of, import_card, slug_for
from autograder.course.lessons.exporting import as_json, card_of_draft, left_out
from autograder.course.lessons.reading import read_card
from autograder.course.model import CourseError
from autograder.course.reading import load_course
from autograder.course.slides import lines_of
from tests.autograder.course.lessons.cards import ANSWER, card_data
from tests.autograder.course.sample import edit

FILE = Path("card.json")
# What Markdown, TOML, our slides and fences give a meaning to, piled up.
PIECES = ["# 题", "## 节", "---", "\n", "\r\n", "\n\n", "```python\n", "\n```", "~~~", "é", "词"]
PIECES += ['"', "'''", "\\", "{", "}}", "\t", " "]
AWKWARD = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)
WORDS = AWKWARD.filter(lambda text: text.strip() != "")


@st.composite
def cards(draw: st.DrawFn) -> Card:
    options = draw(st.lists(WORDS, min_size=2, max_size=4, unique=True))
    question = {"question": draw(WORDS), "type": "choice", "options": options, "answer": options[-1]}
    video = {
        "title": draw(WORDS),
        "url": "https://example.org/v",
        "cover": draw(st.one_of(st.just(""), AWKWARD)),
        "duration": draw(st.sampled_from(["0:07", "10:3", "59:60", "1:00:00"])),
    }
    task = {name: draw(WORDS) for name in ("title", "description", "starter_code", "answer")}
    lesson = {
        "type": "coding",
        "difficulty": draw(st.sampled_from(["beginner", "intermediate", "advanced"])),
        "ppt_slide": draw(WORDS),
        "questions": [question] * draw(st.integers(0, 2)),
        "task": task,
        "videos": [video, video | {"cover": "second"}][: draw(st.integers(0, 2))],
    }
    return Card.model_validate({"success": True, "task": lesson})


@settings(max_examples=300, deadline=None)
@given(card=cards())
def test_a_card_comes_back_from_its_draft_or_leaves_nothing(card: Card) -> None:
    with tempfile.TemporaryDirectory() as place:
        if can_be_split(card.task.ppt_slide):
            folder = import_card(card, FILE, Path(place), "lesson")
            assert card_of_draft(load_draft(folder)) == card
        else:
            with pytest.raises(CourseError, match=r"task\.ppt_slide: a code block .* never ends"):
                import_card(card, FILE, Path(place), "lesson")
            assert list(Path(place).iterdir()) == []


def can_be_split(slides: str) -> bool:
    try:
        list(lines_of(slides, FILE))
    except CourseError:
        return False
    return True


def test_what_comes_back_stands_in_the_draft_and_not_in_a_copy(card_file: Path, tmp_path: Path) -> None:
    card = read_card(card_file)
    folder = import_card(card, card_file, tmp_path, "lesson")
    edit(folder / "slides.zh.md", "写一个循环", "写两个循环")
    edit(folder / "chapter.toml", "minutes = 11", "minutes = 12")
    edit(folder / "quiz.toml", "磁盘", "硬盘")
    edit(folder / "task/solution.py", "torch.softmax", "torch.sigmoid")
    found = card_of_draft(load_draft(folder)).task
    assert "写两个循环" in found.ppt_slide
    assert [video.duration for video in found.videos] == ["12:00", "1:02:30"]
    assert found.questions[0].options[1] == "硬盘"
    assert "torch.sigmoid" in found.task.answer
    extras = (folder / "card.toml").read_text()
    assert not any(text in extras for text in ("显存", "torch", "注意力", "分块"))


def test_the_draft_holds_the_cards_language_and_no_other(card_file: Path, tmp_path: Path) -> None:
    folder = import_card(read_card(card_file), card_file, tmp_path, "lesson")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "card.toml", "chapter.toml", "quiz.toml", "slides.zh.md",
        "task/exercise.toml", "task/solution.py", "task/starter.py", "task/statement.zh.md",
    }  # fmt: skip
    draft = load_draft(folder)
    assert draft.languages == ("zh",)
    assert (draft.title.zh, draft.title.en) == ("注意力为什么可以一块一块地算", None)
    assert draft.exercises[0].solution == ANSWER
    with pytest.raises(CourseError, match="missing in English"):
        card_of_draft(draft, "en")


def test_slides_are_split_before_their_sections_and_at_the_cards_own_breaks() -> None:
    own = deck.opened("## a\n\n---\n\n## b", FILE)
    assert (own.slides, own.breaks) == ("## a\n\n---\n\n## b", True)
    ours = deck.opened("# T\n\n## a\n```\n## code\n```\n## b", FILE)
    assert ours == deck.Deck("T", "## a\n```\n## code\n```\n---\n## b", False)


def test_a_line_that_would_place_a_block_is_refused(tmp_path: Path) -> None:
    data = card_data()
    data["task"]["ppt_slide"] = "## a\n\n{{quiz q1}}\n"
    with pytest.raises(CourseError, match=r"task\.ppt_slide: expected slides, got the line '\{\{quiz q1}}'"):
        import_card(Card.model_validate(data), FILE, tmp_path, "lesson")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", range(8))
def test_an_import_that_breaks_off_leaves_nothing(
    card_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    into, left = tmp_path / "into", iter([True] * written)
    into.mkdir()
    write = Path.write_bytes

    def fail_later(self: Path, data: bytes) -> int:
        if next(left, False):
            return write(self, data)
        raise OSError("disk full")

    assert len(files_of(read_card(card_file), card_file)) == 8
    card = read_card(card_file)
    monkeypatch.setattr(Path, "write_bytes", fail_later)
    with pytest.raises(OSError, match="disk full"):
        import_card(card, card_file, into, "lesson")
    assert list(into.iterdir()) == []


def test_a_folder_that_is_there_is_refused_whatever_its_number(card_file: Path, tmp_path: Path) -> None:
    (tmp_path / "04_lesson").mkdir()
    card = read_card(card_file)
    with pytest.raises(CourseError, match="04_lesson: is there already"):
        import_card(card, card_file, tmp_path, "lesson")
    assert import_card(card, card_file, tmp_path, "other").name == "05_other"
    with pytest.raises(CourseError, match="expected a folder for the draft"):
        import_card(card, card_file, tmp_path / "gone", "lesson")
    with pytest.raises(CourseError, match="expected a slug"):
        import_card(card, card_file, tmp_path, "../up")


def test_a_chapter_becomes_a_card_and_the_rest_is_listed(blocks_course: Path, tmp_path: Path) -> None:
    chapter = load_course(blocks_course).chapter("blocks")
    draft = load_draft(chapter.folder)
    for language in ("en", "zh"):
        card = card_of_draft(draft, language)  # type: ignore[arg-type]
        back = import_card(card, FILE, tmp_path, f"back_{language}")
        assert card_of_draft(load_draft(back)) == card
        assert as_json(card).count('"question"') == 5
    assert "{{" not in card.task.ppt_slide
    assert "raise NotImplementedError" in card.task.task.starter_code
    assert "BEGIN SOLUTION" not in card.task.task.answer
    told = "\n".join(left_out(draft, "zh"))
    expected = ["slides.en.md", "statement.en.md", "summary", "written", "reading", "option.why", "misconception"]
    expected += ["property", "wrong (4)", "hint", "functions", "attend/checks.py", "attend/wrong/: 4 files", "figures/"]
    assert [name for name in expected if name not in told] == []
    assert "slides.zh.md" not in told


def test_what_a_card_holds_is_not_listed_as_left_out(card_file: Path, tmp_path: Path) -> None:
    folder = import_card(read_card(card_file), card_file, tmp_path, "lesson")
    assert left_out(load_draft(folder)) == []
    with (folder / "chapter.toml").open("a") as file:
        file.write('\n[[reading]]\nurl = "https://example.org"\n')
    assert left_out(load_draft(folder)) == ["chapter.toml: reading.url"]


@pytest.mark.parametrize(
    ("name", "slug"), [("1-Lesson-Card.json", "lesson_card"), ("卡片.json", ""), ("a b.c.txt", "a_b_c")]
)
def test_a_slug_is_made_of_the_files_name(name: str, slug: str) -> None:
    assert slug_for(Path(name)) == slug


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.one_of(TEXTS, st.booleans(), st.integers(-(2**40), 2**40), st.lists(TEXTS))
KEYS = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
SMALL = st.recursive(
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=2),
    max_leaves=3,
)
ROWS = st.dictionaries(KEYS, st.one_of(VALUES, SMALL), max_size=3)
TABLES = st.recursive(
    ROWS,
    lambda inner: st.builds(
        dict.__or__, ROWS, st.dictionaries(KEYS, st.lists(inner, min_size=1, max_size=2), max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(table=TABLES)
def test_tables_come_back_from_toml(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml.written(table)) == table
