"""The pages about the library: their code runs, prints what they say, and finds every symbol of the slides."""

import contextlib
import inspect
import io
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = {language: ROOT / "docs" / f"library.{language}.md" for language in ("en", "zh")}
TITLES = {"en": "## The symbols of the slides, in the code", "zh": "## 讲义里的符号，在代码的什么地方"}


def text(language: str) -> str:
    return PAGES[language].read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def promised(block: str) -> list[str]:
    """Give what a block says that it prints: the comment after each print, or the lines of comment below."""
    after_print = re.compile(r"^\s*print\(.*\)  # (.*)$")
    below = re.compile(r"^# (.*)$")
    return [found[1] for line in block.splitlines() if (found := after_print.match(line) or below.match(line))]


def in_code_alone(block: str) -> str:
    """Leave out the comments, which each page writes in its language."""
    return "\n".join(line.split("  # ")[0] for line in block.splitlines())


def symbols(page: str, title: str) -> list[tuple[str, str, str]]:
    """Give the rows of the table of symbols: symbol, name, place."""
    _, _, rest = page.partition(title)
    return re.findall(r"^\| \$(.+?)\$ \| `(.+?)` \| `(.+?)` \|$", rest.partition("\n## ")[0], flags=re.MULTILINE)


def found_at(place: str) -> Any:
    """Give the function or class of a dotted name."""
    module, name = place.rsplit(".", 1)
    return getattr(import_module(module), name)


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:The PyTorch API of nested tensors")
def test_each_block_prints_what_the_page_says(language: str) -> None:
    scope: dict[str, Any] = {}
    for block in blocks(text(language)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(PAGES[language]), "exec"), scope)
        assert printed.getvalue().splitlines() == promised(block)


def test_both_pages_hold_the_same_code_tables_and_symbols() -> None:
    pages = [text(language) for language in PAGES]
    first, second = ([in_code_alone(block) for block in blocks(page)] for page in pages)
    assert first == second
    assert len(first) >= 7
    shapes = [[line.count("|") for line in page.splitlines() if line.startswith("|")] for page in pages]
    assert shapes[0] == shapes[1]
    assert pages[0].count("\n## ") == pages[1].count("\n## ")
    rows = [symbols(text(language), TITLES[language]) for language in PAGES]
    assert rows[0] == rows[1]


def test_every_symbol_of_the_slides_is_found_in_the_code() -> None:
    terms = tomllib.loads((ROOT / "course" / "glossary.toml").read_text(encoding="utf-8"))["term"]
    rows = symbols(text("en"), TITLES["en"])
    listed, wanted = {symbol for symbol, _, _ in rows}, {term["symbol"] for term in terms if term["symbol"]}
    assert listed == wanted, f"add to, or take from, the tables of docs/library.*.md: {listed ^ wanted}"
    for symbol, name, place in rows:
        source = inspect.getsource(found_at(place))
        assert re.search(rf"\b{re.escape(name)}\b", source), f"{symbol}: {place} holds no {name}"


@pytest.mark.parametrize("language", PAGES)
def test_every_public_name_has_its_place_on_the_page(language: str) -> None:
    import tilewise
    import tilewise.nn

    page = text(language)
    names = {*tilewise.__all__, *tilewise.nn.__all__}
    assert {name for name in names if not re.search(rf"\b{name}\b", page)} == set()


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_readme_links_to_the_page(readme: str) -> None:
    page = "docs/library.zh.md" if "zh" in readme else "docs/library.en.md"
    assert f"]({page})" in (ROOT / readme).read_text(encoding="utf-8")


def test_the_page_names_no_file_that_is_not_there() -> None:
    for path in re.findall(r"`(examples/[\w/]+\.py)`", text("en") + text("zh")):
        assert (ROOT / path).is_file(), path


def test_a_promise_that_is_not_kept_is_seen() -> None:
    assert promised('print(1)  # 2\n# three\n    print("x")  # y\nz = 1  # no promise') == ["2", "three", "y"]
    assert symbols("## T\n| $a$ | `b` | `c.d` |\n## U\n| $e$ | `f` | `g.h` |", "## T") == [("a", "b", "c.d")]
