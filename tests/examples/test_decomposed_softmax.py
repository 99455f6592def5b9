"""The demonstration runs as it is shown, and can fail."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from examples import decomposed_softmax as demo
from tilewise.parts import SoftmaxPart

SCRIPT = Path(demo.__file__)


def drawn() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(demo.ROWS, demo.COLUMNS, generator=generator) for _ in range(2)]


def test_it_runs_from_anywhere_and_both_comparisons_hold(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    title, *compared = done.stdout.splitlines()
    assert title == "x1, x2: 16 x 1024, float32, block = 8"
    assert [line.split(": ")[1].split(",")[0] for line in compared] == ["True", "True"]


def test_a_merge_that_does_not_rescale_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_they_are(a: SoftmaxPart, b: SoftmaxPart) -> SoftmaxPart:
        return SoftmaxPart(torch.maximum(a.m, b.m), a.l + b.l, torch.cat([a.f, b.f], dim=-1))

    assert demo.compare_softmax(*drawn()).ok
    monkeypatch.setattr(demo, "merge_softmax", as_they_are)
    assert not demo.compare_softmax(*drawn()).ok


def test_attention_inside_its_own_block_only_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    x1, x2 = drawn()
    assert demo.compare_attention(x1, x2, x2, demo.BLOCK).ok
    monkeypatch.setattr(demo, "flash", lambda q, k, v, block: demo.standard(q, k[:block], v[:block]))
    assert not demo.compare_attention(x1, x2, x2, demo.BLOCK).ok
