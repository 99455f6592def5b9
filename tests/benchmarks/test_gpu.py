"""The GPU's benchmark says when there is no GPU, and which bar is missed."""

from __future__ import annotations

import sys

import pytest
import torch

pytest.importorskip("triton", reason="the package triton exists for Linux only")

from benchmarks import gpu


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])


def test_without_a_gpu_nothing_is_measured_and_that_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 2
    assert "nothing was measured" in capsys.readouterr().err


@pytest.mark.parametrize(("backward_ms", "status"), [(1.1, 0), (1.2, 1)])
def test_a_missed_bar_is_named_and_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], backward_ms: float, status: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    times = {gpu.theirs: {"forward": 1.0, "backward": 1.0}}
    monkeypatch.setattr(
        gpu, "times_ms", lambda attend, shape: times.get(attend, {"forward": 1.0, "backward": backward_ms})
    )
    assert gpu.main() == status
    printed = capsys.readouterr().out
    assert "a GPU, torch" in printed
    assert printed.count("below 0.9") == (16 if status else 0)


def test_both_passes_can_be_timed_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same graph serves every run of the backward pass."""
    real = torch.randn
    monkeypatch.setattr(torch, "randn", lambda size, device, **options: real(size, **options))
    monkeypatch.setattr(gpu, "median_ms", lambda run: (run(), run(), 1.0)[-1])
    monkeypatch.setattr(gpu, "TOKENS", 32)
    monkeypatch.setattr(gpu, "MODEL", 64)
    assert gpu.times_ms(gpu.ours("torch_fa2"), gpu.Shape(32, 64, True)) == {"forward": 1.0, "backward": 1.0}
