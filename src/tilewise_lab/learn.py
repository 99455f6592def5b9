"""The way in: copy the release to the learner's folder, never over their work, and open JupyterLab on it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import typer

from autograder.course.datafile import write_json
from autograder.course.model import CourseError
from autograder.course.reading import release_root
from tilewise_lab import record
from tilewise_lab.jupyter import server

STATE = ".tilewise"
HOME = "home.ipynb"
MANIFEST_FORMAT = 1


class LearnError(Exception):
    """The course cannot be opened; says why and what to do."""


@dataclass
class Copied:
    """What `copy_release` did, as paths relative to the learner's folder.

    new: were not there.   refreshed: untouched since they were copied, now in their new version.
    kept: changed by the learner, though the release has a new version of them.
    """

    new: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def learn(folder: Path, language: str, *, open_browser: bool = True, port: int = 8888) -> int:
    """Bring `folder` up to date, then run JupyterLab on it until it is stopped; give the exit status.

    Raise LearnError when there is no release, or JupyterLab cannot run.
    """
    folder = folder.expanduser().resolve()
    try:
        copied = copy_release(release_root(), folder, language)
        start_progress(folder)
    except CourseError as error:
        raise LearnError(str(error)) from error
    except OSError as error:
        raise LearnError(f"Cannot write to {folder}: {error.strerror}. Name another folder with --dir.") from error
    _say_copied(copied, folder, language)
    try:
        with _signals_as_interrupt():
            return _serve(folder, state_folder(folder, language), language, open_browser=open_browser, port=port)
    except server.ServerError as error:
        raise LearnError(str(error)) from error


def state_folder(folder: Path, language: str) -> Path:
    """Give where JupyterLab keeps its own files: one for each language, for the interface follows the server."""
    return folder / STATE / f"jupyter-{language}"


def copy_release(release: Path, folder: Path, language: str) -> Copied:
    """Copy what is new in `release`/`language` to `folder`/`language`; a file that the learner changed stays as it is.

    For every copied file the manifest keeps two digests, of its bytes and of its text: a later release may replace a
    notebook that was opened and run, but in which nobody wrote a word.
    """
    source = release / language
    if not (source / HOME).is_file():
        raise LearnError(f"{source / HOME} is missing. In a checkout, `tilewise build` makes it.")
    manifest_file = folder / STATE / "copied.json"
    manifest = _read_manifest(manifest_file)
    copied = Copied()
    for file in _release_files(source):
        name, content, target = (
            file.relative_to(release).as_posix(),
            file.read_bytes(),
            folder / file.relative_to(release),
        )
        before = manifest.get(name)
        entry = {"bytes": _digest(content), "text": _text_digest(content)}
        present = target.read_bytes() if target.is_file() else None
        if present is None:
            copied.new.append(name)
        elif present == content:
            manifest[name] = entry
            continue
        elif entry == before:
            continue  # the learner's work, and nothing newer to offer
        elif before is not None and _text_digest(present) == before["text"]:
            copied.refreshed.append(name)
        else:
            copied.kept.append(name)
            continue
        _write(target, content)
        manifest[name] = entry
    manifest_file.parent.mkdir(parents=True, exist_ok=True)
    write_json(manifest_file, {"format": MANIFEST_FORMAT, "copied": manifest})
    return copied


def start_progress(folder: Path) -> None:
    """Make an empty progress file unless there is one; both languages share it."""
    file = folder / record.FILE_NAME
    if not file.exists():
        write_json(file, record.Record().model_dump(mode="json"))


def can_show_a_browser() -> bool:
    """Tell whether this machine has a screen that a browser could open on."""
    if sys.platform == "darwin" or "microsoft" in platform.release().lower():
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _serve(folder: Path, state: Path, language: str, *, open_browser: bool, port: int) -> int:
    already = server.running(state)
    jupyter = already or server.start(folder, state, language, port)
    try:
        address = jupyter.address(f"{language}/{HOME}")
        _say(language, *(("Already open on this folder:", "这个文件夹已经打开着：") if already else _READY))
        typer.echo(f"\n    {address}\n")
        if open_browser and can_show_a_browser():
            _open(address)
        if not already:
            _say(language, "Ctrl-C here stops it. Your work stays.", "在这里按 Ctrl-C 就能停止，你做的一切都会留着。")
            jupyter.wait()
    except KeyboardInterrupt:
        typer.echo()
    finally:
        jupyter.stop()
    return 0


_READY = ("JupyterLab is ready at this address:", "JupyterLab 已就绪，地址是：")


def _open(address: str) -> None:
    try:
        webbrowser.open(address)
    except webbrowser.Error as error:
        typer.echo(f"No browser could be opened ({error}): copy the address.")


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """Let a closed terminal or a polite kill stop the server as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _say_copied(copied: Copied, folder: Path, language: str) -> None:
    _say(language, f"Your folder: {folder / language}", f"你的文件夹：{folder / language}")
    if chapters := _chapters(copied.new):
        _say(language, f"New: {', '.join(chapters)}", f"新内容：{'、'.join(chapters)}")
    if chapters := _chapters(copied.refreshed):
        _say(
            language,
            f"Brought up to date (you had not changed them): {', '.join(chapters)}",
            f"已更新（你没有改动过）：{'、'.join(chapters)}",
        )
    for name in copied.kept:
        _say(
            language,
            f"Kept as you left it: {name}. It has a new version; to get that, rename yours and run this again.",
            f"保留你的版本：{name}。它有新版本；想要新版本，请给你的文件改个名字，再运行一次。",
        )


def _say(language: str, english: str, chinese: str) -> None:
    typer.echo(chinese if language == "zh" else english)


def _chapters(names: list[str]) -> list[str]:
    """Name the chapters (or single files) that the files belong to, each once, in order."""
    return list(dict.fromkeys(name.split("/")[1] for name in names))


def _release_files(source: Path) -> list[Path]:
    hidden = (path for path in source.rglob("*") if path.is_file())
    return sorted(path for path in hidden if not any(part.startswith(".") for part in path.relative_to(source).parts))


def _read_manifest(file: Path) -> dict[str, dict[str, str]]:
    if not file.exists():
        return {}
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if raw["format"] != MANIFEST_FORMAT:
            raise ValueError(f"format {raw['format']!r}")
        return {name: {"bytes": entry["bytes"], "text": entry["text"]} for name, entry in raw["copied"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LearnError(f"{file} cannot be read ({error}). Delete it and run this again: your work stays.") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _text_digest(content: bytes) -> str:
    """Digest what a person wrote: the cells of a notebook without outputs and metadata, or else all bytes.

    JupyterLab rewrites a notebook's metadata when it is merely opened.
    """
    try:
        cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]]
    except (ValueError, KeyError, TypeError):  # a figure, or a notebook that somebody broke
        return _digest(content)
    return _digest(json.dumps(cells).encode())


def _write(target: Path, content: bytes) -> None:
    """Write whole or not at all: a copy cut short would look like a file that the learner changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    partial.write_bytes(content)
    partial.replace(target)
