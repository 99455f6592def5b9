"""The published schema is the one that the types give, and it agrees with them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from autograder.course.lessons.schema import schema_text
from tests.autograder.course.lessons.cards import card_data

PUBLISHED = Path(__file__).parents[4] / "docs" / "lesson-card.schema.json"


def test_the_published_schema_is_in_step() -> None:
    remedy = "run: python -m autograder.course.lessons.schema > docs/lesson-card.schema.json"
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), remedy


def test_the_schema_takes_a_card_and_refuses_what_the_types_refuse() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(card_data())
    for change in ({"success": False}, {"colour": "red"}, {"task": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(card_data() | change)
    data = card_data()
    data["task"]["videos"][0]["duration"] = "long"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(data)
