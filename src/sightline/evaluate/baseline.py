"""The rule-based baseline: a golden template of the same good parts, to state what a learned recipe gains over it.

As machine vision has done it for decades: per pixel and channel the good parts give a median and a spread (median
absolute deviation, scaled to a standard deviation: F. R. Hampel, "The influence curve and its role in robust
estimation", JASA 69, 1974); a part is judged by how many spreads it lies away. Brightness is evened out first, and
a small shift taken out (C. D. Kuglin and D. C. Hines, "The phase correlation image alignment method", 1975).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.statistics.comparison_tests import Difference, auroc_difference
from sightline.imaging.image import Image, content_hash, read_image
from sightline.runtime.letterbox import fit_letterbox, prepare

MAX_IMAGES = 400  # test images that the template judges, drawn at random: each costs some 20 ms
SIDE_PX = 512  # longest side that images are brought to

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Shift = tuple[float, float]

MIN_TEMPLATES, MAX_TEMPLATES = 3, 64
FLOOR = 4.0  # least spread in grey values, so that a pixel that never changed does not shout
MAX_SHIFT_PX = 8.0  # larger shifts are left in
BOX_PX = 5  # side of the averaging box, odd
TO_DEVIATION = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
STRIP_VALUES = 4_000_000  # values of all templates whose median is taken at a time
SMALLEST_PX = 16  # shorter sides hold too little to find a shift by


@dataclass(frozen=True, slots=True)
class Baseline:
    """The golden template's AUROC and the recipe's, `difference` = recipe - template with its interval.

    `templates` good images made the template; `images` of the `of` test images were judged by both.
    """

    difference: Difference
    templates: int
    images: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "golden_template": self.difference.first,
            "recipe": self.difference.second,
            "gain": self.difference.to_json(),
            "templates": self.templates,
            "images": self.images,
            "of": self.of,
        }


def baseline(images: Sequence[Inspected], references: Iterable[Sample], card: Card) -> Baseline | None:
    """The rule-based figure beside the recipe's; None without enough good references, or with one class only.

    `references` are good parts that the recipe was trained on; others among them are passed over.
    """
    trained = frozenset(card.trained_on)
    good = [sample for sample in references if sample.defective is False]
    chosen: list[Image] = []
    for index in np.random.default_rng(0).permutation(len(good)):
        image = _prepared(good[index].path, card, trained)
        if image is not None:
            chosen.append(image)
        if len(chosen) == MAX_TEMPLATES:
            break
    picked = [images[i] for i in sorted(np.random.default_rng(0).permutation(len(images))[:MAX_IMAGES])]
    if len({image.defective for image in picked}) < 2:
        return None
    try:
        template = GoldenTemplate.fit(chosen)
    except InputError:
        return None
    judged = [(image, template.score(view)) for image in picked if (view := _prepared(image.path, card)) is not None]
    if not judged:
        return None
    found = auroc_difference(
        [score for _, score in judged],
        [image.score for image, _ in judged],
        [image.defective for image, _ in judged],
        groups=[image.group or str(image.path) for image, _ in judged],
    )
    return Baseline(found, template.images, len(judged), len(images))


def _prepared(path: Any, card: Card, trained: frozenset[str] | None = None) -> Image | None:
    """The image as the recipe's input shows it, at most `SIDE_PX` long; None where it is not wanted or has gone."""
    try:
        if trained is not None and content_hash(path) not in trained:
            return None
        image, _ = read_image(path, card.full_scale)
    except (InputError, OSError):
        return None
    # Tiles are pieces of an image: the template sees the whole, small enough to be kept many times.
    factor = min(1.0, SIDE_PX / max(card.height, card.width))
    size = (max(32, round(card.height * factor)), max(32, round(card.width * factor)))
    stretch = card.stretch is not None or card.tiles is not None
    return prepare(image, fit_letterbox(image.shape[:2], size, card.roi, math.inf, stretch))


@dataclass(frozen=True, eq=False)
class GoldenTemplate:
    """The fitted template. `median` (h, w, 3) float32 grey values, `std` (h, w, 3) float32, `images` it rests on."""

    median: Floats = field(repr=False)
    std: Floats = field(repr=False)
    images: int

    @classmethod
    def fit(cls, images: Sequence[Pixels]) -> GoldenTemplate:
        """From good images (h, w, 3) uint8 of one size; the first sets pose and brightness.

        Raises InputError for fewer than 3 images, or images of different sizes or kinds.
        """
        if len(images) < MIN_TEMPLATES:
            raise InputError(f"{len(images)} good images make no template. Give at least {MIN_TEMPLATES}.")
        for image in images:
            _check(image, images[0].shape)
        golden, level = _grey(images[0]), _level(images[0])
        aligned = [np.rint(_aligned(image, golden, level)[0]).astype(np.uint8) for image in images]
        median, std = _statistics(aligned)
        return cls(median, np.maximum(std, np.float32(FLOOR)), len(images))

    def heat(self, image: Pixels) -> Floats:
        """How many spreads each pixel of the image lies away, (h, w) float32 >= 0, averaged over the box.

        The worst channel counts; what the alignment moved in from outside the image is 0. In the image's own
        pixels. Raises InputError for another size or kind than the template's.
        """
        _check(image, self.median.shape)
        moved, (dx, dy) = _aligned(image, self._grey, self._level)
        away = (np.abs(moved - self.median) / self.std).max(axis=2)
        away[~_inside(away.shape, (dx, dy))] = 0.0
        mean = cv2.blur(away, (BOX_PX, BOX_PX), borderType=cv2.BORDER_REPLICATE)
        back = _moved(np.asarray(mean, np.float32), (-dx, -dy), cv2.BORDER_CONSTANT)
        return np.maximum(back, np.float32(0.0))

    def score(self, image: Pixels) -> float:
        """One number, higher = more defective: the heat's peak in spreads. Errors as `heat`."""
        return float(self.heat(image).max())

    @cached_property
    def _grey(self) -> Floats:
        return _grey(self.median)

    @cached_property
    def _level(self) -> float:
        return _level(self.median)


def _statistics(images: list[Pixels]) -> tuple[Floats, Floats]:
    """Median and spread (h, w, 3) float32 over the images, a strip of rows at a time."""
    height, width, channels = images[0].shape
    rows = max(1, STRIP_VALUES // (len(images) * width * channels))
    median = np.empty(images[0].shape, np.float32)
    std = np.empty_like(median)
    for top in range(0, height, rows):
        strip = np.stack([image[top : top + rows] for image in images]).astype(np.float32)
        middle = np.median(strip, axis=0)
        median[top : top + rows] = middle
        std[top : top + rows] = TO_DEVIATION * np.median(np.abs(strip - middle), axis=0)
    return median, std


def _aligned(image: Pixels, golden: Floats, level: float) -> tuple[Floats, Shift]:
    """The image (h, w, 3) float32 at the template's brightness and position, and the shift (dx, dy) px of its move."""
    # A bright image cut off at 255 stays so: template and part must saturate alike.
    evened = np.clip(image.astype(np.float32) * np.float32(level / _level(image)), 0.0, 255.0)
    shift = _shift(_grey(evened), golden)
    return _moved(evened, shift, cv2.BORDER_REPLICATE), shift


def _shift(grey: Floats, golden: Floats) -> Shift:
    """The move (dx, dy) px of `grey` (h, w) that fits `golden` best; none where it does not help or is too large."""
    height, width = grey.shape
    if min(height, width) < SMALLEST_PX:
        return 0.0, 0.0
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    # Copies, because OpenCV multiplies the window into its inputs themselves where their size suits its FFT.
    (dx, dy), _ = cv2.phaseCorrelate(golden.copy(), grey.copy(), window)
    if not np.hypot(dx, dy) <= MAX_SHIFT_PX:
        return 0.0, 0.0
    # The peak says little of how well images fit, and its fraction of a px errs on smooth ones: what counts is
    # what remains after the move, over the px that every candidate knows.
    margin = int(np.ceil(max(abs(dx), abs(dy)))) + 1
    inner = (slice(margin, -margin), slice(margin, -margin))
    if 2 * margin >= min(height, width):
        return 0.0, 0.0
    candidates = [(0.0, 0.0), (-float(round(dx)), -float(round(dy))), (-dx, -dy)]
    left = [np.abs(_moved(grey, move, cv2.BORDER_REPLICATE) - golden)[inner].mean() for move in candidates]
    return candidates[int(np.argmin(left))]


def _moved(image: Floats, shift: Shift, border: int) -> Floats:
    """The image with its content moved by (dx, dy) px."""
    if shift == (0.0, 0.0):
        return image
    warp = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=border), np.float32)


def _inside(size: tuple[int, ...], shift: Shift) -> NDArray[np.bool_]:
    """Which px (h, w) bool of a moved image come from inside it."""
    (height, width), (dx, dy) = size, shift
    rows, columns = np.arange(height) - dy, np.arange(width) - dx
    return ((rows >= 0) & (rows <= height - 1))[:, None] & ((columns >= 0) & (columns <= width - 1))[None]


def _grey(image: NDArray[np.uint8] | Floats) -> Floats:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def _level(image: NDArray[np.uint8] | Floats) -> float:
    """Mean grey value, at least 1, so that a black image is not divided by nothing."""
    return max(1.0, float(_grey(image).mean()))


def _check(image: Pixels, shape: tuple[int, ...]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"an image is {image.shape} {image.dtype}. Give (h, w, 3) uint8 in RGB.")
    if image.shape != shape:
        sizes = f"{image.shape[1]} x {image.shape[0]} px but the first {shape[1]} x {shape[0]} px"
        raise InputError(f"an image is {sizes}. Bring all images to one size.")
