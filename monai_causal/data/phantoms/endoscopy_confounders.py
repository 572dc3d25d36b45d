# SPDX-License-Identifier: Apache-2.0
"""What may disturb an endoscopy phantom besides its finding: twelve named ways to take the picture, each graded.

Each disturbance is a function of (image, severity, seed), where the seed says where strands, drops and highlights lie
and along which direction the camera moves or the light falls. At severity 0 nothing is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.fft import dctn, idctn

from monai_causal.data.phantoms.fields import Field, smoothstep, stream, value_noise

__all__ = ["CONFOUNDERS", "COVERS", "GEOMETRIC", "LARGEST_ZOOM", "compress", "disturb", "zoom"]

CONFOUNDERS: dict[str, str] = {
    "white_light": "white-light imaging",
    "motion_blur": "motion blur",
    "compression": "compression artifacts",
    "bright": "bright lighting",
    "dim": "dim lighting",
    "uneven": "uneven lighting",
    "narrow_band": "narrow-band imaging",
    "close_up": "a close-up view",
    "distant": "a distant view",
    "mucus": "mucus",
    "blood": "blood",
    "reflection": "specular reflection",
}
"""The confounder's values and how an English caption calls each. ``white_light`` is the neutral one."""

GEOMETRIC = ("close_up", "distant")
"""Those that move labels and maps, by :func:`zoom`; the others leave them as they are."""

COVERS = {"mucus": 0.35, "blood": 0.25, "reflection": 0.05}
"""Those that lie on the scene, and the fraction of the image that each covers at severity 1, soft edge included."""

LARGEST_ZOOM = 1.5
BLOCK = 8  # pixels, of the compression
NARROW_BAND = np.array([[0.26, 0.36, 0.10], [0.16, 0.78, 0.05], [0.10, 0.50, 0.30]])
# an orthonormal colour space, luma first: compression spares it more than the two colour differences
LUMA = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]]) / np.sqrt(np.array([[3.0], [2.0], [6.0]]))


def zoom(confounder: str, severity: float) -> float:
    """How many times larger than under white light the scene appears.

    >>> zoom("close_up", 1.0), round(zoom("distant", 1.0), 2), zoom("blood", 1.0)
    (1.5, 0.67, 1.0)
    """
    exponent = {"close_up": severity, "distant": -severity}.get(confounder, 0.0)
    return float(LARGEST_ZOOM**exponent)


def disturb(image: Field, confounder: str, severity: float, seed: int) -> Field:
    """What reaches the camera, (3, H, W): all but the zoom and the compression, which come before and after it."""
    act = DISTURBANCES.get(confounder)
    return image if act is None or severity == 0 else act(image, severity, seed)


def bright(image: Field, severity: float, seed: int) -> Field:
    """More light, and a curve that lifts the dark parts."""
    return (1.0 + 0.35 * severity) * (image + 0.5 * severity * (np.sqrt(np.maximum(image, 0.0)) - image))


def dim(image: Field, severity: float, seed: int) -> Field:
    """Less light, and a curve that sinks the dark parts."""
    return (1.0 - 0.5 * severity) * (image + 0.6 * severity * (image * image - image))


def uneven(image: Field, severity: float, seed: int) -> Field:
    """Light that falls off across the image, along a direction of the seed's."""
    down, right = heading(seed, "uneven")
    rows, columns = (axis / np.abs(axis).max() for axis in axes_of(image))
    slope = (down * rows[:, None] + right * columns) / (abs(down) + abs(right))
    return image * (1.0 + 0.85 * severity * slope)


def narrow_band(image: Field, severity: float, seed: int) -> Field:
    """Green and blue light alone, as displayed: the pink turns to a greenish grey, vessels stay dark."""
    mix = np.eye(3) + severity * (NARROW_BAND - np.eye(3))
    return np.stack([sum(mix[out, channel] * image[channel] for channel in range(3)) for out in range(3)])


def motion_blur(image: Field, severity: float, seed: int) -> Field:
    """The mean along a straight path of up to 0.14 of the shorter side, its direction the seed's."""
    sides = image.shape[1:]
    path = 0.14 * severity * min(sides)
    reach = int(path / 2) + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    down, right = heading(seed, "motion")
    beyond = np.maximum(np.abs(down * y + right * x) - path / 2, 0.0)  # along the path, past its end
    weights = np.clip(1.0 - np.hypot(right * y - down * x, beyond), 0.0, 1.0)
    weights /= weights.sum()
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    blurred = np.zeros_like(image)
    for row, column in np.argwhere(weights):
        blurred += weights[row, column] * padded[:, row : row + sides[0], column : column + sides[1]]
    return blurred


def mucus(image: Field, severity: float, seed: int) -> Field:
    """Whitish-yellow strands that let some of the scene through."""
    along_level = -np.abs(noise(image, seed, "mucus", (2, 5)) + 0.3 * noise(image, seed, "mucus fine", 9))
    veil = 0.5 + 0.5 * noise(image, seed, "mucus veil", 4)
    strands = cover(along_level, COVERS["mucus"] * severity, 0.15)
    return paint(image, (0.6 + 0.35 * veil) * min(1.0, 2.5 * severity) * strands, (0.90, 0.86, 0.66))


def blood(image: Field, severity: float, seed: int) -> Field:
    """Dark red drops with streaks that run down from them."""
    drops = noise(image, seed, "blood", 4) + 0.45 * noise(image, seed, "blood fine", 13)
    streaks = noise(image, seed, "blood streaks", (2, 12))
    film = cover(drops + 0.6 * streaks, COVERS["blood"] * severity, 0.15)
    return paint(image, 0.9 * min(1.0, 2.0 * severity) * film, (0.34, 0.03, 0.03))


def reflection(image: Field, severity: float, seed: int) -> Field:
    """Small saturated highlights, in flocks."""
    glints = noise(image, seed, "reflection", 16) + 0.6 * noise(image, seed, "reflection flocks", 4)
    return paint(image, min(1.0, 2.0 * severity) * cover(glints, COVERS["reflection"] * severity, 0.1), (1.0, 1.0, 1.0))


DISTURBANCES: dict[str, Callable[[Field, float, int], Field]] = {
    act.__name__: act for act in (bright, dim, uneven, narrow_band, motion_blur, mucus, blood, reflection)
}


def compress(image: Field, severity: float) -> Field:
    """Cosine transform of blocks of 8 x 8 pixels, its coefficients rounded, the finer and the colours more coarsely."""
    if severity == 0:
        return image
    height, width = image.shape[1:]
    padded = np.pad(image, ((0, 0), (0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    blocks = recolour(LUMA, padded).reshape(3, padded.shape[1] // BLOCK, BLOCK, padded.shape[2] // BLOCK, BLOCK)
    order = np.arange(BLOCK, dtype=np.float64)
    step = severity * (0.16 + 0.12 * (order[:, None] + order))[:, None, :]  # (BLOCK, 1, BLOCK)
    steps = np.stack([step, 2.0 * step, 2.0 * step])[:, None]
    rounded = np.round(dctn(blocks, axes=(2, 4), norm="ortho") / steps) * steps
    restored = idctn(rounded, axes=(2, 4), norm="ortho").reshape(padded.shape)
    return recolour(LUMA.T, restored)[:, :height, :width]


def recolour(matrix: Field, image: Field) -> Field:
    """``matrix`` applied to the colours of (3, H, W)."""
    return np.stack([sum(row[channel] * image[channel] for channel in range(3)) for row in matrix])


def axes_of(image: Field) -> list[Field]:
    """Coordinates of rows and columns, in shorter sides from the middle."""
    height, width = image.shape[1:]
    return [(np.arange(length) - (length - 1) / 2) / min(height, width) for length in (height, width)]


def noise(image: Field, seed: int, purpose: str, across: int | tuple[int, int]) -> Field:
    """Smooth noise, (H, W) in [-1, 1], with so many lattice cells (per axis) across the shorter side."""
    per_axis = (across, across) if isinstance(across, int) else across
    height, width = image.shape[1:]
    sides = [np.arange(length) / min(height, width) for length in (height, width)]
    coordinates = [count * side for count, side in zip(per_axis, sides, strict=True)]
    return value_noise(stream(seed, purpose), [int(axis[-1]) + 1 for axis in coordinates], coordinates)


def cover(field: Field, fraction: float, soft: float) -> Field:
    """(H, W) in [0, 1]: above 0 on that fraction of the pixels where ``field`` is largest, rising over ``soft``."""
    return smoothstep((field - np.quantile(field, 1.0 - fraction)) / soft)


def paint(image: Field, opacity: Field, colour: tuple[float, float, float]) -> Field:
    """``colour`` laid over the image."""
    return image + opacity * (np.array(colour)[:, None, None] - image)


def heading(seed: int, purpose: str) -> tuple[float, float]:
    """A direction of the seed's, as (rows, columns) of length 1."""
    angle = 2.0 * math.pi * stream(seed, purpose).random()
    return math.sin(angle), math.cos(angle)
