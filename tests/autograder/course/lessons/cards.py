"""A lesson card as such services give it, and a small course with an exercise that its answer can be judged by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from autograder.course.lessons import toml
from tests.autograder.course.sample import CHAPTER, edit, write_course

# Two mistakes at once, as in what is published: queries see only the keys of their own block, and nothing is scaled.
ANSWER = """import torch

query = torch.randn(2, 12, 8)
key = torch.randn(2, 12, 8)
value = torch.randn(2, 12, 8)
block_size = 4

output = torch.zeros_like(query)
for start in range(0, query.shape[1], block_size):
    rows = slice(start, start + block_size)
    weights = torch.softmax(query[:, rows] @ key[:, rows].transpose(1, 2), dim=-1)
    output[:, rows] = weights @ value[:, rows]

print("形状:", output.shape)"""

SLIDES = """# 注意力为什么可以一块一块地算

## 问题在哪里
分数矩阵有 N 行 N 列，序列一长，显存就放不下。

## 办法
把键和值切成小块，依次取来用；中间结果留在片上。

```python
## 这一行是注释，不是新的一页
```

## 动手
写一个循环。"""


def card_data() -> dict[str, Any]:
    """Give the card as plain data, to be changed freely."""
    return {
        "success": True,
        "task": {
            "type": "coding",
            "difficulty": "intermediate",
            "ppt_slide": SLIDES,
            "questions": [
                {
                    "question": "长序列的注意力先受限于什么？",
                    "type": "choice",
                    "options": ["显存", "磁盘", "网络"],
                    "answer": "显存",
                },
                {
                    "question": "分块之后，每个查询要看到哪些键？",
                    "type": "choice",
                    "options": ["同一块里的", '全部 "N" 个'],
                    "answer": '全部 "N" 个',
                },
            ],
            "task": {
                "title": "用分块的方式计算注意力",
                "description": "输入三个张量，按 `block_size` 分块，\n把结果放进 `output`。",
                "starter_code": "```python\nimport torch\n\nblock_size = 4\n# 从这里开始写\n```",
                "answer": f"```python\n{ANSWER}\n```",
            },
            "videos": [
                {"title": "分块", "url": "http://example.org/a", "cover": "//example.org/a.jpg", "duration": "10:3"},
                {"title": "In English", "url": "https://example.org/b", "cover": "", "duration": "1:02:30"},
            ],
        },
    }  # fmt: skip


def write_card(folder: Path, data: Any = None) -> Path:
    """Write a card's file and give it."""
    file = folder / "3-attention-in-blocks.json"
    file.write_text(json.dumps(card_data() if data is None else data, ensure_ascii=False), encoding="utf-8")
    return file


EXERCISE = {
    "title": {"en": "Attention, block by block", "zh": "分块计算注意力"},
    "functions": ["attend"],
    "forbidden": ["softmax"],
    "hint": [{"en": "Every query sees every key.", "zh": "每个查询都看到每一个键。"}],
    "property": {"right": {"points": 1, "en": "It is attention.", "zh": "它就是注意力。"}},
    "wrong": {
        "block_diagonal": {
            "en": "Each block of queries sees only its own keys.",
            "zh": "每一块查询只看到自己那一块的键。",
        },
        "scale_missing": {"en": "The scale is missing.", "zh": "漏掉了缩放。"},
        "tail_dropped": {"en": "The last keys are dropped.", "zh": "丢掉了最后几个键。"},
        "never_divided": {"en": "The weights are never divided.", "zh": "权重没有归一化。"},
    },
}
_FUNCTION = """import torch


def attend(q, k, v, block):
    scale = {scale}
    rows = []
    for i in range(0, len(q), block):
        ### BEGIN SOLUTION
        k_i, v_i = {keys}
        s = q[i : i + block] @ k_i.T * scale
        p = torch.exp(s - s.amax(dim=1, keepdim=True))
        rows.append(p @ v_i {divide})
        ### END SOLUTION
    return torch.cat(rows)
"""
_RIGHT = {"scale": "q.shape[1] ** -0.5", "keys": "(k, v)", "divide": "/ p.sum(dim=1, keepdim=True)"}
_WRONG = {
    "block_diagonal": {"keys": "(k[i : i + block], v[i : i + block])"},
    "scale_missing": {"scale": "1.0"},
    "tail_dropped": {"keys": "(k[: len(k) // block * block], v[: len(k) // block * block])"},
    "never_divided": {"divide": ""},
}
_CHECKS = """from autograder.judge.checks import Case, prop
from tilewise.oracle import attention


def reference(q, k, v, block):
    return attention(q, k, v)[0].to(q.dtype)


@prop
def right(draw):
    yield Case(q=draw.normal(4, 4), k=draw.normal(4, 4), v=draw.normal(4, 4), block=2)
"""


def write_course_with_blocks(root: Path) -> Path:
    """Write the sample course and a second chapter, whose exercise blocks.attend takes what a script sets."""
    course = write_course(root)
    chapter = course / "02_blocks"
    shutil.copytree(course / CHAPTER, chapter)
    shutil.rmtree(chapter / "double")
    edit(course / "course.toml", '["01_doubling"]', '["01_doubling", "02_blocks"]')
    edit(chapter / "chapter.toml", '["double"]', '["attend"]')
    for language in ("en", "zh"):
        edit(chapter / f"slides.{language}.md", "exercise double", "exercise attend")
    files = {"exercise.toml": toml.written(EXERCISE), "checks.py": _CHECKS, "solution.py": _FUNCTION.format(**_RIGHT)}
    files |= {"statement.en.md": "Attend.\n", "statement.zh.md": "写出注意力。\n"}
    files |= {f"wrong/{name}.py": _FUNCTION.format(**_RIGHT | change) for name, change in _WRONG.items()}
    for name, text in files.items():
        path = chapter / "attend" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return course
