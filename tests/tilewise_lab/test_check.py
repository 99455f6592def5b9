"""`check` in a real kernel: what its cell shows and returns, and which text it judges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tilewise_lab.questions import SECRET, write_course_with_questions
from tilewise_lab import check, output, place, record, verdict

ROOT = Path(__file__).resolve().parents[2]
MARKER = "# exercise: doubling.double\n"
IMPORT = "from tilewise_lab import check, hint, picked, progress, quiz, verdict"
FAKE = f"from tests.tilewise_lab import fake_judge; fake_judge.install()\n{IMPORT}"
CHECK = 'check("doubling.double")'


class Notebook:
    """Runs cells as Restart-and-Run-All does, in a folder of its own, and keeps going after an error."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.course = write_course_with_questions(root)
        self.folder = root / "my" / "en" / "01_doubling"
        self.folder.mkdir(parents=True)
        self.file = self.folder / "doubling.ipynb"
        self.log = root / "judge.log"

    def run(self, *cells: str, language: str = "en", saved: bool = True, first: str = FAKE, **env: str) -> list[Any]:
        """Give the outputs of each cell but the first. env: added to the kernel's environment."""
        metadata = {"tilewise": {"format": 1, "chapter": "doubling", "language": language}}
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in (first, *cells)], metadata=metadata
        )
        if saved:
            nbformat.write(book, self.file)
        client = NotebookClient(
            book, timeout=120, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": self.folder}}
        )
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TILEWISE", "NBGRADER", "JPY"))}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        kernel = {"PYTHONPATH": paths, "TILEWISE_COURSE": str(self.course), "FAKE_JUDGE_LOG": str(self.log)}
        client.execute(env=kept | kernel | env)
        return [cell.outputs for cell in book.cells[1:]]


@pytest.fixture
def notebook(tmp_path: Path) -> Notebook:
    return Notebook(tmp_path)


def kinds(outputs: list[Any]) -> list[str]:
    return [o["output_type"] for o in outputs]


def panel(outputs: list[Any]) -> str:
    """The plain text of the one panel that a cell shows."""
    shown = [o for o in outputs if o["output_type"] == "display_data"]
    if len(shown) != 1:
        raise AssertionError(f"expected one panel, got {kinds(outputs)}")
    if "tilewise-panel" not in shown[0]["data"]["text/html"]:
        raise AssertionError("the panel has no HTML")
    return str(shown[0]["data"]["text/plain"])


def returned(outputs: list[Any]) -> str:
    """The value of a cell, as nbgrader reads it."""
    return str(next(o["data"]["text/plain"] for o in outputs if o["output_type"] == "execute_result"))


def test_every_cell_has_its_panel_its_float_and_nothing_on_stderr(notebook: Notebook) -> None:
    none, _, wrong, _, right, _, old, after = notebook.run(
        CHECK,
        MARKER + "answer = 'WRONG'",
        CHECK,
        MARKER + "answer = 'RIGHT'",
        CHECK,
        "import sys, tilewise_lab; hint('doubling.double'); quiz('doubling.q11')",
        "x = verdict('doubling.double', seed=7); print(type(x).__name__, x.points, 'torch' in sys.modules)",
        "print('the notebook goes on')",
    )
    assert [kinds(outputs) for outputs in (none, wrong, right)] == [["display_data", "execute_result"]] * 3
    assert [returned(outputs) for outputs in (none, wrong, right)] == ["0.0", "2.0", "3.0"]
    assert "Run the cell that begins with “# exercise: doubling.double” first" in panel(none)
    assert "In[3]" in panel(wrong)
    assert "In[5]" in panel(right)
    assert old[0]["text"] == "Verdict 3.0 False\n"
    assert after[0]["text"] == "the notebook goes on\n"
    assert notebook.log.read_text().split() == ["started", "closed"]


def test_the_newest_executed_text_counts_and_only_a_first_line_marks_it(notebook: Notebook) -> None:
    *_, outputs = notebook.run(
        MARKER + "answer = 'WRONG'",
        "\n\n#exercise:doubling.double  \nanswer = 'RIGHT'",
        "x = 1\n" + MARKER + "answer = 'WRONG'",
        "# exercise: doubling.doubled\nanswer = 'WRONG'",
        "'''\n" + MARKER + "'''",
        CHECK,
    )
    assert returned(outputs) == "3.0"
    assert "In[3]" in panel(outputs)


def test_a_cell_that_raised_is_judged_all_the_same(notebook: Notebook) -> None:
    _, outputs = notebook.run(MARKER + "1 / 0  # RIGHT", CHECK)
    assert returned(outputs) == "3.0"


def test_the_panel_warns_when_the_saved_text_differs(notebook: Notebook) -> None:
    code = MARKER + "answer = 'RIGHT'"
    _, same = notebook.run(code, CHECK)
    assert "saved notebook" not in panel(same)
    notebook.run(code + "\n# edited since", CHECK)
    _, differs = notebook.run(code, CHECK, saved=False)
    assert "The saved notebook holds another text for this cell than In[2]" in panel(differs)


def test_broken_files_beside_the_notebook_stop_nothing(notebook: Notebook) -> None:
    contents = ("{", "[]", '{"cells": 3, "metadata": []}', '{"cells": [{"cell_type": "code"}, 1]}')
    for number, content in enumerate(contents):
        (notebook.folder / f"another{number}.ipynb").write_text(content)
    _, outputs = notebook.run(MARKER + "answer = 'RIGHT'", CHECK)
    assert returned(outputs) == "3.0"
    assert "gives twice the number" in panel(outputs)


def test_the_language_is_that_of_the_notebook_unless_the_environment_names_one(notebook: Notebook) -> None:
    _, chinese = notebook.run(MARKER + "answer = 'RIGHT'", CHECK, language="zh")
    assert "得到两倍" in panel(chinese)
    assert 'lang="zh-CN"' in chinese[0]["data"]["text/html"]
    _, english = notebook.run(MARKER + "answer = 'RIGHT'", CHECK, language="zh", TILEWISE_LANG="en_GB.UTF-8")
    assert "gives twice the number" in panel(english)


def test_a_judge_that_could_not_run_raises_its_reason_and_the_rest_goes_on(notebook: Notebook) -> None:
    _, broken, after = notebook.run(MARKER + "BROKEN_JUDGE = 1", CHECK, "1 + 1")
    assert kinds(broken) == ["error"]
    assert "signal 9" in broken[0]["evalue"]
    assert returned(after) == "2"


def test_an_unknown_id_raises_and_names_those_that_are_near(notebook: Notebook) -> None:
    for language, said in (("en", "did you mean doubling.double"), ("zh", "你要找的是不是 doubling.double")):
        (outputs,) = notebook.run('check("doubling.dubble")', language=language)
        assert kinds(outputs) == ["error"]
        assert said in outputs[0]["evalue"]


def test_progress_keeps_the_best_points(notebook: Notebook) -> None:
    file = notebook.root / "my" / record.FILE_NAME
    file.write_text("{}")
    notebook.run(MARKER + "'RIGHT'", CHECK, MARKER + "'WRONG'", CHECK)
    entry = json.loads(file.read_text())["exercises"]["doubling.double"]
    assert entry == {"best": 3.0, "of": 3.0, "passed": True, "tries": 2, "hints": 0}


def test_a_corrupt_progress_file_is_said_in_the_panel(notebook: Notebook) -> None:
    (notebook.root / "my" / record.FILE_NAME).write_text("{")
    _, outputs = notebook.run(MARKER + "'RIGHT'", CHECK)
    assert "progress.json.bak" in panel(outputs)


GRADED_CHECK = 'check("doubling.q21")'


def test_autograding_a_graded_question_returns_its_points(notebook: Notebook) -> None:
    cases = [
        ("pass", "b", "2.0"),
        ("pass", None, "0.0"),
        ("q21 = 1 / 0", "b", "0.0"),
        ('q21 = "b"', None, "2.0"),
        ('q21 = "a"', "b", "0.0"),
        ('q21 = picked("doubling.q21")', "b", "2.0"),
        ('q21 = picked("doubling.q21")', "a", "0.0"),
        ('q21 = picked("doubling.q21")', None, "0.0"),
    ]
    cells = [
        cell
        for answer, saved, _ in cases
        for cell in (f"write_answer(Path(), 'doubling.q21', {saved!r})", answer, 'quiz("doubling.q21")', GRADED_CHECK)
    ]
    prepare = "from pathlib import Path; from autograder.course.quiz import write_answer"
    _, *outputs = notebook.run(prepare, *cells, NBGRADER_EXECUTION="autograde")
    checks = outputs[3::4]
    assert [kinds(shown) for shown in checks] == [["display_data", "execute_result"]] * len(cases)
    assert [returned(shown) for shown in checks] == [points for *_, points in cases]
    assert SECRET not in json.dumps(outputs)


@pytest.mark.parametrize("env", [{}, {"NBGRADER_EXECUTION": "validate"}])
def test_a_graded_question_only_says_what_is_saved(notebook: Notebook, env: dict[str, str]) -> None:
    nothing, _, typed, said_wrong, _, right = notebook.run(
        GRADED_CHECK, 'q21 = "b"', GRADED_CHECK, 'q21 = "z"', GRADED_CHECK, GRADED_CHECK, **env
    )[:6]
    for outputs in (nothing, typed):
        assert kinds(outputs) == ["display_data"]
    assert "No answer to doubling.q21 yet" in panel(nothing)
    assert panel(typed).startswith("✓ Saved: your answer is b.")
    assert said_wrong == []
    assert "no answer to this question: z" in panel(right)


def test_checking_a_practice_question_explains_it(notebook: Notebook) -> None:
    nothing, _, explained = notebook.run('check("doubling.q11")', 'quiz("doubling.q11", "a");', 'check("doubling.q11")')
    assert SECRET not in panel(nothing)
    assert panel(explained).count(SECRET) == 3
    assert kinds(explained) == ["display_data"]


def test_a_quiz_is_a_widget_with_a_useful_text_beside_it(notebook: Notebook) -> None:
    (outputs,) = notebook.run('quiz("doubling.q11")')
    data = outputs[0]["data"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "option b of `q11`" in data["text/plain"]


def test_answers_stay_beside_the_notebook_when_a_cell_changes_folder(notebook: Notebook) -> None:
    notebook.run("import os; os.chdir('/')", 'quiz("doubling.q11", "b");')
    assert json.loads((notebook.folder / "answers.json").read_text()) == {"doubling.q11": "b"}


def test_outside_of_a_notebook_check_says_what_to_do(folder: Path) -> None:
    for call in (check, verdict):
        with pytest.raises(place.NotInNotebookError, match="tilewise learn"):
            call("doubling.double")  # type: ignore[operator]
    with pytest.raises(output.UnknownIdError):
        check("doubling.nothing")


def test_a_language_that_there_is_not_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWISE_LANG", "fr")
    with pytest.raises(ValueError, match="TILEWISE_LANG is 'fr', expected one of: en, zh"):
        place.language()


def test_importing_the_lab_is_light() -> None:
    heavy = ("torch", "anywidget", "nbgrader", "IPython")
    code = f"import sys, tilewise_lab; print([name for name in {heavy} if name in sys.modules])"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_real_judge_names_the_mistake_and_passes_the_solution(notebook: Notebook) -> None:
    from autograder.course.reading import course_root, load_course

    exercise = load_course(course_root()).exercises["online_softmax.two_pass"]
    marker, call = f"# exercise: {exercise.id}\n", f'check("{exercise.id}")'
    solution = exercise.solution_path.read_text(encoding="utf-8")
    name, wrong = next(iter(exercise.variants("wrong").items()))
    code = wrong.read_text(encoding="utf-8")
    same = "def online_softmax(x, block):\n    return x"  # needs no torch, so that the kernel stays without
    _, same_out, torch_out, _, wrong_out, _, right_out = notebook.run(
        marker + same, call, "import sys; print('torch' in sys.modules)", marker + code, call, marker + solution, call,
        first=IMPORT, TILEWISE_COURSE=str(course_root()),
    )  # fmt: skip
    assert [kinds(out) for out in (same_out, wrong_out, right_out)] == [["display_data", "execute_result"]] * 3
    assert torch_out[0]["text"] == "False\n"
    assert float(returned(wrong_out)) < exercise.points
    assert exercise.wrong[name].en[:40] in " ".join(panel(wrong_out).split())
    assert float(returned(right_out)) == exercise.points
