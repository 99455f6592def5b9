"""The course itself: its judge, its notebooks, and nbgrader's exchange where a class uses one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from autograder.course.model import LANGUAGES, CourseError, Text
from autograder.course.reading import load_course, release_root
from autograder.judge.rungs import Rung
from tilewise_lab.health.finding import Finding, Need, absent, fails, same, works
from tilewise_lab.health.processes import MEND_FIRST, SLOW_REMEDY, Questioner, Unanswered
from tilewise_lab.learn import HOME

RUNGS = {
    Rung.NAMESPACES: Text(
        en="every call runs in namespaces of its own, with a root that shows no answers",
        zh="每次调用都在自己的命名空间里运行，看到的根目录中没有答案",
    ),
    Rung.BUBBLEWRAP: Text(
        en="every call runs in bubblewrap: as well shut in, but a check takes seconds",
        zh="每次调用都在 bubblewrap 里运行：隔离同样严密，只是一次检查要好几秒",
    ),
    Rung.LANDLOCK: Text(
        en="every call is confined by Landlock and a filter of system calls: it reads no answers and reaches no "
        "network; but two calls may share something, so points for reading the data only once are given only where "
        "namespaces or bubblewrap work",
        zh="每次调用都由 Landlock 和系统调用过滤器限制：读不到答案，也连不上网络；但两次调用之间可能会共享数据，"
        "所以“数据只读一遍”的分数，要在能用命名空间或 bubblewrap 的机器上才给",
    ),
    Rung.CHILD: Text(
        en="only a child process with limits, which is no sandbox",
        zh="只是一个有限制的子进程，并不是沙箱",
    ),
}
_BETTER_RUNG = Text(
    en="You can check your own code. Points for reading the data only once are not given, and nobody else's code "
    "should run here. Install bubblewrap (Debian: apt-get install bubblewrap), or have user namespaces allowed "
    "(sysctl kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; in a "
    "container: ask who runs it), or Landlock (Linux 5.13 or later).",
    zh="你仍然可以检查自己的代码；但“数据只读一遍”的分数不会给出，也不应在这里运行别人的代码。"
    "请安装 bubblewrap（Debian：apt-get install bubblewrap），或者允许用户命名空间"
    "（sysctl kernel.unprivileged_userns_clone=1，Ubuntu 上是 kernel.apparmor_restrict_unprivileged_userns=0；"
    "在容器里请找管理员），或者允许 Landlock（Linux 5.13 或更新版本）。",
)
_REBUILD = Text(
    en="In a checkout, `tilewise build` makes them, or `git checkout notebooks` brings them back; else install "
    "Tilewise again.",
    zh="在代码仓库里，用 `tilewise build` 生成，或者用 `git checkout notebooks` 找回；否则请重新安装 Tilewise。",
)
DEFAULT_EXCHANGE = Path("/usr/local/share/nbgrader/exchange")
NBGRADER_CONFIGS = ("nbgrader_config.py", "nbgrader_config.json")


def sandbox(questioner: Questioner) -> Finding:
    """Start the judge and tell which isolation it found to hold."""
    try:
        found = questioner.fact("rung")
    except Unanswered as failure:
        seen = Text(
            en=f"the judge could not be started: {failure.reason.en}", zh=f"评测器无法启动：{failure.reason.zh}"
        )
        return fails(seen, SLOW_REMEDY if failure.is_late else MEND_FIRST)
    rung, remarks = Rung(found["name"]), [Text(**remark) for remark in found["remarks"]]
    seen = Text(
        en=". ".join([f"{rung}: {RUNGS[rung].en}", *(remark.en for remark in remarks)]),
        zh="。".join([f"{rung}：{RUNGS[rung].zh}", *(remark.zh for remark in remarks)]),
    )
    return works(seen) if rung.isolates else fails(seen, _BETTER_RUNG, need=Need.LATER)


def notebooks() -> Finding:
    """Look for every chapter's notebook in both languages, and read each."""
    try:
        course, release = load_course(), release_root()
    except CourseError as error:
        return fails(same(str(error)), _REBUILD)
    names = [HOME, *(f"{chapter.folder.name}/{chapter.slug}.ipynb" for chapter in course.chapters)]
    broken = [f"{lang}/{name}" for lang in LANGUAGES for name in names if not _is_notebook(release / lang / name)]
    if not broken:
        count = len(course.chapters)
        return works(Text(en=f"{count} in each language, in {release}", zh=f"每种语言 {count} 章，位于 {release}"))
    listed = ", ".join(broken)
    return fails(Text(en=f"missing or broken in {release}: {listed}", zh=f"{release} 中缺少或损坏：{listed}"), _REBUILD)


def _is_notebook(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8"))["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def exchange() -> Finding:
    """Look at nbgrader's exchange folder, only where the configuration names one or the usual one is there."""
    if not _is_nbgrader_configured():
        return _no_exchange()
    with Questioner("exchange") as questioner:
        found = questioner.fact("exchange")
    root = Path(found["root"])
    if not found["is_set"] and not root.is_dir():
        return _no_exchange()
    if root.is_dir() and os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return works(same(str(root)))
    return fails(
        Text(en=f"{root} is no folder that you may write in", zh=f"{root} 不是你可以写入的文件夹"),
        Text(
            en=f"Your instructor makes it: mkdir -p {root} && chmod ugo+rwx {root}; or mend c.Exchange.root in "
            "nbgrader_config.py.",
            zh=f"由教师建立：mkdir -p {root} && chmod ugo+rwx {root}；"
            "或者改正 nbgrader_config.py 中的 c.Exchange.root。",
        ),
    )


def _is_nbgrader_configured() -> bool:
    from jupyter_core.paths import jupyter_config_path

    folders = [Path.cwd(), *map(Path, jupyter_config_path())]
    return DEFAULT_EXCHANGE.is_dir() or any((f / name).is_file() for f in folders for name in NBGRADER_CONFIGS)


def _no_exchange() -> Finding:
    return absent(
        Text(en="none is set up", zh="没有设置"),
        Text(
            en="Nothing to do, unless your class hands in through nbgrader: then its instructor says how.",
            zh="什么都不用做；如果你们班用 nbgrader 收作业，请照老师说的设置。",
        ),
    )
