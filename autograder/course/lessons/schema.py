"""The published JSON Schema of lesson cards, made from the types that read them.

`python -m autograder.course.lessons.schema > docs/lesson-card.schema.json` writes it anew.
"""

from __future__ import annotations

import json

from autograder.course.lessons.card import Card


def schema_text() -> str:
    """Give the schema as it is published."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tilewise lesson card"}
    body = {key: value for key, value in Card.model_json_schema().items() if key != "title"}
    return json.dumps(head | body, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
