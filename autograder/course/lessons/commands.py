"""`tilewise import-lesson` and `tilewise export-lesson`. What is heavy is imported when a command runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autograder.course.commands import CourseFolder, with_clean_errors

if TYPE_CHECKING:
    from autograder.course.lessons.card import Card
    from autograder.course.model import Course, Exercise, Language
    from autograder.judge.verdict import Verdict


class CardLanguage(StrEnum):
    """The languages that a card may be written in."""

    EN = "en"
    ZH = "zh"


def register(app: typer.Typer) -> None:
    """Add the two commands to the `tilewise` command."""
    app.command()(import_lesson)
    app.command()(export_lesson)


@with_clean_errors
def import_lesson(
    file: Annotated[Path, typer.Argument(help="The lesson card: JSON, or the same as a Python literal.")],
    exercise: Annotated[
        str | None, typer.Option(help="The exercise to judge the card's answer by; guessed from its title.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Where the draft's folder is made; the course folder.")] = None,
    slug: Annotated[str | None, typer.Option(help="The draft's name in ids; made of the file's name.")] = None,
    course: CourseFolder = None,
) -> None:
    """Write a lesson card as a chapter draft, and judge its answer."""
    from autograder.course.lessons.drafting import import_card, slug_for
    from autograder.course.lessons.reading import read_card
    from autograder.course.model import slug_of
    from autograder.course.reading import load_course
    from autograder.course.unfinished import unfinished

    card = read_card(file)
    loaded = load_course(course)
    chosen = _chosen(card, loaded, exercise)
    folder = import_card(card, file, into or loaded.root, slug_for(file) if slug is None else slug)
    typer.echo(f"Draft written: {folder}")
    typer.echo(f"It lacks {sum(1 for _ in unfinished(folder))} things, the other language first, and is not released.")
    typer.echo(f"`tilewise verify {slug_of(folder.name)}` lists them; `tilewise build` makes a notebook to look at.")
    _judge(folder, chosen)


@with_clean_errors
def export_lesson(
    chapter: Annotated[str, typer.Argument(help="A chapter or draft by slug or folder name, or its folder.")],
    lang: Annotated[CardLanguage | None, typer.Option(help="The card's language; the first the chapter has.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output.")] = None,
    course: CourseFolder = None,
) -> None:
    """Write a chapter as a lesson card, and list (on standard error) what a card cannot hold."""
    from autograder.course.draft import load_draft
    from autograder.course.lessons.exporting import as_json, card_of_draft, left_out

    draft = load_draft(_folder_of(chapter, course))
    language: Language | None = None if lang is None else lang.value  # type: ignore[assignment]
    text = as_json(card_of_draft(draft, language))
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
    if lines := left_out(draft, language):
        typer.echo("A lesson card cannot hold, and this one leaves out:", err=True)
        for line in lines:
            typer.echo(f"  {line}", err=True)


def _folder_of(chapter: str, course: Path | None) -> Path:
    from autograder.course.model import CourseError
    from autograder.course.reading import load_course

    if (Path(chapter) / "chapter.toml").is_file():
        return Path(chapter)
    loaded = load_course(course)
    if (draft := loaded.draft(chapter)) is not None:
        return draft
    try:
        return loaded.chapter(chapter).folder
    except KeyError as error:
        raise CourseError(loaded.root, "", str(error.args[0]), "Name one of them, or a folder") from None


def _chosen(card: Card, course: Course, named: str | None) -> Exercise | None:
    """Find the exercise that the card's answer is judged by, and say which it is where it is a guess."""
    from autograder.course.lessons.bench import inputs_of
    from autograder.course.lessons.guess import about, guess_exercise
    from autograder.course.model import CourseError

    if named is not None:
        if named not in course.exercises:
            there = ", ".join(course.exercises)
            raise CourseError(course.root, "--exercise", f"names {named!r}, which is none", f"There are: {there}")
        return course.exercises[named]
    fitting = [e for e in course.exercises.values() if inputs_of(e) is not None]
    titles = {chapter.slug: f"{chapter.title.en} {chapter.title.zh}" for chapter in course.chapters}
    title = card.task.task.title
    guessed = guess_exercise(title, [(e, about(e, titles[e.chapter])) for e in fitting])
    if guessed is None:
        typer.echo(f"No exercise could be guessed from the title {title!r}; name one with --exercise.")
    else:
        typer.echo(f"Exercise guessed from the title {title!r}: {guessed.id}; --exercise names another.")
    return guessed


def _judge(folder: Path, exercise: Exercise | None) -> None:
    """Judge the draft's solution and say what came out; a judge that cannot run ends the command with status 1."""
    from autograder.course.draft import load_draft
    from autograder.course.lessons.bench import NotAScript, judge_answer
    from autograder.judge.client import JudgeError

    if exercise is None:
        typer.echo("The answer was not judged: there is no exercise to judge it by.")
        return
    try:
        verdict = judge_answer(load_draft(folder).exercises[0].solution, exercise)
    except NotAScript as error:
        typer.echo(f"The answer was not judged: {error}.")
    except JudgeError as error:
        typer.secho(f"The draft is written, but its answer was not judged. {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    else:
        print_answer(verdict, exercise)


def print_answer(verdict: Verdict, exercise: Exercise) -> None:
    """Say whether a card's answer is right and, if not, why, in both languages."""
    from autograder.course.lessons.bench import mistakes_of
    from autograder.course.markup import to_text
    from autograder.course.model import LANGUAGES
    from autograder.judge.printable import one_line, printable

    if verdict.passed:
        typer.echo(f"The answer is right, judged by {exercise.id} on batches of its own.")
        return
    typer.secho(f"The answer is wrong, judged by {exercise.id} on batches of its own.", fg=typer.colors.RED)
    why = verdict.diagnosis or verdict.headline
    for language in LANGUAGES:
        for line in to_text(why[language]).splitlines():
            typer.echo(f"  {one_line(line, width=1000)}" if line.strip() else "")
        typer.echo("")
    if mistakes := mistakes_of(verdict):
        typer.echo(f"It does the same as the known-wrong {' and '.join(mistakes)}.")
    if verdict.error.strip():
        typer.echo(printable(verdict.error))
    for result in verdict.properties:
        typer.echo(f"  {'✓' if result.kind == 'OK' else '✗'} {result.text.en} {result.text.zh}")
    if example := verdict.counterexample:
        typer.echo(f"Smallest failing input: {one_line(example.case)}; {one_line(example.error)}")
