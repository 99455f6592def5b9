"""The GPU's benchmark says when there is no GPU, what it times in which dtype, and which bar is missed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("triton", reason="the package triton exists for Linux only")

from benchmarks import gpu

PASSES = {"forward": 1.0, "backward": 1.0}
Printed = pytest.CaptureFixture[str]


def test_without_a_gpu_nothing_is_measured_and_that_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert "nothing was measured" in capsys.readouterr().err


def test_a_backend_without_a_contest_is_refused_by_name(capsys: Printed) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--backend", "torch_fa2"])
    assert "choose from" in capsys.readouterr().err


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, float]]:
    """A machine with a GPU where PyTorch takes a millisecond for everything, and the backends what a test says."""
    found: dict[str, dict[str, float]] = {"triton": dict(PASSES), "cuda": {"forward": 10.0, "backward": 20.0}}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(gpu, "ours", lambda backend: backend)
    monkeypatch.setattr(gpu, "times_ms", lambda attend, shape, dtype: found.get(attend, PASSES))
    status = SimpleNamespace(available=True, reason="")
    monkeypatch.setattr(gpu.tilewise, "backends", lambda: dict.fromkeys(found, status))
    monkeypatch.setattr(gpu, "climb", lambda contest: print(f"rungs of {contest}"))
    return found


@pytest.mark.parametrize(("backward_ms", "status"), [(1.1, 0), (1.2, 1)])
def test_a_missed_bar_is_named_and_no_success(
    times: dict[str, dict[str, float]], capsys: Printed, backward_ms: float, status: int
) -> None:
    times["triton"]["backward"] = backward_ms
    assert gpu.main([]) == status
    printed = capsys.readouterr().out
    assert printed.startswith("a GPU, torch")
    assert printed.count("below 0.9") == (16 if status else 0)


@pytest.mark.usefixtures("times")
def test_each_backend_is_timed_in_a_dtype_that_it_takes(capsys: Printed) -> None:
    """cuda takes no bfloat16, and multiplies without tensor cores: no bar is set for it."""
    assert gpu.main([]) == 0
    _, triton, cuda = capsys.readouterr().out.split("\n\n")
    assert triton.startswith("triton, bfloat16, theirs / ours forward at least 1.0, backward at least 0.9; PyTorch's")
    assert cuda.startswith("cuda, float16, no bar; PyTorch's flash attention in the same dtype")
    assert cuda.count("10.00 ms      1.00 ms") == cuda.count("20.00 ms      1.00 ms") == 8
    assert cuda.endswith("rungs of cuda, float16\n")


@pytest.mark.usefixtures("times")
def test_one_contest_alone_can_be_asked_for(capsys: Printed) -> None:
    assert gpu.main(["--backend", "cuda"]) == 0
    assert "triton" not in capsys.readouterr().out


def test_a_backend_that_cannot_run_is_named_and_no_success(
    times: dict[str, dict[str, float]], monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    ready, missing = SimpleNamespace(available=True, reason=""), SimpleNamespace(available=False, reason="no nvcc")
    monkeypatch.setattr(gpu.tilewise, "backends", lambda: {"triton": ready, "cuda": missing})
    assert gpu.main([]) == 2
    printed = capsys.readouterr()
    assert "cuda, float16: not measured: no nvcc" in printed.err
    assert "triton, bfloat16" in printed.out


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> gpu.Shape:
    """Everything on the CPU and in one size, each run made twice and timed as a millisecond."""
    real = torch.randn
    monkeypatch.setattr(torch, "randn", lambda size, device, **options: real(size, **options))
    monkeypatch.setattr(gpu, "median_ms", lambda run: (run(), run(), 1.0)[-1])
    monkeypatch.setattr(gpu, "TOKENS", 32)
    monkeypatch.setattr(gpu, "MODEL", 128)
    return gpu.Shape(32, 64, True)


@pytest.mark.parametrize("dtype", [contest.dtype for contest in gpu.CONTESTS], ids=str)
def test_both_passes_can_be_timed_again_and_again(small: gpu.Shape, dtype: torch.dtype) -> None:
    """The same graph serves every run of the backward pass."""
    assert gpu.times_ms(gpu.ours("torch_fa2"), small, dtype) == PASSES


@pytest.mark.usefixtures("small")
def test_each_rung_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    """The rungs themselves need a GPU: here their backend only notes which kernel is asked for."""
    asked = []

    def forward(*given: object, kernel: str) -> None:
        asked.append(kernel)

    monkeypatch.setattr(gpu.backends, "load", lambda name: SimpleNamespace(forward=forward))
    monkeypatch.setattr(gpu, "theirs", lambda q, k, v, causal: q)
    gpu.climb(replace(gpu.CONTESTS[1], lengths=(32,)))
    assert asked == [rung for _ in range(4) for rung in ("thread", "warp", "tiled") for _ in range(2)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("ms")[0].split()[-2] for line in lines[-3:]] == ["thread", "warp", "tiled"]
