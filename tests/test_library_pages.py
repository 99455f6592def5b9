"""The pages about the library: their code runs, prints what they say, and finds every symbol of the slides."""

import contextlib
import inspect
import io
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = {language: ROOT / "docs" / f"library.{language}.md" for language in ("en", "zh")}
# Euler's number, indices, numbers of an example, two parts, the right class, and the letter of another paper.
NOT_IN_CODE = {"e", "i", "j", "a", "b", "c", "d"}
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


def named(page: str, title: str) -> list[str]:
    """Give each name and import on the page, table cells included, but no place in the table of symbols."""
    before, _, rest = page.partition(title)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", before, flags=re.MULTILINE | re.DOTALL))
    spans += re.findall(r"`(from tilewise[^`\n]+)`", rest)
    found = [match[0] for span in spans if (match := re.match(r"from tilewise.* import .*|tilewise(\.\w+)+", span))]
    return list(dict.fromkeys(found))


def on_slides(text: str) -> set[str]:
    """Give the symbols in the mathematics of a text, without indices, and the states, (m, ...) and (-inf, ...)."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = set()
    for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, flags=re.DOTALL):
        formula = re.sub(r"\\math(?:it|rm)\{(acc|lse)\}", r"\1", display or inline)
        found |= set(re.findall(r"\((?:m, \\ell|-\\infty, 0)[^()\\]*\)", formula))
        formula = re.sub(r"\\(?:text|mathrm|begin|end)\{[^{}]*\}", "", formula)  # words, and names of functions
        formula = re.sub(r"(?<![ND])_(?:\{[^{}]*\}|\w)", "", formula)
        formula = re.sub(r"\\(?!ell\b|alpha\b)[a-zA-Z]+", " ", formula)
        found |= set(re.findall(r"N_[qk]|D_v|\\ell|\\alpha|lse|acc|[a-zA-Z]", formula))
    return found


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
def test_the_table_misses_no_symbol_of_the_slides(language: str) -> None:
    table = " ".join(f"${symbol}$" for symbol, _, _ in symbols(text(language), TITLES[language]))
    slides = sorted((ROOT / "course").glob(f"*/slides.{language}.md"))
    assert slides
    for file in slides:
        missing = on_slides(file.read_text(encoding="utf-8")) - on_slides(table) - NOT_IN_CODE
        assert missing == set(), f"{file}: add to glossary.toml and to the tables of docs/library.*.md: {missing}"


IN_A_FRESH_PROCESS = """
import sys, torch
for name in sys.argv[1:]:
    for module in [module for module in sys.modules if module.split(".")[0] == "tilewise"]:
        del sys.modules[module]
    import tilewise
    exec(name)
"""


@pytest.mark.parametrize("language", PAGES)
def test_every_name_on_the_page_is_there_after_import_tilewise(language: str) -> None:
    names = named(text(language), TITLES[language])
    assert {"tilewise.parts.standard", "tilewise.__version__", "from tilewise.softmax import absorb"} <= set(names)
    done = subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
    page = "`tilewise.a(b)` `x`\n| `tilewise.c.d()` |\n## T\n`tilewise.e` `from tilewise.f import g`"
    assert named(page, "## T") == ["tilewise.a", "tilewise.c.d", "from tilewise.f import g"]
    assert on_slides(r"$\alpha_j\, m_\text{old}$, $$(m, \ell, \mathit{acc})$$ and $N_q \times \mathrm{rowsum} P$") == {
        r"\alpha", "m", r"(m, \ell, acc)", r"\ell", "acc", "N_q", "P",
    }  # fmt: skip
    assert symbols("## T\n| $a$ | `b` | `c.d` |\n## U\n| $e$ | `f` | `g.h` |", "## T") == [("a", "b", "c.d")]
