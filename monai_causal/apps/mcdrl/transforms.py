# SPDX-License-Identifier: Apache-2.0
"""What a bundle needs between the network and MONAI's own transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import MapTransform

from monai_causal.networks.nets.mcdrl import MCDRLOutput

__all__ = ["Logitsd"]


class Logitsd(MapTransform):
    """Of what an MCDRL returns in training, the logits; plain logits stay as they are.

    They belong to a batch: a trainer with this in its post-processing has ``decollate=False``.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            output = result[key]
            if isinstance(output, MCDRLOutput):
                result[key] = output.logits.detach()
        return result
