# SPDX-License-Identifier: Apache-2.0
"""On a real CT, stored with its axes permuted and flipped: the map lies where the cause lies in the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from monai_causal.apps.explain import Request, explain
from tests.apps.explain.bundles import state, volume_bundle

EDGES = (12, 8, 12)
SHIFT = 48.0  # millimetres to the right


def _beside_bright_tissue(volume: Any) -> tuple[tuple[int, int], ...]:
    """A box SHIFT to the right of the box of bright tissue (bone, vessels) that is brightest throughout."""
    bright = ndimage.uniform_filter((np.asarray(volume.dataobj) > 54).astype(float), EDGES)
    step = np.linalg.inv(volume.affine)[:3, :3] @ [SHIFT, 0, 0]
    reach = [edge // 2 + int(np.ceil(abs(by))) for edge, by in zip(EDGES, step, strict=True)]
    inner = tuple(slice(r, n - r) for r, n in zip(reach, bright.shape, strict=True))
    centre = np.array(np.unravel_index(bright[inner].argmax(), bright[inner].shape)) + reach + step
    starts = (centre - np.array(EDGES) / 2).round().astype(int).tolist()
    return tuple((start, start + edge) for start, edge in zip(starts, EDGES, strict=True))


@pytest.mark.real
def test_the_map_of_a_ct_lies_on_it(real_data: Path, tmp_path: Path) -> None:
    stored = nib.load(real_data / "volumes" / "example_ct_sm.nii.gz")
    ornt = nib.orientations.axcodes2ornt(("P", "S", "L"))
    turned = stored.as_reoriented(nib.orientations.ornt_transform(nib.orientations.io_orientation(stored.affine), ornt))
    nib.save(turned, tmp_path / "ct.nii.gz")
    bundle = volume_bundle(tmp_path / "bundle", (12, 0, 0), (4.0, 4.0, 4.0), (40, 40, 16))
    before = state(bundle)
    roi = _beside_bright_tissue(turned)
    out = tmp_path / "out"
    explain(
        Request(
            out,
            tmp_path / "ct.nii.gz",
            bundle=bundle,
            roi=roi,
            patch_size=(8,),
            rule="paper",
            n_samples=8,
            device="cpu",
        )
    )
    assert state(bundle) == before
    written = nib.load(out / "map.nii.gz")
    heat = np.asarray(written.dataobj)
    assert heat.shape == turned.shape
    np.testing.assert_allclose(written.affine, turned.affine)
    corners = np.array([[span[0] for span in roi], [span[1] - 1 for span in roi]])
    read = nib.affines.apply_affine(turned.affine, corners) - [SHIFT, 0, 0]
    low, high = read.min(0), read.max(0)
    where = nib.affines.apply_affine(written.affine, np.argwhere(heat))
    # A region of 8 voxels of 4 mm reaches 28 mm beyond the voxel by which it meets what is read, and 4 for rounding.
    assert len(where)
    assert (where >= low - 32).all()
    assert (where <= high + 32).all()
    inside = ((where >= low) & (where <= high)).all(1)
    assert inside.sum() > 0.5 * np.prod((high - low) / 3 + 1)
