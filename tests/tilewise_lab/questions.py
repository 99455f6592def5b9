"""Questions of every kind, put beside those of the sample course."""

from __future__ import annotations

from pathlib import Path

from tests.autograder.course.sample import CHAPTER, write_course

# Words that may be seen only after an answer, and for a graded question never.
SECRET = "WHYSECRET"

_OPTION = """
[[question.option]]
key = "{key}"
text = {{ en = "option {key} of `{id}`", zh = "`{id}` 的选项 {key}" }}
why = {{ en = "WHYSECRET of {id} {key}", zh = "WHYSECRET 理由 {id} {key}" }}
{right}
"""
_QUESTION = """
[[question]]
id = "{id}"
kind = "{kind}"
prompt = {{ en = "prompt of {id}, $x_i$?", zh = "{id} 的题目，$x_i$？" }}
{more}
"""


def question(id_: str, kind: str, right: str = "", more: str = "", keys: str = "abc") -> str:
    """Write one question as TOML."""
    options = "".join(
        _OPTION.format(id=id_, key=key, right="correct = true" if key in right else 'misconception = "other"')
        for key in keys
    )
    return _QUESTION.format(id=id_, kind=kind, more=more) + ("" if kind == "number" else options)


GRADED = "graded = true\npoints = 2\n"
NUMBER = 'answer = 12.5\nunit = "KiB"\nwhy = { en = "WHYSECRET 12.5", zh = "WHYSECRET 理由" }\n'


def write_course_with_questions(root: Path) -> Path:
    """Write the sample course with q11 to q14, practice of each kind, and q21 to q24, graded."""
    course = write_course(root)
    texts = []
    for first, grading in ((11, ""), (21, GRADED)):
        texts += [
            question(f"q{first}", "one", "b", grading),
            question(f"q{first + 1}", "several", "ac", grading),
            question(f"q{first + 2}", "ordering", "abc", f'{grading}order = ["c", "a", "b"]\n'),
            question(f"q{first + 3}", "number", more=grading + NUMBER),
        ]
    file = course / CHAPTER / "quiz.toml"
    file.write_text(file.read_text(encoding="utf-8") + "".join(texts), encoding="utf-8")
    return course
