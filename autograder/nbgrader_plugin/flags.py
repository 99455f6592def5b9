"""Words in an answer that are meant for whoever, or whatever, marks it: a person is asked to look.

No mark hangs on this. Code is judged by running it, and written answers are marked by people; the flag warns a person
who lets an assistant read along. It knows common phrasings in two languages and no more.
"""

from __future__ import annotations

import re
import unicodedata

from autograder.course.model import Text

ORDERS = Text(
    en="This answer holds words that are addressed to a grader and ask for marks; a person looks at it.",
    zh="这份答案里有写给评分者、要求给分的话；将由人来查看。",
)
MARKUP = Text(
    en="This answer holds HTML or a link that would run something; it is shown to the letter; a person looks at it.",
    zh="这份答案里有 HTML 或会执行代码的链接；它按原文显示，并将由人来查看。",
)

_GRADER = (
    r"(?:\bai\b|\bllm|language model|chatgpt|\bgpt|claude|gemini|copilot|assistant|grader|grading (?:bot|model|system))"
)
_FULL = r"(?:full|maximum|max|perfect|top|all(?: the)?|100 ?%?) (?:marks?|points?|scores?|credit|grades?)"
_ORDERS = re.compile(
    "|".join([
        r"(?:ignore|disregard|forget|override)\b.{0,20}\b(?:previous|prior|above|earlier|all|any|your)\b.{0,30}"
        r"\b(?:instructions?|prompts?|rules?|rubrics?|guidelines?)",
        rf"{_GRADER}.{{0,120}}{_FULL}",
        rf"(?:award|give|assign|grant|deserves?)\b.{{0,40}}{_FULL}",
        r"\bsystem prompt\b|\byou are (?:now )?an? .{0,40}(?:grader|assistant|model)\b",
        r"(?:忽略|无视|不要理会).{0,20}(?:指令|指示|提示词|评分标准)",
        r"(?:给|打|评|判|计)[^。]{0,12}(?:满分|最高分|全分)",
        r"(?:ai|模型|人工智能|机器人|评分(?:员|者|助手|系统|程序)).{0,40}(?:满分|高分|给分|加分)",
    ])
)  # fmt: skip
_MARKUP = re.compile(
    r"<\s*/?\s*(?:script|iframe|object|embed|svg|style|meta|link|form|base|img)\b|\bon[a-z]{3,20}\s*=|"
    r"(?:javascript|vbscript)\s*:|data\s*:\s*text/html",
)
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}  # letters that are written and never shown


def flag_of(text: str, *, prose: bool) -> Text | None:
    """Say why a person should look at an answer, if there is a reason. prose: it is no program, so markup is odd."""
    plain = unicodedata.normalize("NFKC", text.translate(_TAGS)).lower()
    plain = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    plain = re.sub(r"[\s#*_>]+", " ", plain)
    if _ORDERS.search(plain):
        return ORDERS
    return MARKUP if prose and _MARKUP.search(plain) else None
