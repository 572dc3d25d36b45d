# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

from monai_causal.apps.medfocus.vlm.inside import attending, watching
from tests.apps.medfocus.vlm import tiny


class Block(nn.Module):
    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return 2 * hidden_states


@pytest.mark.parametrize("named", [True, False])
def test_what_enters_a_block_keeps_its_graph(named: bool) -> None:
    block, x = Block(), torch.ones(3, requires_grad=True)
    with watching(block) as seen:
        entering = 3 * x
        out = block(hidden_states=entering) if named else block(entering)
    block(x)
    assert len(seen) == 1
    assert torch.autograd.grad(out.sum(), seen[0])[0].tolist() == [2, 2, 2]


def test_everything_is_put_back_after_an_error() -> None:
    network = tiny.model("gemma3").network
    block = Block()
    text, vision = network.config.text_config, network.config.vision_config
    before = (text._attn_implementation, vision._attn_implementation)

    def fail() -> None:
        with attending(network), watching(block):
            assert (text._attn_implementation, vision._attn_implementation) == ("eager", before[1])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert before[0] != "eager"
    assert (text._attn_implementation, vision._attn_implementation) == before
    assert not block._forward_pre_hooks
