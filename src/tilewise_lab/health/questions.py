"""Questions that only a process of its own may answer, for asking them can hang or crash it. A script; stands alone.

    python -P questions.py torch|jupyter|judge|exchange

Each answer is one line of JSON, written as soon as it is known: {"fact": NAME, "value": ...}, or {"fact": NAME,
"error": "ImportError: ..."}. Nothing of this package is imported: it is the environment that is in question.
"""

import importlib
import importlib.util
import json
import os
import sys
from importlib import metadata

HERE = os.path.dirname(os.path.abspath(__file__))
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


def answer(fact, question, *arguments):
    """Write down what `question` finds, or how it fails."""
    try:
        told = {"value": question(*arguments)}
    except BaseException as error:  # SystemExit too: what a broken package does at its import is the finding
        told = {"error": f"{type(error).__name__}: {error}"}
    ANSWERS.write(json.dumps({"fact": fact} | told) + "\n")
    ANSWERS.flush()


def module(name):
    """Import a package: its version, and the folder that it came from, which an error names too."""
    try:
        found = importlib.import_module(name)
    except BaseException as error:
        there = importlib.util.find_spec(name)
        if there is None or not there.origin:
            raise
        raise ImportError(f"{type(error).__name__}: {error} ({there.origin})") from None
    return {"version": str(getattr(found, "__version__", "unknown")), "place": os.path.dirname(found.__file__ or "")}


def package(name):
    """Find a package without importing it, where that takes long: its version, and the folder that it would come from.

    Raises ImportError when something else of that name would be imported.
    """
    distribution = metadata.distribution(name)
    there = importlib.util.find_spec(name)
    place = os.path.dirname(there.origin or "") if there else ""
    own = str(distribution.locate_file(name))
    if not os.path.isdir(own) or os.path.realpath(place) != os.path.realpath(own):
        raise ImportError(f"{place or 'nothing'} would be imported, and not {own}")
    return {"version": distribution.version, "place": place}


def graphics():
    """Ask torch for a CUDA device, and have the device compute before believing it."""
    import torch

    told = {"built_for": torch.version.cuda or "", "name": "", "gib": 0.0, "right": False}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        numbers = torch.arange(1024, device="cuda")
        right = int((numbers * 2).sum().item()) == 1023 * 1024
        told |= {"name": properties.name, "gib": properties.total_memory / 2**30, "right": right}
    return told


def interpreted_kernel():
    """Run a kernel in Triton's interpreter: "" if its numbers are right, else what is wrong with them."""
    sys.path.append(HERE)  # last, so that nothing in this folder stands before a package
    import tiny_kernel

    return tiny_kernel.fault()


def extensions():
    """Tell of each widget extension whether JupyterLab would load it: "", "missing", "incomplete" or "disabled"."""
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_federated_extensions, get_page_config

    folders = jupyter_path("labextensions")
    found = get_federated_extensions(folders)
    disabled = get_page_config(folders).get("disabledExtensions", [])

    def state(name):
        if name not in found:
            return "missing"
        script = os.path.join(found[name]["ext_path"], found[name]["jupyterlab"]["_build"]["load"])
        if not os.path.isfile(script):
            return "incomplete"
        return "disabled" if any(entry.split(":")[0] == name for entry in disabled) else ""

    return {name: state(name) for name in WIDGETS}


def isolation():
    """Start the judge, which tries to get out of its own sandbox: the rung that held, and what it remarks on."""
    from autograder.judge.client import Judge

    with Judge() as judge:
        return {"name": judge.rung, "remarks": [remark.model_dump() for remark in judge.remarks]}


def exchange():
    """Give nbgrader's exchange folder as the configuration here sets it, and whether it sets it at all."""
    from nbgrader.apps.baseapp import NbGrader
    from nbgrader.exchange.default import Exchange

    app = NbGrader()
    app.initialize([])
    return {"root": Exchange(parent=app).root, "is_set": "root" in app.config.get("Exchange", {})}


def torch_questions():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined, and only by Triton
    answer("torch", module, "torch")
    answer("gpu", graphics)
    answer("triton", module, "triton")
    answer("interpreter", interpreted_kernel)


def jupyter_questions():
    for name in ("ipywidgets", "anywidget", "jupyterlab"):
        answer(name, module, name)
    answer("extensions", extensions)
    answer("nbgrader", package, "nbgrader")


GROUPS = {
    "torch": torch_questions,
    "jupyter": jupyter_questions,
    "judge": lambda: answer("rung", isolation),
    "exchange": lambda: answer("exchange", exchange),
}

if __name__ == "__main__":
    ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a package prints at its import must not stand among the answers
    GROUPS[sys.argv[1]]()
