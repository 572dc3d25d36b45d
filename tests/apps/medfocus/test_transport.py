# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.apps.medfocus.transport_fitted import densest
from monai_causal.apps.medfocus.transport_grid import cost_quantile

ROWS, COLUMNS = np.mgrid[:112, :112]


def scene(dy=0.0, dx=0.0, seed=None):
    """Two dark discs and a bright bar between them on grey, and the masks of the three."""
    left = np.hypot(ROWS - 50 - dy, (COLUMNS - 30 - dx) * 1.4) < 24
    right = np.hypot(ROWS - 50 - dy, (COLUMNS - 82 - dx) * 1.4) < 24
    bar = (np.abs(COLUMNS - 56 - dx) < 4) & (np.abs(ROWS - 55 - dy) < 30)
    image = 0.55 - 0.4 * (left | right) + 0.4 * bar + 0.03 * np.sin(ROWS / 5)
    if seed is not None:
        image = image + 0.05 * np.random.default_rng(seed).standard_normal(image.shape)
    return image, np.stack([left, right, bar])


def box_iou(first, second):
    corners = []
    for mask in (first, second):
        rows, columns = np.nonzero(mask)
        corners.append((rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    (a, b, c, d), (e, f, g, h) = corners
    common = max(min(c, g) - max(a, e), 0) * max(min(d, h) - max(b, f), 0)
    return common / ((c - a) * (d - b) + (g - e) * (h - f) - common)


def published(reference, target, mask, grid):
    """The published implementation, dense, step by step: heat of the mask on the target's grid, and the plan's mass."""
    maps = []
    for image in (reference, target):
        image = (image - image.min()) / (image.max() - image.min())
        maps.append(ndimage.zoom(image, grid / len(image), order=1))
    inside = ndimage.zoom(mask.astype(np.float64), grid / len(mask), order=0) > 0.5
    cells = [np.argwhere(values > 0.02) for values in maps]
    a, b = (values[values > 0.02] / values[values > 0.02].sum() for values in maps)
    squares = ((cells[0][:, None] - cells[1][None]) ** 2).sum(-1)
    kernel = np.exp(-squares / np.percentile(squares, 90) / 0.05)
    u, v = np.ones_like(a), np.ones_like(b)
    for _ in range(500):
        before, u = u, (a / (kernel @ v)) ** (0.1 / 0.15)
        v = (b / (kernel.T @ u)) ** (0.1 / 0.15)
        if np.abs(u - before).sum() < 1e-6:
            break
    plan = u[:, None] * kernel * v
    heat = np.zeros((grid, grid))
    heat[tuple(cells[1].T)] = plan[inside[tuple(cells[0].T)]].sum(0)
    return heat, plan, squares / np.percentile(squares, 90)


@pytest.mark.parametrize("grid", [14, 56])
def test_released_is_the_published_implementation(grid):
    (reference, masks), (target, _) = scene(), scene(4, -3, seed=0)
    fitted = UnbalancedTransport.released(grid=grid).fit(reference, target)
    heat, plan, cost = published(reference, target, masks[0], grid)
    found = fitted.transport(masks[0])
    np.testing.assert_allclose(found.heat[0].numpy(), heat, rtol=0, atol=1e-12)
    assert heat.max() > 1e-4
    assert fitted.mass == pytest.approx(plan.sum(), rel=1e-10)
    assert fitted.cost == pytest.approx((plan * cost).sum(), rel=1e-9)
    order = np.sort(heat.ravel())[::-1]
    needed = np.searchsorted(order.cumsum(), 0.75 * heat.sum()) + 1
    assert int(densest(torch.from_numpy(heat), 0.75).sum()) == needed


@pytest.mark.parametrize("grid", [14, 56])
@pytest.mark.parametrize("objective", ["counting", "product"])
def test_equals_pot(grid, objective):
    pytest.importorskip("ot")
    (reference, masks), (target, _) = scene(), scene(4, -3, seed=0)
    settings = {"grid": grid, "objective": objective}
    ours = UnbalancedTransport.released(**settings).fit(reference, target)
    theirs = UnbalancedTransport.released(**settings, solver="pot", tolerance=1e-9).fit(reference, target)
    heats = [fitted.transport(masks).heat.numpy() for fitted in (ours, theirs)]
    assert theirs.converged
    np.testing.assert_allclose(heats[0], heats[1], rtol=0, atol=1e-7)


def test_onto_itself_every_box_comes_back_and_the_published_readout_loses_them():
    image, masks = scene(seed=1)
    exact = UnbalancedTransport().fit(image, image)
    assert float(exact.displacement.abs().max()) < 1e-6
    assert exact.divergence == pytest.approx(0, abs=1e-9)
    for mask, found in zip(masks, exact.transport(masks).mask.numpy(), strict=True):
        assert np.array_equal(mask, found)
    blurred = UnbalancedTransport.released().fit(image, image).transport(masks).mask.numpy()
    assert box_iou(masks[2], blurred[2]) < 0.6


def test_masks_follow_what_moved():
    (reference, masks), (target, truth) = scene(), scene(6, 4, seed=2)
    fitted = UnbalancedTransport().fit(reference, target)
    moved = fitted.transport(masks).mask.numpy()
    for was, now, found in zip(masks, truth, moved, strict=True):
        overlap = (now & found).sum() / (now | found).sum()
        assert overlap > (now & was).sum() / (now | was).sum() + 0.1
    assert fitted.displacement[0].mean() < 0  # it comes from above
    assert fitted.divergence > 0.01 * fitted.cost


def test_results_lie_on_the_target_whatever_its_shape():
    image, masks = scene()
    wide = np.pad(image, ((0, 0), (20, 30)), constant_values=image.min())
    fitted = UnbalancedTransport().fit(image, wide)
    found = fitted.transport(masks)
    assert found.mask.shape == (3, 112, 162)
    assert found.heat.shape == (3, 56, 56)
    own = UnbalancedTransport().fit(wide, wide).transport(np.pad(masks, ((0, 0), (0, 0), (20, 30))))
    assert np.array_equal(own.mask.numpy()[:, :, 20:132], masks)


def test_a_batch_is_its_items():
    (first, masks), (second, others), (target, _) = scene(), scene(3, 3, seed=3), scene(-3, 2, seed=4)
    transport = UnbalancedTransport(grid=28)
    together = transport.fit([first, second], target)
    found = together.transport([masks, others])
    for index, (image, stack) in enumerate(((first, masks), (second, others))):
        alone = transport.fit(image, target)
        assert alone.mass == pytest.approx(float(together.mass[index]), rel=1e-12)
        assert alone.iterations == int(together.iterations[index])
        torch.testing.assert_close(alone.transport(stack).soft, found.soft[index], rtol=0, atol=1e-6)
    batch = transport.fit(torch.from_numpy(np.stack([first, second]))[:, None], target)
    torch.testing.assert_close(batch.mass, together.mass)


def test_mass_depends_on_the_grid_only_when_it_is_counted():
    (reference, _), (target, _) = scene(), scene(4, -3, seed=0)
    counted, product = (
        [UnbalancedTransport.released(objective=objective, grid=grid).fit(reference, target).mass for grid in (14, 56)]
        for objective in ("counting", "product")
    )
    assert counted[1] > 2 * counted[0]
    assert product[1] == pytest.approx(product[0], rel=0.03)


def test_it_says_when_it_did_not_converge():
    (reference, _), (target, _) = scene(), scene(4, -3, seed=0)
    fitted = UnbalancedTransport(epsilon=1e-4, rho=1.0, iterations=2, grid=28).fit(reference, target)
    assert fitted.converged is False
    assert fitted.residual > 1e-5
    assert np.isfinite([fitted.mass, fitted.cost]).all()


def test_quantile_of_the_distances_is_numpys():
    generator = np.random.default_rng(5)
    on_a, on_b = generator.random((2, 9, 9)) < 0.4
    squares = ((np.argwhere(on_a)[:, None] - np.argwhere(on_b)[None]) ** 2).sum(-1)
    for q in (0.9, 0.37, 0.5):
        assert cost_quantile(on_a, on_b, q) == pytest.approx(np.percentile(squares, 100 * q))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((64, 64), 0.3), "the target: it is blank .all values are 0.3."),
        (np.random.default_rng(0).random((16, 16)), "16 x 16 pixels are fewer than the transport's grid of 56"),
        (np.where(ROWS == 3, np.nan, 1.0 * COLUMNS), "112 of its values are not finite"),
        (np.zeros((3, 64, 64)), r"not \(3, 64, 64\)"),
    ],
)
def test_bad_images(image, message):
    with pytest.raises(ValueError, match=message):
        UnbalancedTransport().fit(scene()[0], image)


def test_bad_masks_and_settings():
    image, masks = scene()
    fitted = UnbalancedTransport(grid=28).fit(image, image)
    with pytest.raises(ValueError, match="do not lie on a reference of 112 x 112"):
        fitted.transport(masks[:, :50])
    with pytest.raises(ValueError, match="2 stacks of masks for 1 references"):
        UnbalancedTransport(grid=28).fit([image], image).transport([masks, masks])
    with pytest.raises(ValueError, match="the list is empty"):
        UnbalancedTransport().fit([], image)
    for wrong, message in (
        ({"solver": "dense"}, "separable, pot"),
        ({"epsilon": 0.0}, "epsilon=0.0"),
        ({"rho": float("inf")}, "rho=inf"),
        ({"grid": 0}, "grid=0"),
        ({"core": 1.5}, "core=1.5"),
        ({"mass": "weight"}, "mass='weight'"),
        ({"solver": "pot", "device": "meta"}, "device='meta'"),
    ):
        with pytest.raises(ValueError, match=message):
            UnbalancedTransport(**wrong)
