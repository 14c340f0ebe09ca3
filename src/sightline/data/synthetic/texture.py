"""Foreign texture in the shape of Perlin noise, as DRAEM trains on (Zavrtanik et al., ICCV 2021).

There the texture comes from a collection of textures; here from the picture itself, turned and recoloured, or from
noise, so that nothing has to be shipped. The shapes stay on the part and below a share of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.synthetic.donors import Donor
from sightline.data.synthetic.ground import marked, survey
from sightline.data.synthetic.painters import Synthetic, draw
from sightline.imaging.image import Image

TRIES = 12
FINEST = 5  # the grid has 2 ** 0 to 2 ** (FINEST - 1) cells a side
LEVEL, SOFT = 0.5, 0.08  # noise above the level is the defect, over a soft edge
OPACITY = (0.2, 1.0)
MAX, MIN_PX = 0.08, 24  # of the part's area; of the picture's pixels
KIND = "texture"


def lay_texture(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """Patches of another texture on a part (H, W, 3) uint8."""
    part = survey(image).part
    for _ in range(TRIES):
        alpha = _shape(part, rng)
        if alpha is None:
            continue
        foreign = _elsewhere(image, rng) if rng.random() < 0.5 else _noise(image, alpha, rng)
        share = (alpha * rng.uniform(*OPACITY)).astype(np.float32)[..., None]
        after = np.rint(np.clip(image + share * (foreign - image), 0, 255)).astype(np.uint8)
        synthetic = marked(image, after, alpha > 0.2, KIND)
        if synthetic is not None:
            return synthetic
    return draw(image, rng)


def _shape(part: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Alpha (H, W) in 0..1 of some of the noise's hills; None where none fits."""
    rows, columns = (2 ** rng.integers(0, FINEST, 2)).tolist()
    noise = _turned(perlin((part.shape[0], part.shape[1]), (rows, columns), rng), rng)
    alpha = np.clip((noise - LEVEL) / SOFT, 0, 1) * part
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.2).astype(np.uint8), connectivity=8)
    room, hills = MAX * float(part.sum()), []
    for hill in 1 + rng.permutation(count - 1):
        area = int(stats[hill, cv2.CC_STAT_AREA])
        if MIN_PX <= area <= room:
            hills.append(int(hill))
            room -= area
    wanted = hills[: int(rng.integers(1, 4))]  # one to three places
    return np.asarray(alpha * np.isin(labels, wanted), np.float32) if wanted else None


def _turned(noise: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The noise at any angle: its hills follow the grid."""
    high, wide = noise.shape
    warp = cv2.getRotationMatrix2D((wide / 2, high / 2), float(rng.uniform(0, 360)), 1.0)
    return np.asarray(cv2.warpAffine(noise, warp, (wide, high), borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _elsewhere(image: Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """The picture moved far, turned, scaled and recoloured."""
    high, wide = image.shape[:2]
    warp = cv2.getRotationMatrix2D((wide / 2, high / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.5, 2)))
    warp[:, 2] += rng.uniform(-0.4, 0.4, 2) * np.array([wide, high])
    moved = cv2.warpAffine(image, warp, (wide, high), borderMode=cv2.BORDER_REFLECT_101)
    tint = rng.uniform(0.75, 1.3, 3)
    if _is_grey(image):
        tint[:] = tint[0]
    return np.asarray(moved, np.float32) * tint.astype(np.float32)


def _noise(image: Image, alpha: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The colour of the place, changed, with noise of several sizes."""
    shape = (image.shape[0], image.shape[1])
    octaves = (perlin(shape, (cells, cells), rng) / (1 + octave) for octave, cells in enumerate((8, 16, 32, 64)))
    rough = sum(octaves, np.zeros(shape, np.float32))
    colour = image[alpha > 0.2].mean(axis=0) + rng.choice([-1, 1]) * rng.uniform(10, 70) * rng.uniform(0.6, 1.4, 3)
    if _is_grey(image):
        colour[:] = colour.mean()
    return np.asarray(colour + rough[..., None] * rng.uniform(5, 45), np.float32)


def _is_grey(image: Image) -> bool:
    return bool((image == image[..., :1]).all())


def perlin(shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise (H, W) float32 in -1..1, zero at the corners of a grid of `cells` (rows, columns) over the picture.

    A random unit gradient at every corner, their ramps blended by 6t^5 - 15t^4 + 10t^3 (Perlin, Improving Noise,
    SIGGRAPH 2002), times the square root of 2, which is the inverse of the largest value.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1)).astype(np.float32)
    gradients = np.stack([np.sin(angles), np.cos(angles)])
    y, x = (np.arange(side, dtype=np.float32) / np.float32(side) * n for side, n in zip(shape, cells, strict=True))
    row, column = y.astype(int), x.astype(int)
    v, u = (y - row)[:, None], (x - column)[None]
    blend_v, blend_u = v**3 * (v * (6 * v - 15) + 10), u**3 * (u * (6 * u - 15) + 10)

    def ramp(down: int, right: int) -> NDArray[np.float32]:
        rise_y, rise_x = gradients[:, row[:, None] + down, column[None] + right]
        return np.asarray(rise_y * (v - down) + rise_x * (u - right), np.float32)

    upper = ramp(0, 0) + blend_u * (ramp(0, 1) - ramp(0, 0))
    lower = ramp(1, 0) + blend_u * (ramp(1, 1) - ramp(1, 0))
    return np.asarray(np.sqrt(2) * (upper + blend_v * (lower - upper)), np.float32)
