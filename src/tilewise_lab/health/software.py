"""Python and its packages: there, of the version that the course is tested with, and working."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from autograder.course.model import Text
from tilewise_lab.health.finding import Finding, absent, fails, same, works
from tilewise_lab.health.processes import MEND_FIRST, SLOW_REMEDY, Questioner, Unanswered

DISTRIBUTION = "tilewise"
# These have an examination of their own.
EXAMINED = ("torch", "triton", "jupyterlab", "nbgrader", "ipywidgets", "anywidget")
_EXTENSION_STATE = {
    "missing": Text(en="is not installed", zh="没有安装"),
    "incomplete": Text(en="is incomplete", zh="不完整"),
    "disabled": Text(en="is disabled", zh="被停用了"),
}


def python_version() -> Finding:
    """Compare the interpreter that runs this with what the package asks for."""
    wanted = SpecifierSet(metadata.metadata(DISTRIBUTION)["Requires-Python"])
    seen = same(f"{platform.python_version()}, {sys.executable}")
    if wanted.contains(platform.python_version(), prereleases=True):
        return works(seen)
    return fails(
        seen,
        Text(
            en=f"Install a Python {wanted}, remove .venv, and run `make setup PYTHON=/path/to/python3.12`.",
            zh=f"请安装符合 {wanted} 的 Python，删除 .venv，再运行 `make setup PYTHON=/path/to/python3.12`。",
        ),
    )


def package(name: str, questioner: Questioner) -> Finding:
    """Import a package in another process and compare the version of what was imported with what is asked for."""
    wanted = requirements().get(name)
    if wanted is None:
        return absent(
            Text(en=f"there is no {name} for {sys.platform}", zh=f"{name} 不支持 {sys.platform}"),
            Text(en="Its chapters need Linux (on Windows: WSL2).", zh="用到它的章节需要 Linux（Windows 上用 WSL2）。"),
        )
    try:
        found = questioner.fact(name)
    except Unanswered as failure:
        seen = Text(en=f"import {name}: {failure.reason.en}", zh=f"import {name}：{failure.reason.zh}")
        return fails(seen, SLOW_REMEDY if failure.is_late else _install(wanted))
    if _is_within(found["version"], wanted.specifier):
        return works(same(found["version"]))
    return fails(
        Text(
            en=f"{found['version']} in {found['place']}; the course is tested with {wanted.specifier}",
            zh=f"{found['version']}，位于 {found['place']}；课程测试用的是 {wanted.specifier}",
        ),
        _install(wanted),
    )


def other_packages() -> Finding:
    """Look up the versions of all other packages that are asked for, without importing them."""
    wrong, right = [], 0
    for name, wanted in requirements().items():
        if name in EXAMINED:
            continue
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append((wanted, Text(en=f"{name} is missing", zh=f"缺少 {name}")))
            continue
        if _is_within(found, wanted.specifier):
            right += 1
        else:
            wrong.append((wanted, same(f"{name} {found} ({wanted.specifier})")))
    if not wrong:
        return works(Text(en=f"{right} of {right} as asked for", zh=f"{right} 个全部符合要求"))
    seen = Text(en=", ".join(text.en for _, text in wrong), zh="，".join(text.zh for _, text in wrong))
    return fails(seen, _install(*(wanted for wanted, _ in wrong)))


def gpu(questioner: Questioner) -> Finding:
    """Tell of the CUDA device, which must have computed something right; none is no fault."""
    found = questioner.fact("gpu")
    if found["right"]:
        return works(same(f"{found['name']}, {found['gib']:.0f} GiB, CUDA {found['built_for']}"))
    if found["name"]:
        return fails(
            Text(en=f"{found['name']} computes wrongly", zh=f"{found['name']} 计算结果不对"),
            Text(en="Update its driver. Everything runs without it.", zh="请更新驱动。没有它也能学完全部内容。"),
        )
    built = (
        Text(en="PyTorch found none", zh="PyTorch 没有找到")
        if found["built_for"]
        else Text(en="none tried: this PyTorch is built without CUDA", zh="没有尝试：这个 PyTorch 不带 CUDA")
    )
    return absent(
        built,
        Text(
            en="Nothing to do: everything runs without a GPU. To use one, install its driver and PyTorch with CUDA.",
            zh="什么都不用做：没有 GPU 也能学完全部内容。若想用 GPU，请安装驱动和带 CUDA 的 PyTorch。",
        ),
    )


def interpreter(questioner: Questioner) -> Finding:
    """Tell whether a tiny kernel gave the right numbers in Triton's interpreter."""
    if "triton" not in requirements():
        return absent(Text(en="not run: no Triton here", zh="没有运行：这里没有 Triton"))
    wanted = requirements()["triton"]
    try:
        fault = questioner.fact("interpreter")
    except Unanswered as failure:
        if failure.is_late:
            return fails(failure.reason, SLOW_REMEDY)
        return fails(failure.reason, _install(wanted) if _is_there("torch", questioner) else MEND_FIRST)
    if not fault:
        return works(Text(en="a tiny kernel ran; its numbers are right", zh="运行了一个小 kernel，结果正确"))
    return fails(Text(en=f"wrong numbers: {fault}", zh=f"结果不对：{fault}"), _install(wanted))


def lab_extensions(questioner: Questioner) -> Finding:
    """Tell whether JupyterLab, as `tilewise learn` starts it, loads what shows the quizzes."""
    found = questioner.fact("extensions")
    wrong = {name: _EXTENSION_STATE[state] for name, state in found.items() if state}
    if not wrong:
        return works(same(", ".join(found)))
    packages = requirements()
    return fails(
        Text(
            en=", ".join(f"{name} {state.en}" for name, state in wrong.items()),
            zh="，".join(f"{name} {state.zh}" for name, state in wrong.items()),
        ),
        Text(
            en=f"Enable it in JupyterLab's extension manager if it is disabled; else reinstall: "
            f"{_pip('--force-reinstall', packages['ipywidgets'], packages['anywidget'])}",
            zh=f"如果被停用，请在 JupyterLab 的扩展管理器里启用；否则重新安装："
            f"{_pip('--force-reinstall', packages['ipywidgets'], packages['anywidget'])}",
        ),
    )


def requirements() -> dict[str, Requirement]:
    """Give what the package asks for on this platform, by name."""
    asked = (Requirement(line) for line in metadata.requires(DISTRIBUTION) or ())
    return {canonicalize_name(r.name): r for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})}


def _is_there(name: str, questioner: Questioner) -> bool:
    try:
        questioner.fact(name)
    except Unanswered:
        return False
    return True


def _is_within(version: str, wanted: SpecifierSet) -> bool:
    try:
        return wanted.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _install(*wanted: Requirement) -> Text:
    command = _pip(*wanted)
    names = ", ".join(requirement.name for requirement in wanted)
    return Text(
        en=f"Run `make setup` again, or: {command}. If that does not help, a file or folder called {names} stands "
        "before the package on PYTHONPATH: rename it.",
        zh=f"请再运行一次 `make setup`，或者：{command}。如果没有用，说明 PYTHONPATH 上有名为 {names} 的文件或文件夹"
        "挡在前面：请给它改名。",
    )


def _pip(*arguments: Requirement | str) -> str:
    given = (a if isinstance(a, str) else f'"{a.name}{a.specifier}"' for a in arguments)
    return " ".join([sys.executable, "-m pip install", *given])
