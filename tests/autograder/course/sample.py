"""A small sound course, written into a temporary folder for the tests to break."""

from __future__ import annotations

from pathlib import Path

CHAPTER = "01_doubling"
WRONG = ("adds_one", "returns_none", "squares", "unchanged")
RIGHT = ("by_sum", "by_shift")

COURSE = """
format = 1
title = { en = "A small course", zh = "小课程" }
summary = { en = "Doubling, and no more.", zh = "只讲加倍。" }

[[part]]
slug = "only"
title = { en = "The only part", zh = "唯一的部分" }
chapters = ["01_doubling"]
"""

GLOSSARY = """
[[term]]
id = "row"
symbol = "x"
code = "x"
en = "row"
zh = "行"
"""

CHAPTER_TOML = """
title = { en = "Doubling", zh = "加倍" }
summary = { en = "Twice a number.", zh = "一个数的两倍。" }
difficulty = "beginner"
minutes = 10
exercises = ["double"]

[[written]]
id = "w1"
points = 2
prompt = { en = "Why twice?", zh = "为什么是两倍？" }

[[video]]
title = "Doubling on film"
url = "https://example.org/film"
language = "en"
minutes = 3

[[reading]]
title = { en = "On doubling", zh = "论加倍" }
url = "https://example.org/doubling"
why = { en = "It is short.", zh = "篇幅很短。" }
"""

QUESTION = """
[[question]]
id = "q{number}"
prompt = {{ en = "What is twice {number}?", zh = "{number} 的两倍是多少？" }}
{grading}
[[question.option]]
key = "a"
text = {{ en = "One more", zh = "多一个" }}
why = {{ en = "That adds one to {number} in place of doubling it.", zh = "这是在 {number} 上加一，而不是加倍。" }}
misconception = "adds_one"

[[question.option]]
key = "b"
text = {{ en = "Twice as much", zh = "两倍" }}
why = {{ en = "Every number is added to itself, {number} too.", zh = "每个数都与自己相加，{number} 也不例外。" }}
correct = true
"""

SLIDE = {
    "en": "## Idea {number}\n\nTwice a number is that number added to itself.\n",
    "zh": "## 想法 {number}\n\n一个数的两倍，就是它与自己相加。\n",
}
FIGURE = {"en": "\n![two equal bars](figures/bars.svg)\n", "zh": "\n![两根一样长的条](figures/bars.svg)\n"}
DEMO = {
    "en": "## Run it\n\n```python run\nprint(1 + 1)\n```\n\nTwo.\n",
    "zh": "## 运行\n\n```python run\nprint(1 + 1)\n```\n\n得二。\n",
}
PLACES = ["{{exercise double}}", *(f"{{{{quiz q{n}}}}}" for n in range(1, 6)), "{{written w1}}"]

EXERCISE = """
title = { en = "Double a number", zh = "把一个数加倍" }
functions = ["double"]

[[hint]]
en = "Add it to itself."
zh = "与自己相加。"

[property.doubles]
points = 2
en = "gives twice the number"
zh = "得到两倍"

[property.keeps_sign]
points = 1
en = "keeps the sign"
zh = "保持符号"
"""

SOLUTION = '''import torch


def double(x: torch.Tensor) -> torch.Tensor:
    """Give twice x, of the same shape."""
    ### BEGIN SOLUTION
    twice_the_number = x + x
    return twice_the_number
    ### END SOLUTION
'''

CHECKS = """from autograder.judge.checks import Case, prop


def reference(number_to_double):
    return number_to_double * 2


@prop
def doubles(draw):
    yield Case(x=draw.normal(3, scale=7.25))


@prop
def keeps_sign(draw):
    yield Case(x=-draw.normal(3).abs())
"""

FIGURE_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><title>bars</title></svg>\n'
HOME = {
    "en": "Learn in order.\n\n{{chapters}}\n\n## How it works\n\nRun a cell.\n",
    "zh": "按顺序学。\n\n{{chapters}}\n\n## 怎么学\n\n运行单元格。\n",
}


def write_course(root: Path) -> Path:
    """Write the sound course into root/course and give that folder."""
    course = root / "course"
    files = {"course.toml": COURSE, "glossary.toml": GLOSSARY}
    files |= {f"home.{language}.md": text for language, text in HOME.items()}
    files |= {f"{CHAPTER}/{name}": text for name, text in _chapter_files().items()}
    for name, text in files.items():
        path = course / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return course


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first `old`, which must be there, by `new` in a file."""
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{file} does not hold {old!r}, so the test would change nothing")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def slides(language: str) -> str:
    """Write the slides file of the sample: six slides of text and a place for every block."""
    texts = [SLIDE[language].format(number=number) for number in range(1, 6)]
    texts[0] += FIGURE[language]
    return "\n---\n".join([*texts, DEMO[language], *PLACES])


def question(number: int, grading: str) -> str:
    """Write a question as TOML; the second has its right option first, for a course must not favour a place."""
    text = QUESTION.format(number=number, grading=grading)
    head, *options = text.split("[[question.option]]")
    if number == 2:
        options = [options[1].replace('key = "b"', 'key = "a"') + "\n", options[0].replace('key = "a"', 'key = "b"')]
    return "[[question.option]]".join([head, *options])


def variant(body: str) -> str:
    """Write a whole other solution of the sample's exercise."""
    return f'import torch\n\n\ndef double(x: torch.Tensor) -> torch.Tensor:\n    """Double."""\n    {body}\n'


def _chapter_files() -> dict[str, str]:
    grading = dict.fromkeys(range(1, 5), "") | {5: "graded = true\npoints = 1\n"}
    diagnoses = "".join(
        f'\n[wrong.{name}]\nen = "This is the mistake {name}."\nzh = "这是错误 {name}。"\n' for name in WRONG
    )
    files = {
        "chapter.toml": CHAPTER_TOML,
        "quiz.toml": "".join(question(n, g) for n, g in grading.items()),
        "figures/bars.svg": FIGURE_SVG,
        "double/exercise.toml": EXERCISE + diagnoses,
        "double/solution.py": SOLUTION,
        "double/checks.py": CHECKS,
        "double/statement.en.md": "## Your turn\n\nDouble the number.\n",
        "double/statement.zh.md": "## 轮到你\n\n把这个数加倍。\n",
    }
    files |= {f"slides.{language}.md": slides(language) for language in ("en", "zh")}
    files |= {f"double/wrong/{name}.py": variant(f"return made_by_{name}(x)") for name in WRONG}
    files |= {f"double/right/{name}.py": variant(f"return rightly_{name}(x)") for name in RIGHT}
    return files
