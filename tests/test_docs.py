"""The pages say what the commands do: every command and option that is named exists, in both languages alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tilewise_lab.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
PAIRS = [page for page in PAGES if page.name.endswith(".en.md") or page.name == "README.md"]
# A command as it is typed: in a line of a console block, or between backquotes.
TYPED = re.compile(r"(?:^\$ [^\n]*?|`(?:[^`\n]*[ /])?)\btilewise ((?:[a-z][a-z-]*\b)[^`\n]*)", re.MULTILINE)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Walk all commands: ("course init", ...)."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands(get_command(app)))


def other_language(page: Path) -> Path:
    return page.with_name("README.zh.md" if page.name == "README.md" else page.name.replace(".en.", ".zh."))


def typed(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Give the commands that a page names, each with the options that stand behind it."""
    for match in TYPED.finditer(page.read_text(encoding="utf-8")):
        name = next((n for n in ALL if re.match(rf"{n}\b(?!-)", match[1])), match[1])
        yield name, set(re.findall(r"(?<!\S)--[a-z-]+", match[1]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    for name, options in typed(page):
        assert name in ALL, f"{page.name}: `tilewise {name}` is no command; there are {', '.join(ALL)}"
        known = {option for parameter in ALL[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert options <= known | {"--help"}, f"{page.name}: {name} has no {options - known}"


@pytest.mark.parametrize("page", PAIRS, ids=lambda page: page.name)
def test_both_languages_name_the_same_commands_and_link_to_each_other(page: Path) -> None:
    other = other_language(page)
    assert {name for name, _ in typed(page)} == {name for name, _ in typed(other)}
    assert f"]({other.name})" in page.read_text(encoding="utf-8")
    assert f"]({page.name})" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_every_command_is_told_of_in_a_page_of_each_language(name: str) -> None:
    for pages in (PAIRS, [other_language(page) for page in PAIRS]):
        assert any(name == told for page in pages for told, _ in typed(page)), f"no page tells of `tilewise {name}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_file_and_picture_that_a_page_links_to_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https://|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name} links to {link}"


def test_the_authors_pages_lead_to_lesson_cards() -> None:
    for language in ("en", "zh"):
        assert f"](lesson-cards.{language}.md)" in (ROOT / "docs" / f"authors.{language}.md").read_text(
            encoding="utf-8"
        )


def test_a_command_that_is_none_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Run `tilewise lern --lang zh`, or:\n\n```console\n$ make x && tilewise doctor --fast\n```\n")
    assert list(typed(page)) == [("lern --lang zh", {"--lang"}), ("doctor", {"--fast"})]
