"""Twenty-five honest hand-ins: twelve right by different methods, twelve with every misconception, one blank."""

from __future__ import annotations

from itertools import cycle, islice

from autograder.course.model import Course
from autograder.judge.verdict import Kind
from tests.attacks.roll import BLANK, FULL, RIGHT, Outcome, Submission, both
from tests.autograder.nbgrader_plugin.handins import QUESTION, STREAMING, TWO_PASS, HandIn, key, variant, wrong_key

EACH = 12
ALL = "all of them"
# What a misconception breaks; the points of these properties are lost, and no others.
BREAKS = {
    TWO_PASS: {
        "digits_lost_in_lse": "very_negative large_logits",
        "early_blocks_not_corrected": "growing_maximum very_negative large_logits",
        "factor_inverted": "growing_maximum very_negative large_logits",
        "max_starts_at_zero": "very_negative",
        "nan_at_first_block": ALL,
        "no_maximum": "very_negative large_logits",
        "one_maximum_for_all_rows": "very_negative",
        "ratio_of_maxima": "growing_maximum very_negative large_logits",
        "softmax_of_each_block": ALL,
        "sum_not_rescaled": "growing_maximum very_negative large_logits",
        "tail_dropped": "ragged_tail",
        "whole_row_at_once": "one_block_at_a_time",
    },
    STREAMING: {
        "factor_inverted": "growing_maximum state_after_each_tile very_negative large_logits masked_tiles",
        "forgets_earlier_tiles": ALL,
        "keeps_the_row": ALL,
        "max_starts_at_zero": "state_after_each_tile very_negative",
        "maximum_left_out_at_the_end": ALL,
        "nan_at_first_tile": ALL,
        "nan_from_masked_tile": "masked_tiles",
        "one_maximum_for_all_rows": "state_after_each_tile very_negative",
        "ratio_of_maxima": "growing_maximum state_after_each_tile very_negative large_logits masked_tiles",
        "remembers_in_a_global": ALL,
        "sum_not_rescaled": "growing_maximum state_after_each_tile very_negative large_logits masked_tiles",
    },
}
# Between them these try every other method of both exercises, every misconception, and nothing at all.
COMPARED = ["blank", *(f"right-{n:02}" for n in range(0, EACH, 3)), *(f"wrong-{n:02}" for n in range(EACH))]
OVER_THE_LIMIT = {"whole_row_at_once", "keeps_the_row"}


def honest(course: Course) -> list[Submission]:
    """Give all twenty-five; every second one is in Chinese."""
    return [*right(course), *wrong(course), Submission(HandIn("blank"), both(BLANK, BLANK))]


def right(course: Course) -> list[Submission]:
    """Pair the methods of one exercise with those of the other, so that no two hand-ins are the same."""
    methods = {name: ["solution", *sorted(course.exercises[name].variants("right"))] for name in (TWO_PASS, STREAMING)}
    pairs = [(a, b) for a in methods[TWO_PASS] for b in methods[STREAMING]]
    step = len(pairs) // EACH
    return [
        Submission(
            HandIn(
                f"right-{number:02}",
                language(number),
                code={TWO_PASS: method(course, TWO_PASS, pair[0]), STREAMING: method(course, STREAMING, pair[1])},
                typed={QUESTION: f"q7 = {key(course)!r}"},
            ),
            both(RIGHT, RIGHT),
        )
        for number, pair in enumerate(pairs[: EACH * step : step])
    ]  # fmt: skip


def wrong(course: Course) -> list[Submission]:
    """Give every misconception of both exercises, two to a hand-in."""
    names = {exercise: list(islice(cycle(broken), EACH)) for exercise, broken in BREAKS.items()}
    return [
        Submission(
            HandIn(
                f"wrong-{number:02}",
                language(number),
                code={name: variant(course, name, "wrong", chosen) for name, chosen in zip(names, pair, strict=True)},
                picked={QUESTION: wrong_key(course)},
            ),
            {name: outcome_of(course, name, chosen) for name, chosen in zip(names, pair, strict=True)},
        )
        for number, pair in enumerate(zip(*names.values(), strict=True))
    ]


def outcome_of(course: Course, exercise: str, mistake: str) -> Outcome:
    """Give what a misconception must come to: the points of what it does not break, and its name."""
    broken = BREAKS[exercise][mistake]
    worth = {name: text.points for name, text in course.exercises[exercise].properties.items()}
    lost = FULL if broken == ALL else sum(worth[name] for name in broken.split())
    kind = Kind.MEMORY_LIMIT if mistake in OVER_THE_LIMIT else Kind.WRONG
    return Outcome(FULL - lost, frozenset({kind}), mistake)


def method(course: Course, exercise: str, name: str) -> str:
    return variant(course, exercise, "solution") if name == "solution" else variant(course, exercise, "right", name)


def language(number: int) -> str:
    return "zh" if number % 2 else "en"
