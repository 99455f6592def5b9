"""What is special about the backend triton; what every backend must do is in tests/tilewise/test_backends.py."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewise
from tests.tilewise.answers import Problem, by_module, wrong_parts
from tilewise import backends
from tilewise.spec import Spec
from tilewise.testing import AttentionCase

triton = pytest.importorskip("triton", reason="the package triton exists for Linux only")

from tilewise.backends import triton as backend  # noqa: E402
from tilewise.backends.triton import versions  # noqa: E402

SPEC = Spec(scale=1.0)
MIXED = AttentionCase("causal window, grouped heads", n_q=45, n_k=70, heads=2, h_kv=1, causal=True, window=40)


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_both_versions_of_the_kernels_live_in_one_process() -> None:
    compiled, interpreted = versions.kernels(False), versions.kernels(True)
    for name in compiled.__all__:
        assert isinstance(getattr(compiled, name), triton.runtime.JITFunction)
        assert isinstance(getattr(interpreted, name), triton.runtime.interpreter.InterpretedFunction)


def test_tritons_setting_is_put_back() -> None:
    versions.kernels(True)
    assert "TRITON_INTERPRET" not in os.environ
    assert not triton.knobs.runtime.interpret
    assert isinstance(triton.jit(test_tritons_setting_is_put_back), triton.runtime.JITFunction)


def test_tritons_language_is_put_back_after_a_kernel_has_been_interpreted() -> None:
    places = (triton.language, triton.language.core, triton.language.math, triton.language.tensor)
    before = [{name: getattr(place, name) for name in dir(place)} for place in places]
    by_module(backend, Problem.of(MIXED))
    assert [{name: getattr(place, name) for name in dir(place)} for place in places] == before


def test_several_threads_may_call_it_at_once() -> None:
    """The interpreter changes Triton's language while it runs a kernel: other threads found it half changed."""
    q, k, v = MIXED.draw()

    def attend(_: int) -> torch.Tensor:
        return tilewise.attention(q, k, v, causal=True, backend="triton")

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(attend, range(32)))
    assert all(torch.equal(answer, attend(0)) for answer in answers)


@pytest.mark.parametrize("setting", ["0", "1"])
def test_a_user_may_have_made_either_choice_for_triton(setting: str) -> None:
    program = """
import torch, triton, tilewise
q, k, v = torch.randn(3, 1, 2, 20, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
for backend in ("triton", "reference"):
    o = tilewise.attention(q, k, v, causal=True, backend=backend)
    print(f"{o.sum().item():.3f} {torch.autograd.grad(o.square().sum(), q)[0].norm().item():.3f}")
"""
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TRITON_INTERPRET": setting},
        capture_output=True,
        text=True,
        check=True,
    )
    of_triton, of_reference = printed.stdout.splitlines()
    assert of_triton == of_reference


def test_the_interpreter_is_chosen_by_the_device_and_by_tritons_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions.is_interpreted(torch.device("cpu"))
    assert not versions.is_interpreted(torch.device("cuda"))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert versions.is_interpreted(torch.device("cuda"))


def test_the_status_says_how_kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert tilewise.backends()["triton"].reason == "Triton, in its interpreter (no GPU here)"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    assert tilewise.backends()["triton"].reason.startswith("Triton, compiled for H100")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert tilewise.backends()["triton"].reason == "Triton, in its interpreter (TRITON_INTERPRET is set)"


@pytest.mark.parametrize(
    ("q", "why"),
    [
        (torch.empty(1, 1, 4, 8, dtype=torch.float64), "float32, which is not enough for float64"),
        (torch.empty(1, 1, 4, 8, dtype=torch.bfloat16), "bits of bfloat16"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(q: torch.Tensor, why: str) -> None:
    assert why in str(backend.cannot(q, q, SPEC))
    with pytest.raises(backends.BackendError, match=why):
        tilewise.attention(q, q, q, backend="triton")


def test_other_devices_are_refused() -> None:
    q = SimpleNamespace(dtype=torch.float32, device=torch.device("mps"), shape=(1, 1, 4, 8))
    assert "on CUDA devices, and on the CPU in Triton's interpreter, not on mps" in str(backend.cannot(q, q, SPEC))


@pytest.mark.parametrize(
    ("capability", "width", "why"),
    [((7, 5), 64, "8.0 and above, not 7.5"), ((9, 0), 257, "at most 256 features, not 257"), ((9, 0), 256, "None")],
)
def test_what_a_gpu_cannot_do_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], width: int, why: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    narrow, wide = (
        SimpleNamespace(dtype=torch.bfloat16, device=torch.device("cuda"), shape=(1, 1, 4, d)) for d in (8, width)
    )
    assert why in str(backend.cannot(narrow, wide, SPEC))


def test_an_interpreter_that_does_not_get_on_with_numpy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(versions.triton, "__version__", "3.6.0")
    monkeypatch.setattr(versions.numpy, "__version__", "2.4.1")
    assert "install triton 3.7 or later" in tilewise.backends()["triton"].reason
    assert not tilewise.backends()["triton"].available
    monkeypatch.setattr(versions.numpy, "__version__", "2.3.5")
    assert tilewise.backends()["triton"].available


@pytest.mark.parametrize("blocks", [(16, 64), (64, 16), (32, 32), (128, 128)])
def test_block_sizes_change_nothing_but_rounding(blocks: tuple[int, int]) -> None:
    problem = Problem.of(MIXED)
    assert wrong_parts(problem, by_module(backend, problem, blocks)) == {}


@pytest.mark.parametrize("size", [8, 24, -16])
def test_a_block_size_that_triton_cannot_have_is_refused(size: int) -> None:
    q = torch.zeros(1, 1, 4, 8)
    with pytest.raises(ValueError, match=f"block_k must be a power of two from 16 for the backend triton, got {size}"):
        backend.forward(q, q, q, SPEC, block_k=size)


@settings(max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    window=st.tuples(*2 * [st.none() | st.integers(0, 50)]),
    causal=st.booleans(),
)
def test_tiles_that_are_cut_by_a_bound_are_told_from_whole_and_hidden_ones(
    sizes: tuple[int, int], window: tuple[int | None, int | None], causal: bool
) -> None:
    case = AttentionCase("drawn", n_q=sizes[0], n_k=sizes[1], d=4, window=window, causal=causal)
    problem = Problem.of(case)
    assert wrong_parts(problem, by_module(backend, problem, (16, 16))) == {}


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # there are such rows, and they are not looked at
def test_hidden_tiles_are_never_read() -> None:
    """NaN in the keys of a hidden tile would reach o through 0 * NaN, and in its queries dk and dv."""
    q, k, v, do = torch.randn(4, 1, 1, 64, 16, generator=torch.Generator().manual_seed(0))
    spec = Spec(
        scale=0.25, left=15, right=0
    )  # with blocks of 16, a block of queries sees its own keys and those before
    k[:, :, 32:], v[:, :, 32:] = torch.nan, torch.nan
    o, lse = backend.forward(q, k, v, spec, block_q=16, block_k=16)
    assert o[:, :, :32].isfinite().all()
    assert o[:, :, 32:].isnan().all()
    q[:, :, 32:], do[:, :, 32:] = torch.nan, torch.nan
    dq, dk, dv, _ = backend.backward(do, None, q, k, v, o, lse, spec, mask_grad=False, block_q=16, block_k=16)
    assert dq[:, :, :32].isfinite().all()
    assert dk[:, :, :16].isfinite().all()
    assert dv[:, :, :16].isfinite().all()


def test_the_gradient_of_o_may_have_any_strides() -> None:
    problem = Problem.of(AttentionCase("one do for all", n_q=20, n_k=33, heads=2))
    o, lse = backend.forward(problem.q, problem.k, problem.v, problem.spec)
    layouts = (torch.ones(1).expand(o.shape), torch.ones_like(o), torch.ones(o.mT.shape).mT)
    of_layouts = [
        backend.backward(do, None, problem.q, problem.k, problem.v, o, lse, problem.spec, mask_grad=False)
        for do in layouts
    ]
    for gradients in of_layouts[1:]:
        for first, other in zip(of_layouts[0][:3], gradients[:3], strict=True):
            assert torch.equal(first, other)


@pytest.mark.parametrize("dropout_p", [1e-12, 0.3, 0.7, 1 - 2**-40])
def test_dropout_drops_the_elements_that_every_backend_drops(dropout_p: float) -> None:
    """With values that are the identity, o is the dropped weights. 32 bits of hash, compared without a sign."""
    q, k = torch.randn(2, 2, 3, 40, 8, generator=torch.Generator().manual_seed(0))
    v = torch.eye(40).expand(2, 3, 40, 40)
    spec = Spec(scale=1.0, dropout_p=dropout_p, dropout_seed=2**31 - 1)
    o, _ = backend.forward(q, k, v, spec)
    expected, _ = backends.load("reference").forward(q, k, v, spec)
    assert torch.equal(o == 0, expected == 0)


def test_nothing_overflows_on_the_way() -> None:
    """NumPy would warn: -inf - -inf, the logarithm of 0, an exponential of rows and columns that are only padding."""
    cases = [
        AttentionCase("empty rows", n_q=40, n_k=20, causal=True),
        AttentionCase("lse far below zero", n_q=19, n_k=21, shift=-1e4),
        AttentionCase("softcap", n_q=19, n_k=21, softcap=2.0, spread=1e4),
        AttentionCase("a bool mask", n_q=19, n_k=21, mask="random"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for case in cases:
            by_module(backend, Problem.of(case), (16, 16))
