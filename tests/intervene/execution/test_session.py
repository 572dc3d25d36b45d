# SPDX-License-Identifier: Apache-2.0
"""A network is given back as it was found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene.execution.session import Session, is_out_of_memory


def network() -> nn.Sequential:
    """Training, with one part frozen by hand and another that sleeps."""
    made = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2)), nn.ReLU()
    )
    made.train()
    made[1].eval()
    made[2][0].eval()
    return made


def modes(module: nn.Module) -> dict[str, bool]:
    return {name: part.training for name, part in module.named_modules()}


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, torch.OutOfMemoryError])
def test_modes_and_gradients_come_back(error: type[BaseException] | None) -> None:
    net = network()
    before, weights = modes(net), {k: v.clone() for k, v in net.state_dict().items()}
    session = Session(net)

    def ask() -> None:
        with session.borrowed():
            assert not any(modes(net).values())
            assert not torch.is_grad_enabled()
            assert not session(torch.rand(1, 1, 4, 4)).requires_grad
            if error is not None:
                raise error

    if error is None:
        ask()
    else:
        with pytest.raises(error):
            ask()
    assert modes(net) == before
    assert len(set(before.values())) == 2
    assert torch.is_grad_enabled()
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("outer", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_what_comes_out_is_an_ordinary_tensor(outer: Any) -> None:
    session = Session(network())
    with outer():
        with session.borrowed():
            output = session(torch.rand(1, 1, 4, 4))
        assert torch.is_inference_mode_enabled() is (outer is torch.inference_mode)
        assert torch.is_grad_enabled() is (outer is torch.enable_grad)
    assert not output.is_inference()
    assert not output.requires_grad


def test_every_item_of_every_forward_is_counted() -> None:
    plain = Session(lambda batch: batch)
    plain(torch.rand(3, 1, 4, 4))
    plain(torch.rand(2, 1, 4, 4))
    assert plain.forwards == 5
    sliding = Session(lambda batch: batch, SlidingWindowInferer((4, 4), 3, overlap=0))
    sliding(torch.rand(2, 1, 8, 8))
    assert sliding.forwards == 8


def test_what_a_network_writes_into_a_window_stays_there() -> None:
    """A window is a view of the image where windows come one by one, and MONAI weighs answers in place."""
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    before = image.clone()
    found = Session(lambda batch: batch.mul_(2), SlidingWindowInferer((6, 6), 1, overlap=0.5, mode="gaussian"))(image)
    assert torch.equal(image, before)
    torch.testing.assert_close(found, 2 * before, rtol=0, atol=1e-12)


def test_the_segmentation_is_taken_from_what_comes_back() -> None:
    image = torch.rand(1, 1, 4, 4)
    assert torch.equal(Session(lambda batch: {"out": batch + 1, "aux": batch})(image), image + 1)
    assert torch.equal(Session(lambda batch: (batch + 1, batch), SimpleInferer())(image), image + 1)


def test_a_changed_inferer_is_a_copy() -> None:
    inferer = SlidingWindowInferer((4, 4), progress=True)
    changed = Session(lambda batch: batch, inferer).with_inferer(progress=False, with_coord=True)
    assert (changed.progress, changed.with_coord) == (False, True)
    assert (inferer.progress, inferer.with_coord) == (True, False)
    assert changed.roi_size == inferer.roi_size


def test_autocast_is_on_for_the_call_only() -> None:
    net, seen = network(), []

    def spy(batch: Tensor) -> Tensor:
        output = net(batch)
        seen.append(output.dtype)
        return output

    for made, expected in (
        (Session(spy, None, torch.device("cpu"), amp=True), torch.bfloat16),
        (Session(spy), torch.float32),
    ):
        with made.borrowed():
            made(torch.rand(1, 1, 4, 4))
        assert seen.pop() is expected
    assert not torch.is_autocast_enabled("cpu")


class Moving(nn.Module):
    """Says where it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.sent: list[str] = []

    def to(self, device: Any) -> Moving:  # type: ignore[override]
        self.sent.append(str(device))
        return self


def test_a_network_is_moved_and_sent_home() -> None:
    net = Moving()

    def fail() -> None:
        with Session(net, device=torch.device("meta")).borrowed():
            assert net.sent == ["meta"]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert net.sent == ["meta", "cpu"]
    with Session(net, device=torch.device("cpu")).borrowed():
        pass
    assert net.sent == ["meta", "cpu"]
    assert Session(net).device == torch.device("cpu")
    assert Session(lambda batch: batch).device is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_what_counts_as_memory_running_out(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
