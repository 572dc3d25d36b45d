# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelReader, decollate_batch, list_data_collate
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from monai_causal.intervene import (
    Effects,
    ModuleRegions,
    Region,
    Regions,
    RunRecord,
    grid_regions,
    mask_regions,
    module_regions,
)


def made(
    data: Tensor,
    regions: Regions | ModuleRegions | None = None,
    image: Tensor | None = None,
    *,
    vector: bool | None = None,
) -> Effects:
    """Effects ``(items, regions, draws, scores)`` put together by hand; by default over a row of voxels."""
    n_items, n_regions, n_draws, n_scores = data.shape
    if regions is None:
        regions = grid_regions((n_regions, 2), (1, 2))
    if image is None:
        spatial = regions.spatial_shape if isinstance(regions, Regions) else (2, 2)
        image = torch.zeros(n_items, 1, *spatial)
    before = torch.arange(float(n_items * n_scores)).double().reshape(n_items, n_scores) + 0.5
    vector = n_scores > 1 if vector is None else vector
    return Effects(data, before, regions, tuple(range(n_draws)), "unit", vector, image, RunRecord())


def random_data(n_items: int, n_regions: int, n_draws: int, n_scores: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_items, n_regions, n_draws, n_scores, generator=generator, dtype=torch.float64)


def slow_mean(draws: list[float]) -> float:
    return sum(draws) / len(draws)


def slow_error(draws: list[float]) -> float:
    """Standard error with one degree of freedom spent on the mean."""
    mean = slow_mean(draws)
    return (sum((draw - mean) ** 2 for draw in draws) / (len(draws) - 1)) ** 0.5 / len(draws) ** 0.5


def oblique() -> NDArray[np.float64]:
    affine = np.array([[0.6, -0.8, 0, -20], [1.6, 1.2, 0, 7], [0, 0, -2.5, 31], [0, 0, 0, 1]])
    assert np.linalg.det(affine[:3, :3]) < 0
    return affine


# --- statistics


@pytest.mark.parametrize("n_items", [1, 2])
@pytest.mark.parametrize(("n_scores", "vector"), [(1, False), (1, True), (3, True)])
def test_statistics_are_the_slow_ones(n_items: int, n_scores: int, vector: bool) -> None:
    """Axes: items where there are several, regions, draws, scores where the score is a vector."""
    data = random_data(n_items, 4, 5, n_scores)
    effects = made(data, vector=vector)

    def axes(values: Tensor) -> Tensor:
        """(items, ..., scores) -> as the properties are documented."""
        values = values if vector else values[..., 0]
        return values[0] if n_items == 1 else values

    index = list(np.ndindex(n_items, 4, n_scores))
    draws = [data[i, r, :, s].tolist() for i, r, s in index]
    ate, error = (
        torch.tensor(list(map(f, draws)), dtype=torch.float64).reshape(n_items, 4, n_scores)
        for f in (slow_mean, slow_error)
    )
    torch.testing.assert_close(effects.values, axes(data), rtol=0, atol=0)
    torch.testing.assert_close(effects.ate, axes(ate), rtol=0, atol=1e-15)
    torch.testing.assert_close(effects.standard_error, axes(error), rtol=0, atol=1e-15)
    bounds = torch.tensor(
        [stats.t.interval(0.9, 4, loc=slow_mean(d), scale=slow_error(d)) for d in draws], dtype=torch.float64
    ).reshape(n_items, 4, n_scores, 2)
    bounds = bounds if vector else bounds[:, :, 0]
    torch.testing.assert_close(effects.interval(0.9), bounds[0] if n_items == 1 else bounds, rtol=0, atol=1e-12)


def test_statistics_by_hand() -> None:
    """Draws 1, 2, 6: mean 3, variance 7, standard error sqrt(7 / 3); Student's 97.5 % point for 2 is 4.302653."""
    effects = made(torch.tensor([1.0, 2, 6]).double().reshape(1, 1, 3, 1))
    assert effects.ate.tolist() == [3.0]
    assert effects.standard_error.tolist() == [pytest.approx((7 / 3) ** 0.5)]
    half = 4.302652729911275 * (7 / 3) ** 0.5
    assert effects.interval().tolist() == [[pytest.approx(3 - half), pytest.approx(3 + half)]]
    assert effects.interval(0.95).tolist() == effects.interval().tolist()


@pytest.mark.filterwarnings("error")
def test_one_draw_has_no_spread() -> None:
    effects = made(torch.tensor([1.0, 2]).double().reshape(1, 2, 1, 1))
    assert effects.ate.tolist() == [1.0, 2.0]
    assert effects.standard_error.isnan().tolist() == [True, True]
    assert effects.interval().isnan().tolist() == [[True, True]] * 2


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_levels_are_fractions(level: float) -> None:
    with pytest.raises(ValueError, match=f"level={level}: a confidence level lies between 0 and 1, such as 0.95"):
        made(random_data(1, 2, 3, 1)).interval(level)


def test_the_baseline_is_a_number_where_there_is_one() -> None:
    one = made(random_data(1, 2, 1, 1)).baseline
    assert isinstance(one, float)
    assert one == 0.5
    for n_items, n_scores, vector, expected in [
        (2, 1, False, [0.5, 1.5]),
        (1, 2, True, [0.5, 1.5]),
        (1, 1, True, [0.5]),
        (2, 2, True, [[0.5, 1.5], [2.5, 3.5]]),
    ]:
        baseline = made(random_data(n_items, 2, 1, n_scores), vector=vector).baseline
        assert isinstance(baseline, Tensor)
        assert baseline.tolist() == expected


# --- maps


def test_a_map_by_hand() -> None:
    """Means of the draws, painted over their regions: two items, two scores, a voxel in two regions, one in none."""
    regions = mask_regions(torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]]))
    data = torch.tensor([[[[1.0, 10], [3, 30]], [[4, 40], [6, 60]]]]).double()
    effects = made(torch.cat([data, -data]), regions)
    expected = torch.tensor([[[[2, 3.5, 5, 0]], [[20, 35, 50, 0]]]]).double()
    assert torch.equal(effects.to_map(), torch.cat([expected, -expected]))
    error = torch.tensor([1.0, (1 + 1) / 2, 1.0, 0.0]).double()
    torch.testing.assert_close(effects.to_map("standard_error")[0, :, 0], torch.stack([error, 10 * error]))


@pytest.mark.parametrize("n_items", [1, 2])
@pytest.mark.parametrize("n_scores", [1, 3])
def test_any_statistic_of_the_ate_s_shape_can_be_painted(n_items: int, n_scores: int) -> None:
    effects = made(random_data(n_items, 4, 5, n_scores), grid_regions((4, 4), 2))
    assert torch.equal(effects.to_map(effects.ate), effects.to_map())
    assert torch.equal(effects.to_map(effects.standard_error), effects.to_map("standard_error"))
    decisions = effects.ate > 0
    assert torch.equal(effects.to_map(decisions) == 1, effects.to_map() > 0)
    assert set(effects.to_map(decisions).unique().tolist()) == {0.0, 1.0}


def test_only_statistics_can_be_painted() -> None:
    effects = made(random_data(2, 4, 5, 3), grid_regions((4, 4), 2))
    with pytest.raises(ValueError, match=r"statistic has shape \(4, 3\): it must have that of .ate, \(2, 4, 3\)"):
        effects.to_map(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="statistic='median': choose 'ate', 'standard_error' or give one value"):
        effects.to_map("median")  # type: ignore[arg-type]


def test_components_have_no_place_in_the_image() -> None:
    effects = made(random_data(1, 1, 2, 1), module_regions(nn.Sequential(nn.Conv2d(1, 1, 1))))
    with pytest.raises(ValueError, match="effects of network components have no place in the image"):
        effects.to_map()


def test_a_plain_image_has_a_plain_map() -> None:
    painted = made(random_data(1, 4, 2, 1), grid_regions((4, 4), 2)).to_map()
    assert type(painted) is Tensor
    assert painted.dtype == torch.float64


def test_a_meta_tensor_has_a_map_that_lies_on_it() -> None:
    image = MetaTensor(torch.rand(1, 4, 6, 2), affine=oblique(), meta={"subject": "s1"})[None]
    effects = made(random_data(1, 4, 2, 1), grid_regions((4, 6, 2), (2, 3, 2)), image)
    painted = effects.to_map()
    assert isinstance(painted, MetaTensor)
    np.testing.assert_array_equal(painted.affine, oblique())
    assert painted.meta["subject"] == "s1"
    assert painted.shape == (1, 1, 4, 6, 2)
    np.testing.assert_array_equal(painted.as_tensor(), made(effects.data, effects.regions).to_map())
    painted.meta["subject"] = "other"
    assert image.meta["subject"] == "s1"


def test_the_map_of_a_batch_comes_apart_as_the_batch_does() -> None:
    affines = [oblique(), np.diag([1.0, 2, 3, 1])]
    batch = list_data_collate([MetaTensor(torch.rand(1, 2, 2, 2), affine=affine) for affine in affines])
    painted = made(random_data(2, 8, 2, 1), grid_regions((2, 2, 2), 1), batch).to_map()
    assert isinstance(painted, MetaTensor)
    for item, affine in zip(decollate_batch(painted), affines, strict=True):
        np.testing.assert_array_equal(item.affine, affine)


# --- NIfTI


def image_on_disk(folder: Path, shape: tuple[int, ...]) -> Path:
    voxels = np.random.default_rng(0).random(shape).astype(np.float32)
    nib.save(nib.Nifti1Image(voxels, oblique()), folder / "image.nii.gz")
    return folder / "image.nii.gz"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("collated", [False, True])
@pytest.mark.parametrize("n_scores", [1, 3])
def test_a_saved_map_lies_on_its_image(tmp_path: Path, suffix: str, collated: bool, n_scores: int) -> None:
    """Each voxel of the file has the effect of the region at the same place in the world, as nibabel reads both."""
    shape = (4, 6, 3)
    reader = NibabelReader(channel_dim="no_channel")
    voxels, meta = reader.get_data(reader.read(image_on_disk(tmp_path, shape)))
    loaded = MetaTensor(voxels[None], affine=meta["affine"])
    image = list_data_collate([loaded]) if collated else loaded[None]
    regions = grid_regions(shape, (1, 2, 3))
    effects = made(random_data(1, len(regions), 4, n_scores), regions, image)
    path = effects.save(tmp_path / f"map{suffix}")
    assert path == tmp_path / f"map{suffix}"
    original, saved = nib.load(tmp_path / "image.nii.gz"), nib.load(path)
    np.testing.assert_allclose(saved.affine, original.affine, rtol=0, atol=1e-6)
    assert saved.shape == (shape if n_scores == 1 else (*shape, n_scores))
    found = saved.get_fdata().reshape(*shape, n_scores)
    for region in regions:
        (a, _), (c, _), _ = region.box
        expected = effects.data[0, region.id].mean(0).float().numpy()
        np.testing.assert_array_equal(found[a, c : c + 2].reshape(-1, n_scores), np.tile(expected, (6, 1)))


@pytest.mark.parametrize("n_scores", [1, 2])
@pytest.mark.parametrize("affine", [oblique(), np.array([[0, -0.5, 3], [0.25, 0, -4], [0, 0, 1]])], ids=["4x4", "3x3"])
def test_a_picture_becomes_one_slice(tmp_path: Path, n_scores: int, affine: NDArray[np.float64]) -> None:
    image = MetaTensor(torch.rand(1, 2, 3), affine=affine)[None]
    data = torch.arange(6.0 * n_scores).double().reshape(1, 6, 1, n_scores)
    path = made(data, grid_regions((2, 3), 1), image).save(tmp_path / "map.nii")
    saved = nib.load(path)
    full = np.eye(4)
    full[:2, :2], full[:2, 3] = affine[:2, :2], affine[:2, -1]
    if len(affine) == 4:
        full = affine
    np.testing.assert_allclose(saved.affine, full, rtol=0, atol=1e-6)
    assert saved.shape == ((2, 3, 1) if n_scores == 1 else (2, 3, 1, 2))
    np.testing.assert_array_equal(saved.get_fdata().reshape(2, 3, n_scores), data[0, :, 0].reshape(2, 3, n_scores))


def test_other_statistics_can_be_saved(tmp_path: Path) -> None:
    effects = made(random_data(1, 4, 5, 1), grid_regions((2, 2), 1))
    for statistic, expected in (("standard_error", effects.standard_error), (effects.ate > 0, effects.ate > 0)):
        saved = nib.load(effects.save(tmp_path / "map.nii.gz", statistic))
        np.testing.assert_array_equal(saved.get_fdata()[..., 0], expected.float().reshape(2, 2))
        np.testing.assert_array_equal(saved.affine, np.eye(4))


def test_saving_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    effects = made(random_data(1, 4, 5, 1), grid_regions((2, 2), 1))
    (tmp_path / "map.nii").write_text("an older file")
    effects.save(str(tmp_path / "map.nii"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.nii"]
    assert nib.load(tmp_path / "map.nii").shape == (2, 2, 1)


def test_a_failed_save_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(picture: Any, path: Path) -> None:
        Path(path).write_text("half a fi")
        raise OSError("no space left on device")

    (tmp_path / "map.nii").write_text("an older file")
    monkeypatch.setattr(nib, "save", broken)
    with pytest.raises(OSError, match="no space left"):
        made(random_data(1, 4, 5, 1), grid_regions((2, 2), 1)).save(tmp_path / "map.nii")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("map.nii", "an older file")]


@pytest.mark.parametrize("name", ["map.png", "map", "map.nii.zip", "nii"])
def test_a_map_is_saved_as_nifti(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is no NIfTI name: end it in .nii or .nii.gz"):
        made(random_data(1, 4, 5, 1), grid_regions((2, 2), 1)).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_several_items_are_several_files(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="a NIfTI holds one image; these are the effects of 2: ask about one at a time"
    ):
        made(random_data(2, 4, 5, 1), grid_regions((2, 2), 1)).save(tmp_path / "map.nii")


def test_regions_with_masks_are_saved_as_they_lie(tmp_path: Path) -> None:
    mask = torch.tensor([[[True, False]], [[False, True]]])
    regions = Regions((2, 1, 2), (Region(4, ((0, 2), (0, 1), (0, 2)), mask),))
    saved = nib.load(made(torch.full((1, 1, 1, 1), -2.0).double(), regions).save(tmp_path / "map.nii"))
    assert saved.get_fdata().tolist() == [[[-2.0, 0.0]], [[0.0, -2.0]]]
