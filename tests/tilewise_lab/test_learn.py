"""`tilewise learn`: what it copies, what it never touches, and the JupyterLab that it starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from tilewise_lab import learn, record
from tilewise_lab.jupyter import server

CHAPTER = "zh/03_online_softmax/online_softmax.ipynb"
COMMAND = Path(sysconfig.get_path("scripts")) / "tilewise"


def write_notebook(file: Path, text: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(text, id="title"), nbformat.v4.new_code_cell("1 + 1", id="code")]
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    root = tmp_path / "notebooks"
    for language in ("en", "zh"):
        write_notebook(root / language / "home.ipynb", f"home {language}")
        write_notebook(root / language / "03_online_softmax" / "online_softmax.ipynb", f"chapter {language}")
    figure = root / "zh" / "03_online_softmax" / "figures" / "tiles.svg"
    figure.parent.mkdir()
    figure.write_text("<svg/>")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_first_run_copies_one_language_with_its_figures(release: Path, folder: Path) -> None:
    copied = learn.copy_release(release, folder, "zh")
    assert copied.new == ["zh/03_online_softmax/figures/tiles.svg", CHAPTER, "zh/home.ipynb"]
    assert (folder / CHAPTER).read_bytes() == (release / CHAPTER).read_bytes()
    assert not (folder / "en").exists()


def test_a_second_run_changes_nothing(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    before = files_of(folder)
    copied = learn.copy_release(release, folder, "zh")
    assert copied == learn.Copied()
    assert files_of(folder) == before


def test_a_learners_work_is_never_overwritten(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    write_notebook(folder / CHAPTER, "my own work")
    before = (folder / CHAPTER).read_bytes()
    assert learn.copy_release(release, folder, "zh") == learn.Copied()
    write_notebook(release / CHAPTER, "a newer chapter")
    assert learn.copy_release(release, folder, "zh").kept == [CHAPTER]
    assert (folder / CHAPTER).read_bytes() == before


def test_a_file_that_was_there_before_the_first_run_is_kept(release: Path, folder: Path) -> None:
    write_notebook(folder / CHAPTER, "older than the course")
    before = (folder / CHAPTER).read_bytes()
    assert learn.copy_release(release, folder, "zh").kept == [CHAPTER]
    assert (folder / CHAPTER).read_bytes() == before


def test_an_untouched_notebook_follows_a_new_release(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    write_notebook(release / CHAPTER, "a newer chapter")
    assert learn.copy_release(release, folder, "zh").refreshed == [CHAPTER]
    assert (folder / CHAPTER).read_bytes() == (release / CHAPTER).read_bytes()


def test_opening_and_running_a_notebook_is_not_touching_it(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    opened = nbformat.read(folder / CHAPTER, as_version=4)
    opened.metadata["language_info"] = {"name": "python", "version": "3.11.2"}
    opened.cells[1].outputs = [nbformat.v4.new_output("stream", text="2")]
    nbformat.write(opened, folder / CHAPTER)
    write_notebook(release / CHAPTER, "a newer chapter")
    assert learn.copy_release(release, folder, "zh").refreshed == [CHAPTER]


def test_a_new_chapter_appears_and_a_deleted_file_comes_back(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    write_notebook(release / "zh" / "04_merge_softmax" / "merge_softmax.ipynb", "new")
    (folder / "zh" / "home.ipynb").unlink()
    assert learn.copy_release(release, folder, "zh").new == [
        "zh/04_merge_softmax/merge_softmax.ipynb",
        "zh/home.ipynb",
    ]


def test_hidden_files_of_a_release_are_not_copied(release: Path, folder: Path) -> None:
    write_notebook(release / "zh" / ".ipynb_checkpoints" / "home-checkpoint.ipynb", "junk")
    learn.copy_release(release, folder, "zh")
    assert not (folder / "zh" / ".ipynb_checkpoints").exists()


def test_a_missing_release_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_NOTEBOOKS", str(tmp_path / "nowhere"))
    with pytest.raises(learn.LearnError, match=r"nowhere.*tilewise build"):
        learn.learn(tmp_path / "my", "en")
    assert not (tmp_path / "my").exists()
    with pytest.raises(learn.LearnError, match=re.escape("home.ipynb is missing")):
        learn.copy_release(tmp_path, tmp_path / "my", "en")


def test_an_unreadable_manifest_is_an_error_that_says_what_to_do(release: Path, folder: Path) -> None:
    learn.copy_release(release, folder, "zh")
    for broken in ("{", "[]", '{"format": 2, "copied": {}}', '{"format": 1, "copied": {"a": "b"}}'):
        (folder / learn.STATE / "copied.json").write_text(broken)
        with pytest.raises(learn.LearnError, match="Delete it"):
            learn.copy_release(release, folder, "zh")


def test_progress_is_made_once_and_is_what_the_notebooks_read(folder: Path) -> None:
    folder.mkdir()
    learn.start_progress(folder)
    file = folder / record.FILE_NAME
    assert record.Record.model_validate_json(file.read_text()) == record.Record()
    file.write_text('{"kept": 1}')
    learn.start_progress(folder)
    assert file.read_text() == '{"kept": 1}'


def test_jupyter_settings_of_the_user_are_neither_read_nor_changed(tmp_path: Path) -> None:
    base = {
        "HOME": "/home/me",
        "JUPYTER_PATH": "/x",
        "JUPYTER_CONFIG_DIR": "/y",
        "IPYTHONDIR": "/z",
        "JUPYTERLAB_DIR": "/w",
    }
    given = server.environment(tmp_path, "zh", base)
    assert given["HOME"] == "/home/me"
    assert "JUPYTER_PATH" not in given
    assert "JUPYTERLAB_DIR" not in given
    for name, value in given.items():
        if name.endswith(("_DIR", "DIR")) and name != "JUPYTER_PLATFORM_DIRS":
            assert value.startswith(str(tmp_path)), name


@pytest.mark.parametrize(("language", "locale"), [("en", "en"), ("zh", "zh_CN")])
def test_jupyterlab_starts_quiet_and_in_the_language(
    language: str, locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment(tmp_path, language, {}).items():
        monkeypatch.setenv(name, value)
    from jupyter_server.services.config.manager import ConfigManager

    labconfig = ConfigManager(config_dir_name="labconfig")
    settings = labconfig.get("default_setting_overrides")
    assert settings["@jupyterlab/translation-extension:plugin"]["locale"] == locale
    assert settings["@jupyterlab/notebook-extension:tracker"]["autoStartDefaultKernel"] is True
    assert settings["@jupyterlab/apputils-extension:notification"] == {"checkForUpdates": False, "fetchNews": "false"}
    disabled = labconfig.get("page_config")["disabledExtensions"]
    for panel in ("create-assignment", "formgrader", "assignment-list", "course-list"):
        assert disabled[f"@jupyter/nbgrader:{panel}"] is True


class Running:
    """`tilewise learn --no-open` in a child, until its address is printed."""

    def __init__(self, release: Path, folder: Path, language: str) -> None:
        environment = os.environ | {"TILEWISE_NOTEBOOKS": str(release), "PYTHONUNBUFFERED": "1"}
        command = [str(COMMAND), "learn", "--lang", language, "--dir", str(folder), "--no-open"]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                return
        raise AssertionError(f"no address was printed:\n{self.said}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=30)[0]
        return self.process.returncode


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=30) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_learn_serves_the_home_notebook_and_stops_cleanly(number: signal.Signals, release: Path, folder: Path) -> None:
    running = Running(release, folder, "zh")
    runtime = learn.state_folder(folder, "zh") / "runtime"
    try:
        assert "/lab/tree/zh/home.ipynb?token=" in running.address
        assert answers(running.address)
        (info,) = runtime.glob("jpserver-*.json")
    finally:
        status = running.end(number)
    assert status == 0, running.said
    with pytest.raises(ProcessLookupError):
        os.kill(int(info.stem.removeprefix("jpserver-")), 0)
    assert list(runtime.glob("jpserver-*")) == []


def test_a_second_learn_on_the_same_folder_points_to_the_first(release: Path, folder: Path) -> None:
    first = Running(release, folder, "en")
    try:
        second = Running(release, folder, "en")
        assert second.address == first.address
        assert second.process.wait(timeout=30) == 0
        assert answers(first.address)
    finally:
        first.end(signal.SIGINT)


def test_the_other_language_gets_a_server_of_its_own(release: Path, folder: Path) -> None:
    english = Running(release, folder, "en")
    try:
        chinese = Running(release, folder, "zh")
        try:
            assert "/lab/tree/zh/home.ipynb?token=" in chinese.address
            assert chinese.address.split("/lab/")[0] != english.address.split("/lab/")[0]
            assert answers(chinese.address)
        finally:
            chinese.end(signal.SIGINT)
        assert answers(english.address)
    finally:
        english.end(signal.SIGINT)


def test_learners_who_start_at_the_same_moment_get_an_address_each(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ada", "bao", "cleo")]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        servers = list(pool.map(lambda folder: server.start(folder, folder / "state", "en", 8888), folders))
    try:
        assert len({each.url for each in servers}) == len(folders)
        assert all(answers(each.address("")) for each in servers)
    finally:
        for each in servers:
            each.stop()


def test_the_file_of_a_killed_server_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / "runtime" / f"jpserver-{ended.pid}.json"
    left.parent.mkdir()
    left.write_text('{"url": "http://127.0.0.1:9/", "hostname": "127.0.0.1", "port": 9, "token": "x"}')
    assert server.running(tmp_path) is None
    assert not left.exists()


def test_the_access_token_is_for_the_owner_alone(release: Path, folder: Path) -> None:
    running = Running(release, folder, "en")
    try:
        assert learn.state_folder(folder, "en").stat().st_mode & 0o077 == 0
    finally:
        running.end(signal.SIGINT)


def test_the_command_works_from_an_environment_that_is_not_activated(tmp_path: Path) -> None:
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    said = subprocess.run([str(COMMAND), "--version"], env=bare, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("tilewise ")


def test_main_puts_the_helper_programs_of_this_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from tilewise_lab import cli

    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(cli, "app", lambda: None)
    cli.main()
    cli.main()
    assert os.environ["PATH"] == f"{sysconfig.get_path('scripts')}{os.pathsep}/usr/bin"
    assert shutil.which("jupyter-nbconvert", path=os.environ["PATH"])


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "nbgrader", "jupyterlab")
    code = f"import sys; from tilewise_lab import cli; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
