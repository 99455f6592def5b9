"""The examples of the library run from anywhere and show what they say; those of Triton in a process of their own."""

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

import tilewise
from examples import cuda_encoder, cuda_times, decoding, encoder_layer, flash_module

ROOT = Path(decoding.__file__).parents[1]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="the package triton exists for Linux only")
PUZZLES = """
import torch
from examples.puzzles import long_softmax, scalar_flash
from tilewise import oracle
from tilewise.testing import compare

long_softmax.main()
scalar_flash.main()

holds = []
for rows, columns in ((1, 1), (3, 31), (5, 40)):
    x = torch.randn(rows, columns, device=long_softmax.DEVICE)
    x[0, ::2] = -torch.inf
    x[-1, : columns - 1] = -torch.inf
    usual = (x > -torch.inf).any(dim=-1)
    for b0, b1 in ((1, 1), (4, 16), (16, 64)):
        z = long_softmax.softmax(x, b0=b0, b1=b1)
        plain = torch.softmax(x, dim=-1)
        holds.append(compare(z[usual].cpu(), oracle.softmax(x)[usual].cpu(), plain[usual].cpu()).ok)
for n, t in ((1, 1), (65, 3), (3, 65)):
    q, k, v = (torch.randn(size, device=scalar_flash.DEVICE) for size in (n, t, t))
    holds.append(scalar_flash.compare_attention(q, k, v).ok)
print("sizes and masks:", holds)
"""


@pytest.fixture(scope="module")
def puzzles() -> list[str]:
    """Run the puzzles in a process of their own: Triton asks once, as it is imported, whether to interpret."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PUZZLES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def verdicts(lines: list[str]) -> dict[str, bool]:
    """Give what each line found that compares something."""
    compared = [line.split(": ", 1) for line in lines if ", off by " in line]
    return {name: found.startswith("True") for name, found in compared}


def shown(example: ModuleType, capsys: pytest.CaptureFixture) -> list[str]:
    """Run an example, and give the lines that it prints."""
    example.main()
    return capsys.readouterr().out.splitlines()


def test_decoding_in_any_number_of_splits_is_attention(capsys: pytest.CaptureFixture) -> None:
    assert verdicts(shown(decoding, capsys)) == {f"{n} splits": True for n in (1, 4, 1000)}


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU this example compiles for it, in a minute or so")
def test_a_layer_attends_by_the_cuda_kernels_executed_here(capsys: pytest.CaptureFixture) -> None:
    status = tilewise.backends()["cuda_cpu"]
    if not status.available:
        pytest.skip(status.reason)
    lines = shown(cuda_encoder, capsys)
    assert "cannot be compiled here" in lines[0]
    assert lines[1].startswith("backend cuda_cpu: output (2, 10, 512)")
    assert verdicts(lines) == {"encoder layer": True}
    assert lines[-3].endswith("takes torch_fa2")
    assert lines[-1].startswith("  not cuda: ")


def test_the_times_say_on_what_they_were_measured_and_what_was_not(capsys: pytest.CaptureFixture) -> None:
    cuda_times.main(["--length", "16", "--heads", "1", "--backend", "cpp", "--causal"])
    lines = capsys.readouterr().out.splitlines()
    assert "float32, (B, H, N, D) = (1, 1, 16, 64), causal: True" in lines[0]
    assert lines[1] == "forward pass, median of 11 runs after 3"
    assert any(line.startswith("not timed: backend 'cpp'") for line in lines)
    assert {line[:20].strip() for line in lines if line.endswith(" ms")} >= {"standard attention", "torch's own"}


def test_the_modules_agree_where_the_published_one_goes_wrong(capsys: pytest.CaptureFixture) -> None:
    found = verdicts(shown(flash_module, capsys))
    assert len(found) == 5
    assert all(found.values())


def test_a_layer_and_a_model_take_our_attention(capsys: pytest.CaptureFixture) -> None:
    lines = shown(encoder_layer, capsys)
    assert "output: (2, 10, 512), weights: (2, 10, 10)" in lines
    assert "replaced: layers.0.self_attn, layers.1.self_attn" in lines
    assert verdicts(lines) == {"layer, by hand": True, "model, by a call": True}


@needs_triton
def test_the_puzzles_are_right_and_show_where_known_answers_are_not(puzzles: list[str]) -> None:
    assert verdicts(puzzles) == {
        "logits around 0, maximum started at -inf": True,
        "logits around 0, maximum started at 0": True,
        "logits around -1000, maximum started at -inf": True,
        "logits around -1000, maximum started at 0": False,
        "scores of -1 and below, hidden is -inf": True,
        "scores of -1 and below, hidden is -1e+06": True,
        "scores of -1e+07 and below, hidden is -inf": True,
        "scores of -1e+07 and below, hidden is -1e+06": False,
    }


@needs_triton
def test_the_puzzles_hold_for_any_sizes_and_for_rows_that_are_masked(puzzles: list[str]) -> None:
    assert puzzles[-1] == f"sizes and masks: {[True] * 12}"


def test_a_split_that_is_weighed_like_any_other_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilewise.inference.merge_attention", lambda o, lse: (o.mean(dim=0), lse.logsumexp(dim=0)))
    assert decoding.compare_decoding(1).ok
    assert not decoding.compare_decoding(4).ok


def test_a_module_with_another_scale_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flash_module.compare_modules(False, None, torch.float32).ok
    forward = flash_module.FlashAttention.forward
    monkeypatch.setattr(flash_module.FlashAttention, "forward", lambda self, x, *rest: forward(self, x * 1.001, *rest))
    assert not flash_module.compare_modules(False, None, torch.float32).ok


def test_a_layer_with_other_weights_is_noticed() -> None:
    layer = torch.nn.TransformerEncoderLayer(encoder_layer.WIDTH, encoder_layer.HEADS, batch_first=True)
    ours, x = encoder_layer.swapped_by_hand(layer), torch.randn(1, 3, encoder_layer.WIDTH)
    assert encoder_layer.compare_models(ours, layer, x).ok
    with torch.no_grad():
        ours.self_attn.in_proj_weight.mul_(1 + math.ulp(1.0) * 1e12)
    assert not encoder_layer.compare_models(ours, layer, x).ok
