# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from monai_causal.networks.blocks import selective_scan as module
from monai_causal.networks.blocks.selective_scan import CHUNK, SelectiveScan, selective_scan

Parts = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def parts(
    length: int, batch: int = 2, channels: int = 6, groups: int = 2, states: int = 3, dtype: torch.dtype = torch.float64
) -> Parts:
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    # Slow states, so that what is handed from chunk to chunk matters over many of them.
    delta = 0.002 + 0.05 * torch.rand(batch, channels, length, generator=generator, dtype=torch.float64).to(dtype)
    A = -torch.rand(channels, states, generator=generator, dtype=torch.float64).to(dtype)
    B, C = normal(batch, groups, states, length), normal(batch, groups, states, length)
    return normal(batch, channels, length), delta, A, B, C, normal(channels)


def slow(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> np.ndarray:
    """One position after the other, one channel after the other, as the equations stand."""
    u, delta, A, B, C, D = (part.double().numpy() for part in (u, delta, A, B, C, D))
    out = np.zeros(u.shape)
    in_a_group = u.shape[1] // B.shape[1]
    for item in range(u.shape[0]):
        for channel in range(u.shape[1]):
            group, state = channel // in_a_group, np.zeros(A.shape[1])
            for t in range(u.shape[2]):
                step = delta[item, channel, t]
                state = np.exp(step * A[channel]) * state + step * B[item, group, :, t] * u[item, channel, t]
                out[item, channel, t] = C[item, group, :, t] @ state + D[channel] * u[item, channel, t]
    return out


@pytest.mark.parametrize("length", [1, 5, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 7, 9 * CHUNK])
def test_the_scan_is_the_slow_one(length: int) -> None:
    given = parts(length)
    expected = slow(*given)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(selective_scan(*given), expected, rtol=0, atol=1e-12)


def test_single_precision_is_near_double() -> None:
    found = selective_scan(*parts(3 * CHUNK + 5, dtype=torch.float32))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, slow(*parts(3 * CHUNK + 5, dtype=torch.float32)), rtol=0, atol=2e-5)


def test_half_precision_is_computed_in_single() -> None:
    halves = tuple(part.bfloat16() for part in parts(CHUNK + 3))
    found = selective_scan(*halves)
    assert found.dtype == torch.float32
    assert torch.equal(found, selective_scan(*(part.float() for part in halves)))


def test_gradients_are_those_of_small_differences() -> None:
    given = tuple(part.requires_grad_() for part in parts(CHUNK + 6, batch=1, channels=2, groups=1, states=2))
    assert torch.autograd.gradcheck(selective_scan, given)


def test_steps_in_python_do_not_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen times the length: as many steps through positions, and four more doublings of two joins each."""
    counted = []
    exp, cat = torch.exp, torch.cat
    monkeypatch.setattr(torch, "exp", lambda x: counted.append("exp") or exp(x))
    monkeypatch.setattr(torch, "cat", lambda *x, **options: counted.append("cat") or cat(*x, **options))
    found = {}
    for chunks in (4, 64):
        counted.clear()
        module._chunked_scan(*parts(chunks * CHUNK, batch=1, channels=2, groups=1, states=2)[:5])
        found[chunks] = (counted.count("exp"), counted.count("cat"))
    assert found == {4: (2 * CHUNK + 1, 5), 64: (2 * CHUNK + 1, 13)}


def test_it_is_one_operator() -> None:
    torch.library.opcheck(
        torch.ops.monai_causal.selective_scan.default,
        tuple(part.requires_grad_() for part in parts(CHUNK + 2, batch=1, channels=2, groups=1, states=2)[:5]),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_its_operations_are_counted() -> None:
    with FlopCounterMode(display=False) as counter:
        selective_scan(*parts(10))
    assert counter.get_total_flops() == 9 * 2 * 6 * 10 * 3


def test_the_kernel_takes_the_place_on_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(*_: Tensor) -> Tensor:
        raise AssertionError("the kernel was called")

    monkeypatch.setattr(module, "_kernel", lambda: kernel)
    given = parts(8)
    np.testing.assert_allclose(selective_scan(*given), slow(*given), rtol=0, atol=1e-12)


def test_the_kernel_is_found_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = ModuleType("mamba_ssm.ops.selective_scan_interface")
    interface.selective_scan_fn = slow
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name != "mamba_ssm" else interface)
    module._kernel.cache_clear()
    assert module._kernel() is slow
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    module._kernel.cache_clear()
    assert module._kernel() is None
    module._kernel.cache_clear()


@pytest.mark.skipif(
    importlib.util.find_spec("mamba_ssm") is None or not torch.cuda.is_available(),
    reason="mamba_ssm and a GPU are needed",
)
def test_the_kernel_gives_the_same() -> None:
    given = parts(5 * CHUNK + 7, dtype=torch.float32)
    found = selective_scan(*(part.cuda() for part in given)).cpu()
    np.testing.assert_allclose(found, slow(*given), rtol=0, atol=1e-4)


def test_what_is_read_off_the_sequence() -> None:
    """The layer once more, with matrices: each direction has its own."""
    torch.manual_seed(0)
    layer = SelectiveScan(channels=4, states=3, rank=2, directions=2).double()
    sequences = torch.randn(2, 2, 4, 9, dtype=torch.float64)
    with torch.no_grad():
        layer.skip.normal_()
        layer.log_decay.normal_()
        found = layer(sequences)
        for direction in range(2):
            u = sequences[:, direction]
            read = layer.read[direction] @ u
            steps = torch.log1p(torch.exp(layer.step[direction] @ read[:, :2] + layer.step_bias[direction][:, None]))
            own = slice(4 * direction, 4 * direction + 4)
            B, C = read[:, None, 2:5], read[:, None, 5:8]
            expected = slow(u, steps, -torch.exp(layer.log_decay[own]), B, C, layer.skip[own])
            np.testing.assert_allclose(found[:, direction], expected, rtol=0, atol=1e-12)


def test_where_it_begins() -> None:
    """As in Mamba: states decay at rates 1, 2, ..., steps lie between a thousandth and a tenth, all input goes past."""
    layer = SelectiveScan(channels=50, states=4, rank=3, directions=2)
    steps = torch.nn.functional.softplus(layer.step_bias)
    assert 0.00099 < steps.min() < 0.005
    assert 0.05 < steps.max() < 0.101
    torch.testing.assert_close(layer.log_decay.exp(), torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(100, 4))
    assert torch.equal(layer.skip, torch.ones(100))
