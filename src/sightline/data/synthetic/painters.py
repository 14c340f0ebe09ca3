"""Synthetic defects on photographs of good parts, for choosing settings and for training; never for certifying.

Six kinds, each from one cause that lines know: a stain (colour), a scratch (thin line), foreign matter (a piece of
another place), a smear (lost detail), a dent (bent detail), and a wrong place (a piece moved or turned).
Sizes and contrasts are drawn log-uniformly, so that most are small or faint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Painter = Callable[[Pixels, Alpha, tuple[int, int, int, int], np.random.Generator], NDArray[np.float32]]

SMALLEST, LARGEST = 0.03, 0.4  # diameter as a share of the shorter side
FAINTEST, STRONGEST = 12.0, 90.0  # grey values
MAX_ATTEMPTS = 20
VISIBLE = 4.0  # grey values: pixels that change by less carry no defect
RIM_DEVIATIONS = 4.0  # robust standard deviations from the rim's colour: farther is the part
PART_SHARES = (0.05, 0.8)  # of the picture: outside, the rim is no background
DETAIL_SHARE = 0.8  # so much of the placement follows the picture's detail, the rest is even


@dataclass(frozen=True)
class Synthetic:
    """An image (H, W, 3) uint8 with one synthetic defect, its mask (H, W) bool, and its kind."""

    image: Pixels
    mask: NDArray[np.bool_]
    kind: str


def draw(image: Pixels, rng: np.random.Generator, kind: str | None = None) -> Synthetic:
    """Draw one defect of `kind` (random where None) on a copy of an image (H, W, 3) uint8.

    The place follows the picture's detail, so that most defects lie on the part, not on its background. A try
    that changes nothing visible (a smear on a plain surface) is repeated elsewhere; the last resort is a stain.
    """
    density = _detail(image)
    for attempt in range(MAX_ATTEMPTS + 1):
        name = "stain" if attempt == MAX_ATTEMPTS else kind or str(rng.choice(list(KINDS)))
        synthetic = _attempt(image, density, name, rng)
        if synthetic.mask.any():
            return synthetic
    # Only an image at the limits of its values in every channel gets here.
    return Synthetic(255 - image, np.ones(image.shape[:2], bool), "stain")


def _attempt(image: Pixels, density: NDArray[np.float64], kind: str, rng: np.random.Generator) -> Synthetic:
    high, wide = image.shape[:2]
    diameter = min(high, wide) * SMALLEST * (LARGEST / SMALLEST) ** rng.random()
    cell = int(np.searchsorted(density.cumsum(), rng.random() * density.sum()))
    row, column = divmod(min(cell, density.size - 1), density.shape[1])
    centre = ((column + rng.random()) * wide / density.shape[1], (row + rng.random()) * high / density.shape[0])
    size = int(max(8, 4 * round(diameter)))
    x, y = (int(np.clip(round(c) - size // 2, 0, max(0, n - size))) for c, n in zip(centre, (wide, high), strict=True))
    box = (x, y, min(size, wide), min(size, high))
    shape, paint = KINDS[kind]
    alpha = shape((box[3], box[2]), (centre[0] - x, centre[1] - y), diameter, rng)
    patch = image[y : y + box[3], x : x + box[2]].astype(np.float32)
    painted = np.clip(patch + alpha[..., None] * (paint(image, alpha, box, rng) - patch), 0, 255)
    result, mask = image.copy(), np.zeros((high, wide), bool)
    result[y : y + box[3], x : x + box[2]] = np.rint(painted)
    changed = np.abs(painted - patch).max(axis=2)
    touched = cv2.morphologyEx(((changed > VISIBLE) & (alpha > 0.1)).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    mask[y : y + box[3], x : x + box[2]] = np.asarray(touched) > 0
    return Synthetic(result, mask, kind)


def _detail(image: Pixels) -> NDArray[np.float64]:
    """How much detail there is, on a grid of 32 cells a side, mixed with an even share; sums to 1."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    cells = np.asarray(cv2.GaussianBlur(cv2.resize(edges, (32, 32), interpolation=cv2.INTER_AREA), (0, 0), 1.5))
    cells = np.minimum(cells, np.quantile(cells, 0.7)).astype(np.float64)  # textures count, single edges do not lead
    density = DETAIL_SHARE * cells / max(float(cells.sum()), 1e-9) + (1 - DETAIL_SHARE) / cells.size
    part = foreground(image)
    return np.asarray(density if part is None else density * part)


def foreground(image: Pixels) -> NDArray[np.float64] | None:
    """What differs from the picture's rim, on a grid of 32 cells a side: 1 or 0; None where no part stands out.

    The rim of a picture is background where it looks the same all around.
    """
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    rim = np.concatenate([small[:3].reshape(-1, 3), small[-3:].reshape(-1, 3),
                          small[:, :3].reshape(-1, 3), small[:, -3:].reshape(-1, 3)])  # fmt: skip
    centre = np.median(rim, axis=0)
    std = np.maximum(1.4826 * np.median(np.abs(rim - centre), axis=0), 4.0)
    far = (np.abs(small - centre) / std).max(axis=2)
    part = cv2.morphologyEx((far > RIM_DEVIATIONS).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    share = float(part.mean())
    if not PART_SHARES[0] < share < PART_SHARES[1]:
        return None
    return (
        np.asarray(cv2.resize(part.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA) > 0.5, np.float64) + 0.02
    )


def blob(shape: tuple[int, int], centre: tuple[float, float], diameter: float, rng: np.random.Generator) -> Alpha:
    """A soft-edged, uneven spot: alpha (h, w) in 0..1."""
    high, wide = shape
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 2.5) ** 0.5
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / stretch
    v = (np.cos(angle) * dy - np.sin(angle) * dx) * stretch
    theta, radius = np.arctan2(v, u), np.hypot(u, v)
    outline = np.ones_like(radius)
    for harmonic in range(2, 6):
        outline += rng.normal(0, 0.25 / harmonic) * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
    soft = max(0.7, diameter * rng.uniform(0.03, 0.2))
    return np.asarray(np.clip((0.5 * diameter * outline - radius) / soft + 0.5, 0, 1), np.float32)


def _line(shape: tuple[int, int], centre: tuple[float, float], diameter: float, rng: np.random.Generator) -> Alpha:
    """A thin, slightly bent line through `centre`: alpha (h, w) in 0..1."""
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.25)
    along = np.linspace(-1, 1, 12) * diameter * rng.uniform(0.6, 1.8)
    across = bend * (along / diameter) ** 2 * diameter
    x = centre[0] + np.cos(angle) * along - np.sin(angle) * across
    y = centre[1] + np.sin(angle) * along + np.cos(angle) * across
    thick = max(1, round(diameter * rng.uniform(0.02, 0.12)))
    canvas = np.zeros(shape, np.uint8)
    points = np.rint(np.stack([x, y], 1) * 16).astype(np.int32)  # 4 fractional bits
    cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 255, thick, cv2.LINE_AA, shift=4)
    return np.asarray(canvas, np.float32) / np.float32(255)


def _tint(image: Pixels, alpha: Alpha, box: tuple[int, int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Another colour, with some of the ground's own detail kept and some grain."""
    x, y, w, h = box
    patch = image[y : y + h, x : x + w].astype(np.float32)
    strength = FAINTEST * (STRONGEST / FAINTEST) ** rng.random()
    shift = strength * rng.choice([-1, 1]) * np.clip(rng.normal(1, 0.3, 3), 0.2, 2)
    if bool(np.abs(patch - patch.mean(2, keepdims=True)).mean() < 2):
        shift[:] = shift.mean()
    keep = rng.uniform(0.4, 1)
    ground = patch.mean((0, 1)) + keep * (patch - patch.mean((0, 1)))
    return np.asarray(ground + shift + rng.normal(0, 3, (h, w, 1)), np.float32)


def _elsewhere(
    image: Pixels, alpha: Alpha, box: tuple[int, int, int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """A piece of another place of the picture, turned and scaled (CutPaste: Li et al., CVPR 2021)."""
    _, _, w, h = box
    high, wide = image.shape[:2]
    centre = (float(rng.uniform(0, wide)), float(rng.uniform(0, high)))
    warp = cv2.getRotationMatrix2D(centre, float(rng.uniform(0, 360)), float(rng.uniform(0.7, 1.4)))
    warp[:, 2] += np.array([w / 2 - centre[0], h / 2 - centre[1]])
    return np.asarray(cv2.warpAffine(image, warp, (w, h), borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _smear(
    image: Pixels, alpha: Alpha, box: tuple[int, int, int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The same place with its detail wiped out."""
    x, y, w, h = box
    patch = image[y : y + h, x : x + w].astype(np.float32)
    sigma = max(1.5, 0.15 * np.sqrt(float(alpha.sum())) * rng.uniform(0.5, 2))
    return np.asarray(cv2.GaussianBlur(patch, (0, 0), float(sigma)), np.float32)


def _dent(image: Pixels, alpha: Alpha, box: tuple[int, int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same place bulged in or out, with a little shade on one side."""
    x, y, w, h = box
    patch = image[y : y + h, x : x + w].astype(np.float32)
    reach = max(1.0, 0.25 * np.sqrt(float(alpha.sum())))
    bump = np.asarray(cv2.GaussianBlur(alpha, (0, 0), reach), np.float32)
    slope_x, slope_y = cv2.Sobel(bump, cv2.CV_32F, 1, 0), cv2.Sobel(bump, cv2.CV_32F, 0, 1)
    steep = max(float(np.hypot(slope_x, slope_y).max()), 1e-6)
    amount = np.float32(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5) * reach / steep)
    rows, columns = np.mgrid[:h, :w].astype(np.float32)
    bent = cv2.remap(patch, columns + amount * slope_x, rows + amount * slope_y, cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
    angle = rng.uniform(0, 2 * np.pi)
    shade = (np.cos(angle) * slope_x + np.sin(angle) * slope_y) / steep * rng.uniform(0, 40)
    return np.asarray(bent + shade[..., None], np.float32)


def _displaced(
    image: Pixels, alpha: Alpha, box: tuple[int, int, int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """The same place moved by up to its own size, mirrored or turned upside down."""
    x, y, w, h = box
    reach = max(3.0, np.sqrt(float(alpha.sum())))
    flip = rng.integers(4)
    if flip < 2:
        return np.asarray(image[y : y + h, x : x + w][:: (-1, 1)[flip], ::-1], np.float32)
    angle, far = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0.3, 1)
    warp = np.array([[1, 0, far * np.cos(angle) - x], [0, 1, far * np.sin(angle) - y]], np.float64)
    return np.asarray(cv2.warpAffine(image, warp, (w, h), borderMode=cv2.BORDER_REFLECT_101), np.float32)


Shape = Callable[[tuple[int, int], tuple[float, float], float, np.random.Generator], Alpha]
KINDS: dict[str, tuple[Shape, Painter]] = {
    "stain": (blob, _tint),
    "scratch": (_line, _tint),
    "foreign matter": (blob, _elsewhere),
    "smear": (blob, _smear),
    "dent": (blob, _dent),
    "wrong place": (blob, _displaced),
}
# Kinds that are alike stay together: what is taught with some groups and judged on another has to generalise.
GROUPS = (("stain", "smear"), ("scratch", "dent"), ("foreign matter", "wrong place"))
