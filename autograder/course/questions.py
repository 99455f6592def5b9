"""The quizzes as a whole: nothing but the texts may tell which option is right, and what is graded comes last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from autograder.course.finding import Finding
from autograder.course.model import Chapter, Course, CourseError
from autograder.course.slides import blocks, read_slides

ENOUGH = 4  # questions of one right option, before their places can form a pattern


def check_places(course: Course) -> Iterator[Finding]:
    """Check that over the whole course the right option does not favour a place.

    No place may be right always, nor more than twice as often as by chance.
    """
    asked = [question for question in course.questions.values() if question.kind == "one"]
    if len(asked) < ENOUGH:
        return
    places = Counter(next(n for n, o in enumerate(question.options) if o.correct) for question in asked)
    by_chance = sum(1 / len(question.options) for question in asked)
    place, count = places.most_common(1)[0]
    if count > min(2 * by_chance, len(asked) - 1):
        what = f"option {place + 1} is right in {count} of {len(asked)} questions with one right option"
        yield Finding(course.root, what, "Move the right option to another place in some quiz.toml")


def check_order(chapter: Chapter) -> Iterator[Finding]:
    """Check that practice comes before what is graded, and that no ordering is shown in its right order."""
    file = chapter.folder / "slides.en.md"
    graded = {question.id: question.graded for question in chapter.questions}
    before = ""  # the first graded question so far
    try:
        placed = blocks(read_slides(chapter.slides.en, file))
    except CourseError:
        placed = []  # reported with the notebook that cannot be made of them
    for kind, name in placed:
        if kind == "quiz" and graded.get(name):
            before = before or name
        elif before and kind != "written":
            what = f"{{{{{kind} {name}}}}} stands after the graded question {before}"
            yield Finding(file, what, "Put graded questions last, in both languages: all that they ask comes before")
    for question in chapter.questions:
        if question.kind == "ordering" and question.order == tuple(option.key for option in question.options):
            what = f"question {question.id}: the options stand in their right order already"
            yield Finding(chapter.folder / "quiz.toml", what, "Write the options in another order")
