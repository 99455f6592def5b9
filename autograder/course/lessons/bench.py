"""Judge a card's answer, which is a script: it sets query, key, value and block_size, and leaves `output`.

The judge knows functions. So a course of one exercise is made for a while: the script becomes the body of a function
`script(query, key, value, block_size)`, and the known-wrong solutions of the exercise that the card is about become
scripts too, each by itself and together with the scale that is missing: such scripts often make both mistakes. All
else is the judge's: it runs them in its sandbox, compares, and names the mistake.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.course.lessons import toml
from autograder.course.model import Exercise, Text, slug_of
from autograder.judge.client import Judge
from autograder.judge.verdict import TOGETHER, Verdict

INPUTS = ("query", "key", "value", "block_size")
OUTPUT = "output"
SCALE_MISSING = "scale_missing"
AND_SCALE_MISSING = f"_and_{SCALE_MISSING}"
CHAPTER, NAME = "lesson_card", "answer"
CHECKS = "checks_of_the_exercise.py"
# The names that an exercise may give to the inputs of a script.
_INPUT_OF = {"q": "query", "k": "key", "v": "value", "block": "block_size", "block_q": "block_size"}
_INPUT_OF |= {"block_k": "block_size", **{name: name for name in INPUTS}}
_PROPERTIES = {
    "one_block": Text(en="All queries and keys fit into one block.", zh="所有查询和键都在同一个块里。"),
    "several_blocks": Text(en="Several whole blocks, batch by batch.", zh="若干个完整的块，逐个批次计算。"),
    "ragged_tail": Text(en="A last block that is not full.", zh="最后一块没有填满。"),
    "large_scores": Text(
        en="Queries whose scores lie far apart: nothing overflows or is lost.",
        zh="各个查询的分数相差很远：既不上溢，也不丢失。",
    ),
}
_HINT = Text(en="Let every query see every key.", zh="让每个查询看到每一个键。")


class NotAScript(Exception):
    """The answer, or the exercise, is not of the kind that a script can be judged by: says why."""


def inputs_of(exercise: Exercise) -> tuple[str, ...] | None:
    """Tell which input of a script each argument of the exercise's function is; None if it takes other things."""
    tree = ast.parse(exercise.solution_path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == exercise.functions[0]:
            found = [_INPUT_OF.get(argument.arg) for argument in node.args.args]
            return tuple(name for name in found if name) if set(found) == set(INPUTS) else None
    return None


def script_cell(code: str) -> str:
    """Make the cell whose function `script` runs the code on the judge's inputs; raise NotAScript where it cannot.

    The lines in which the code makes inputs of its own are left blank, so that all others keep their numbers.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NotAScript(f"it is not Python: {error}") from None
    if OUTPUT not in _bound(tree):
        raise NotAScript(f"it leaves nothing in `{OUTPUT}`")
    own = list(_own_inputs(tree))
    blanked = {number for statement in own for number in _lines_of(statement)}
    for statement in tree.body:
        if statement not in own and blanked & _lines_of(statement):
            raise NotAScript(f"line {statement.lineno} does something else beside setting an input")
    lines = ["" if number in blanked else line for number, line in enumerate(code.split("\n"), start=1)]
    quoted = "\n".join(lines).replace("\\", "\\\\").replace('"', '\\"')
    names = ", ".join(f'"{name}": {name}' for name in INPUTS)
    return (
        f'SCRIPT = """{quoted}\n"""\n\n\n'
        f"def script({', '.join(INPUTS)}):\n"
        f'    names = {{"__name__": "__main__", {names}}}\n'
        f'    exec(compile(SCRIPT, script.__code__.co_filename, "exec"), names)\n'
        f'    return names["{OUTPUT}"]\n'
    )


def judge_answer(code: str, exercise: Exercise, *, seed: int = 1) -> Verdict:
    """Judge a card's answer by the exercise that it is about.

    Raises NotAScript, and JudgeError or CourseError where the judge cannot run.
    """
    cell = script_cell(code)
    with bench(exercise) as course, Judge(course=course) as judge:
        return judge.verdict(f"{CHAPTER}.{NAME}", cell, seed=seed)


def mistakes_of(verdict: Verdict) -> tuple[str, ...]:
    """Name the known-wrong solutions that an answer does the same as, when all of them are put together."""
    names = verdict.mistake.split(TOGETHER) if verdict.mistake else []
    scale = [SCALE_MISSING] if any(name.endswith(AND_SCALE_MISSING) for name in names) else []
    return tuple(dict.fromkeys([*(name.removesuffix(AND_SCALE_MISSING) for name in names), *scale]))


@contextmanager
def bench(exercise: Exercise) -> Iterator[Path]:
    """Make the course of one exercise, for as long as it is needed; raise NotAScript where it takes no script."""
    inputs = inputs_of(exercise)
    if inputs is None:
        wanted = ", ".join(INPUTS)
        raise NotAScript(f"`{exercise.functions[0]}` of {exercise.id} does not take what a script sets: {wanted}")
    with tempfile.TemporaryDirectory(prefix="tilewise-lesson-") as workspace:
        root = Path(workspace)
        for chapter in {given.partition(".")[0] for given in exercise.given}:
            _copy_chapter(exercise.folder.parent.parent, chapter, root)
        for name, text in _files(exercise, inputs).items():
            path = root / CHAPTER / NAME / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield root


def wrong_scripts(exercise: Exercise, inputs: tuple[str, ...]) -> dict[str, tuple[Text, str]]:
    """Make scripts of the known-wrong solutions: name -> (diagnosis, cell); single mistakes first."""
    files = exercise.variants("wrong")
    singles = {
        name: (text, _script_of(files[name].read_text(encoding="utf-8"), exercise, inputs))
        for name, text in exercise.wrong.items()
    }
    if SCALE_MISSING not in exercise.wrong:
        return singles
    scale = exercise.wrong[SCALE_MISSING]
    pairs = {
        f"{name}{AND_SCALE_MISSING}": (
            Text(en=f"{text.en}\n\n{scale.en}", zh=f"{text.zh}\n\n{scale.zh}"),
            _script_of(files[name].read_text(encoding="utf-8"), exercise, inputs, undo_scale=True),
        )
        for name, text in exercise.wrong.items()
        if name != SCALE_MISSING
    }
    return singles | pairs


def _script_of(source: str, exercise: Exercise, inputs: tuple[str, ...], *, undo_scale: bool = False) -> str:
    """Give a function of one head the look of a script: batches in, batches out."""
    # Queries that are larger by the root of their width: what divides by it then does as if it did not.
    undo = "    query = query * query.shape[-1] ** 0.5\n" if undo_scale else ""
    arguments = ", ".join({"query": "q", "key": "k", "value": "v"}.get(name, name) for name in inputs)
    return (
        f"{source.rstrip()}\n\n\n"
        f"def script({', '.join(INPUTS)}):\n"
        f"    import torch\n\n{undo}"
        f"    heads = zip(query, key, value, strict=True)\n"
        f"    return torch.stack([{exercise.functions[0]}({arguments}) for q, k, v in heads])\n"
    )


def _files(exercise: Exercise, inputs: tuple[str, ...]) -> dict[str, str]:
    wrong = wrong_scripts(exercise, inputs)
    table = {
        "title": {"en": exercise.title.en, "zh": exercise.title.zh},
        "functions": ["script"],
        "given": list(exercise.given),
        "limits": exercise.limits.model_dump(),
        "property": {name: {"points": 1, **text.model_dump()} for name, text in _PROPERTIES.items()},
        "wrong": {name: text.model_dump() for name, (text, _) in wrong.items()},
        "hint": [_HINT.model_dump()],
    }
    checks = (
        f"from pathlib import Path\n\n"
        f"from autograder.course.lessons.cases import {', '.join(_PROPERTIES)}, reference_of\n\n"
        f"reference = reference_of(Path(__file__).with_name({CHECKS!r}), {inputs!r})\n"
    )
    solution = _script_of(exercise.solution_path.read_text(encoding="utf-8"), exercise, inputs)
    files = {"exercise.toml": toml.written(table), "checks.py": checks, "solution.py": solution}
    # A copy: the judge leaves root behind, and could not reach a course that only root may enter.
    files |= {CHECKS: exercise.checks_path.read_text(encoding="utf-8")}
    files |= {f"statement.{language}.md": exercise.statement[language] for language in ("en", "zh")}
    return files | {f"wrong/{name}.py": source for name, (_, source) in wrong.items()}


def _own_inputs(tree: ast.Module) -> Iterator[ast.stmt]:
    """Find the statements in which the code makes its example inputs: the first that binds each of them.

    Raises NotAScript where such a statement binds something else as well, which must not be lost.
    """
    pending = set(INPUTS)
    for statement in tree.body:
        bound = _bound(statement)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and bound & pending:
            if other := sorted(bound - set(INPUTS)):
                raise NotAScript(f"line {statement.lineno} sets {other[0]!r} together with an input")
            pending -= bound
            yield statement


def _lines_of(statement: ast.stmt) -> set[int]:
    return set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))


def _bound(tree: ast.AST) -> set[str]:
    """Name what a piece of code assigns to."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _copy_chapter(course: Path, slug: str, root: Path) -> None:
    for folder in course.iterdir():
        if slug_of(folder.name) == slug and folder.is_dir():
            shutil.copytree(folder, root / folder.name)
