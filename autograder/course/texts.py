"""The sentences that the build adds around an author's text: how a chapter opens and closes, and the home notebook."""

from __future__ import annotations

from autograder.course.model import LANGUAGES, Chapter, Course, CourseError, Language, Text, Video
from autograder.course.slides import check_in_step

CHAPTERS = "{{chapters}}"
_DIFFICULTY = {
    "beginner": Text(en="beginner", zh="入门"),
    "intermediate": Text(en="intermediate", zh="进阶"),
    "advanced": Text(en="advanced", zh="高级"),
}
_FACTS = Text(
    en="Level: {difficulty} · about {minutes} minutes · {points:g} points",
    zh="难度：{difficulty} · 约 {minutes} 分钟 · 共 {points:g} 分",
)
_ALL_CHAPTERS = Text(en=" · [all chapters](../home.ipynb)", zh=" · [全部章节](../home.ipynb)")
_PREREQUISITES = Text(en="Comes after: {chapters}", zh="先修章节：{chapters}")
_COMMA = Text(en=", ", zh="、")
_FURTHER = Text(en="## Watch and read", zh="## 视频与阅读")
_MINUTES = Text(en="{minutes} min, in {language}", zh="{minutes} 分钟，{language}")
_LANGUAGE_NAMES = {"en": Text(en="English", zh="英文"), "zh": Text(en="Chinese", zh="中文")}


def opening(chapter: Chapter, language: Language, course: Course | None, *, home: bool) -> str:
    """Write the first cell of a chapter: title, summary, and what it takes.

    course: names the chapters before this one.   home: link to the home notebook, which lies one folder up.
    """
    points = sum(e.points for e in chapter.exercises) + sum(q.points for q in chapter.questions)
    points += sum(w.points for w in chapter.written)
    facts = _FACTS[language].format(
        difficulty=_DIFFICULTY[chapter.difficulty][language], minutes=chapter.minutes, points=points
    )
    if home:
        facts += _ALL_CHAPTERS[language]
    lines = [f"# {chapter.title[language]}", chapter.summary[language], facts]
    if chapter.prerequisites:
        titles = {each.slug: each.title[language] for each in course.chapters} if course else {}
        # A slug without a chapter is an error, which `tilewise verify` tells of; here it stays as it is.
        names = _COMMA[language].join(titles.get(slug, f"`{slug}`") for slug in chapter.prerequisites)
        lines.append(_PREREQUISITES[language].format(chapters=names))
    return "\n\n".join(lines)


def closing(chapter: Chapter, language: Language) -> str:
    """Write the last cell of a chapter: videos, those in the reader's language first, and reading with its why."""
    videos = sorted(chapter.video, key=lambda video: video.language != language)
    readings = [f"- [{r.title[language]}]({r.url})  \n  {r.why[language]}" for r in chapter.reading]
    items = [_video(video, language) for video in videos] + readings
    return "\n".join([_FURTHER[language], "", *items])


def home_text(course: Course, language: Language) -> tuple[str, str]:
    """Give the two texts of the home notebook, before and after the progress: title with chapters, and how it works.

    They come from home.{en,zh}.md, where a line {{chapters}} stands for the list of chapters and ends the first text.
    """
    texts = {each: _read_home(course, each) for each in LANGUAGES}
    check_in_step(course.root / "home.zh.md", texts)
    before, after = texts[language].split(CHAPTERS)
    parts = []
    for part in course.parts:
        chapters = [course.chapter(name) for name in part.chapters if course.draft(name) is None]
        if chapters:
            lines = "\n".join(_chapter_line(chapter, language) for chapter in chapters)
            parts += [f"### {part.title[language]}", lines]
    title = f"# {course.title[language]}\n\n{course.summary[language]}"
    return "\n\n".join([title, before.strip(), *parts]), after.strip()


def _chapter_line(chapter: Chapter, language: Language) -> str:
    link = f"{chapter.folder.name}/{chapter.slug}.ipynb"
    number = chapter.folder.name.partition("_")[0]
    return f"- **{number} [{chapter.title[language]}]({link})**  \n  {chapter.summary[language]}"


def _video(video: Video, language: Language) -> str:
    name = _LANGUAGE_NAMES[video.language][language]
    facts = _MINUTES[language].format(minutes=video.minutes, language=name)
    return f"- ▶ [{video.title}]({video.url}) ({facts})"


def _read_home(course: Course, language: Language) -> str:
    file = course.root / f"home.{language}.md"
    if not file.is_file():
        raise CourseError(file, "", "is missing", "Write the text of the home notebook in both languages, en and zh")
    text = file.read_text(encoding="utf-8")
    if text.count(CHAPTERS) != 1:
        raise CourseError(
            file, CHAPTERS, f"stands {text.count(CHAPTERS)} times", "Give it one line, where the chapters belong"
        )
    return text
