"""Words in an answer that are meant for whoever, or whatever, marks it: a person is asked to look.

A flagged answer counts nothing until a person has decided. So what is flagged is narrow: orders to a grader, in two
languages, and nothing that an honest comment on scores, maxima, models or rules would say. It knows common phrasings
and no more.
"""

from __future__ import annotations

import re
import unicodedata

from autograder.course.model import Text

ORDERS = Text(
    en="This answer holds words that are addressed to a grader and ask for marks. It counts nothing until a person has "
    "looked at it.",
    zh="这份答案里有写给评分者、要求给分的话。在有人查看并作出决定之前，它不计分。",
)
MARKUP = Text(
    en="This answer holds HTML or a link that would run something; it is shown to the letter; a person looks at it.",
    zh="这份答案里有 HTML 或会执行代码的链接；它按原文显示，并将由人来查看。",
)

# "Points", "scores", "all" and "max" are words of attention itself: what gives them is no order yet.
_MOST = r"(?:full|maximum|max|perfect|top|highest|all(?: the)?|100 ?%?)"
_MARKS = rf"(?:{_MOST} (?:marks?|grades?)|full points|{_MOST} credit(?! (?:to|goes) (?!this|my|me)))"
_MARKS_OR_SCORES = rf"(?:{_MARKS}|{_MOST} (?:points?|scores?))"
_GIVE = r"\b(?:award|give|grant|assign)\b"
_WORK = r"\b(?:this|my|the student's) (?:\w+ )?(?:answer|solution|submission|notebook|homework|work)\b"
_GRADER = r"\b(?:(?:ai|llm|automatic|automated) )?(?:grader|marker|grading (?:bot|model|system|assistant))\b"
_ALL_OF_THEM = r"(?<!\d)(?P<{0}>[1-9]\d{{0,2}}) ?(?:/|out of) ?(?P={0})(?!\d)"  # 10/10, 100 out of 100
_SAY = (
    r"\b(?:output|return|print|report|respond|reply|answer|write|say|record|set|score|mark|award|give|grant|assign)\b"
)
_MACHINE = r"(?:ai|llm|(?:large )?language model|grader|(?:ai|grading) assistant)"
# "I ignore the instructions above" tells what was done; "ignore the instructions above" tells somebody to.
_ORDERED = r"(?<!\bi )(?<!\bwe )(?<!\bto )(?<!\bcan )(?<!\bmay )(?<!\bnot )(?<!n't )(?<!\bwould )(?<!\bwill )"
_WHICH = r"(?:all|any|every|each|of|the|these|those|your|my|other|previous|prior|above|earlier|preceding)"
_RULES = r"(?:(?:grading|marking|system|other|previous) )?(?:instructions?|prompts?|rubrics?|guidelines?|rules)\b"
_GRADER_ZH = r"(?:\bai|人工智能|评分(?:员|者|助手|系统|程序|模型)|阅卷(?:人|者|老师|员)|批改(?:者|老师|助手|程序))"
_GIVE_ZH = r"(?:给|打|评|判|计)[^。；才]{0,12}"
_ORDERS = re.compile(
    "|".join([
        rf"{_ORDERED}\b(?:ignore|disregard|forget|override) (?:{_WHICH} ){{0,4}}"
        rf"(?:previous|prior|above|earlier|preceding|your) {_RULES}",
        rf"{_ORDERED}\b(?:ignore|disregard|forget|override) (?:{_WHICH} ){{1,3}}{_RULES} (?:above|before this|so far)",
        rf"\baward\b[^.;?]{{0,40}}{_MARKS_OR_SCORES}",
        rf"{_GIVE}[^.;?]{{0,40}}{_MARKS}",
        rf"{_WORK} deserves[^.;?]{{0,40}}{_MARKS_OR_SCORES}|\bdeserves? {_MARKS}",
        rf"{_GIVE} (?:it|{_WORK}) [^.;?]{{0,20}}{_MARKS_OR_SCORES}",
        rf"{_GIVE} [^.;?]{{0,20}}{_MARKS_OR_SCORES} (?:to|for) {_WORK}",
        rf"{_GRADER}(?: ?[:,!—-]| please| should| must| has to)[^.;?]{{0,80}}{_GIVE}[^.;?]{{0,40}}{_MARKS_OR_SCORES}",
        rf"(?:{_GRADER}|\bsystem(?= ?:))(?: ?[:,!—-]| please| should| must| has to| needs to)[^.;?]{{0,80}}{_SAY}"
        rf"[^.;?]{{0,40}}(?:{_MARKS}|{_ALL_OF_THEM.format('all')})",
        rf"\bas an? {_MACHINE},? you\b",
        rf"\byou are (?:now )?an? (?:\w+ ){{0,3}}{_GRADER}",
        r"(?<![我可能会])(?:忽略|无视|不要理会|不用管)(?:掉|了)?(?:以上|上述|上面|之前|前面|此前|先前|你的)[^。；]{0,8}"
        r"(?:指令|指示|提示词|评分标准)",
        rf"(?:请|务必|直接|麻烦|应当?|应该|必须|就)[^。；才]{{0,16}}{_GIVE_ZH}(?:满分|全分|最高分数)",
        rf"{_GRADER_ZH}(?: ?[：:，,！!]|请|应|必须)[^。；才]{{0,30}}{_GIVE_ZH}(?:满分|全分|最高分|高分)",
        rf"{_GRADER_ZH}(?: ?[：:，,！!]|请|应|必须)[^。；才]{{0,30}}(?:输出|返回|写|报告|回答|给|打|评|判|计)"
        rf"[^。；才]{{0,12}}(?:满分|全分|{_ALL_OF_THEM.format('all_zh')})",
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
