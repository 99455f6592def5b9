"""`make gpu-check` without a GPU: a tool of the same name stands for compute-sanitizer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from scripts import every_cuda_kernel, gpu_check
from scripts.gpu_check import FOUND, TOOLS, Outcome
from tilewise.backends.cuda import on_cpu

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ["python", "-m", "program"]


def pretend(folder: Path, says: str, code: int) -> str:
    tool = folder / "compute-sanitizer"
    tool.write_text(
        f'#!/bin/sh\necho "$@" > "{folder}/asked"\necho "$PYTORCH_NO_CUDA_MEMORY_CACHING"\n{says}\nexit {code}\n'
    )
    tool.chmod(0o755)
    return str(tool)


@pytest.mark.parametrize(
    ("says", "code", "verdict", "status"),
    [
        ("echo '== ERROR SUMMARY: 0 errors'", 0, "clean", 0),
        ("echo '== ERROR SUMMARY: 3 errors'", FOUND, "FAULTS", 1),
        ("echo 'Device not supported'", 1, "not run: exit code 1", 2),
        ("true", 0, "not run: it summed nothing up", 2),
    ],
)
def test_the_exit_code_of_a_tool_is_read(tmp_path: Path, says: str, code: int, verdict: str, status: int) -> None:
    outcome = gpu_check.sanitize(pretend(tmp_path, says, code), "racecheck", PROGRAM)
    assert (outcome.verdict, outcome.status) == (verdict, status)
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["--tool", "racecheck", "--error-exitcode", str(FOUND), *PROGRAM]
    assert outcome.output.startswith("1\n")  # each tensor has an allocation of its own


def test_without_the_tool_nothing_counts_as_clean() -> None:
    outcome = gpu_check.sanitize(None, "memcheck", PROGRAM)
    assert (outcome.verdict, outcome.status) == ("not run: no compute-sanitizer", 2)


def test_the_tool_is_found_on_the_path_and_in_the_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    (tmp_path / "cuda" / "bin").mkdir(parents=True)
    in_toolkit = pretend(tmp_path / "cuda" / "bin", "true", 0)
    assert gpu_check.find_sanitizer() == in_toolkit
    on_path = pretend(tmp_path, "true", 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_check.find_sanitizer() == on_path


@pytest.mark.parametrize(
    ("counts", "verdict", "status"),
    [
        ('tests="9" failures="0" errors="0" skipped="2"', "7 passed, 0 failed, 2 skipped", 0),
        ('tests="9" failures="1" errors="1" skipped="0"', "7 passed, 2 failed, 0 skipped", 1),
        ('tests="3" failures="0" errors="0" skipped="3"', "0 passed, 0 failed, 3 skipped", 2),
    ],
)
def test_the_tests_are_counted(counts: str, verdict: str, status: int) -> None:
    outcome = gpu_check.read_tests(f"<testsuites><testsuite {counts}/></testsuites>")
    assert (outcome.verdict, outcome.status) == (verdict, status)


def test_a_fault_weighs_more_than_what_was_not_run() -> None:
    assert [gpu_check.worst(found) for found in ([0, 0], [0, 2], [2, 1, 0])] == [0, 2, 1]


def test_without_a_gpu_nothing_is_noted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = gpu_check.RECORD.read_text()
    assert gpu_check.main([]) == 2
    assert "nothing was checked" in capsys.readouterr().err
    assert gpu_check.RECORD.read_text() == before


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with a GPU and both backends, of which nothing is run. -> its record"""
    record = tmp_path / "gpu-check.md"
    record.write_text(gpu_check.RECORD.read_text())
    monkeypatch.setattr(gpu_check, "RECORD", record)
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    ready = type("Status", (), {"available": True, "reason": ""})()
    monkeypatch.setattr(gpu_check.tilewise, "backends", lambda: dict.fromkeys(("cuda", "triton", "reference"), ready))
    monkeypatch.setattr(gpu_check.tilewise, "compile_cuda_extension", lambda: None)
    monkeypatch.setattr(gpu_check, "run_tests", lambda jobs: Outcome("7 passed, 0 failed, 0 skipped", 0))
    return record


@pytest.mark.parametrize(("code", "status"), [(0, 0), (FOUND, 1), (3, 2)])
def test_a_run_is_noted_with_its_device(
    on_a_gpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, status: int
) -> None:
    tool = pretend(tmp_path, "echo 'ERROR SUMMARY'; echo SUMMARY:", code)
    monkeypatch.setattr(gpu_check, "find_sanitizer", lambda: tool)
    before = on_a_gpu.read_text()
    assert gpu_check.main(["--jobs", "1"]) == status
    added = on_a_gpu.read_text().removeprefix(before)
    cells = [cell.strip() for cell in added.strip().strip("|").split("|")]
    said = {0: "clean", 1: "FAULTS", 2: "not run: exit code 3"}[status]
    assert cells[1:3] == ["a GPU", torch.__version__]
    assert cells[4:] == ["7 passed, 0 failed, 0 skipped", *[f"cuda {said}; triton {said}"] * len(TOOLS)]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cells[0])


def test_the_program_under_the_tools_runs_every_cuda_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := on_cpu.here():
        pytest.skip(reason)
    monkeypatch.setattr(every_cuda_kernel, "WIDTHS", (24,))
    ran = every_cuda_kernel.run_cuda(on_cpu.CHECKED, torch.device("cpu"))
    assert "keys_backward" in ran
    monkeypatch.setattr(every_cuda_kernel.passes, "add_layer_norm", lambda *given: None)
    with pytest.raises(RuntimeError, match="not run: add_layer_norm"):
        every_cuda_kernel.run_cuda(on_cpu.MACHINE, torch.device("cpu"))


NEVER = {
    "en": "So far it is empty: no GPU has run these kernels.",
    "zh": "表里还没有记录：这些算子还没有在任何 GPU 上运行过。",
}


@pytest.mark.parametrize("page", ["library", "cuda-on-cpu"])
@pytest.mark.parametrize("language", NEVER)
def test_pages_say_never_as_long_as_the_record_is_empty(page: str, language: str) -> None:
    text = " ".join((ROOT / "docs" / f"{page}.{language}.md").read_text(encoding="utf-8").split())
    assert "(../benchmarks/results/gpu-check.md)" in text
    rows = gpu_check.RECORD.read_text(encoding="utf-8").rpartition("|---|\n")[2].strip()
    assert (NEVER[language] in text) == (rows == "")
