"""Donors: real defects that people marked on training parts, cut out to be put on others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Rectangle
from sightline.core.sample import TRAIN, Sample
from sightline.data.synthetic.ground import Ground, survey
from sightline.imaging.image import Image, find_full_scale, read_image
from sightline.imaging.mask import read_mask

MARGIN = 0.25  # of the defect's longer side: what is cut out around it
MIN_PX = 9  # smaller marks are slips of the hand
MAX_PER_PART = 8  # separate marks of one part, largest first
UNTYPED = "defect"


@dataclass(frozen=True)
class Donor:
    """A real defect with some surroundings: image (h, w, 3) uint8, mask (h, w) bool, and its type.

    `depth` says how deep inside its part it lies, 0 at the edge to 1; `outward` the direction to that edge in radians;
    `solid` the share of the mask that does not look like background, as a gap or a broken edge does.
    """

    image: Image
    mask: NDArray[np.bool_]
    type: str
    depth: float
    outward: float
    solid: float

    @classmethod
    def cut(cls, image: Image, mask: NDArray[np.bool_], type: str, ground: Ground | None = None) -> Donor:
        """Cut a marked defect (H, W) bool out of an image (H, W, 3) uint8. Raises InputError for an empty mask."""
        if mask.shape != image.shape[:2] or not mask.any():
            raise InputError(f"a mask {mask.shape} that is empty or of another size cuts nothing out. Mark the defect")
        ground = ground or survey(image)
        # What is marked was part of the part, also where the background shows now.
        whole = Ground.of(ground.part | mask, ground.stands_out)
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        margin = max(4, round(MARGIN * max(w, h)))
        rows = slice(max(0, y - margin), y + h + margin)
        columns = slice(max(0, x - margin), x + w + margin)
        return cls(
            image[rows, columns].copy(),
            mask[rows, columns].copy(),
            type,
            float(np.median(whole.depth[mask])),
            whole.outward(x + w / 2, y + h / 2),
            float(ground.part[mask].mean()),
        )


def collect(samples: Iterable[Sample], most: int = 200) -> list[Donor]:
    """Up to `most` donors from the marked defects of training samples; boxes are no marks of a defect's shape.

    Each separate mark is one donor; types are taken in turn, so that none is left out for want of room. Where some of
    the training parts are held out (folds), leave those out, too. Files that cannot be read are passed over: training
    names them. Raises InputError for a sample that is not of the training part.
    """
    found: list[Donor] = []
    samples = list(samples)
    full_scale = find_full_scale(sample.path for sample in samples)[0]
    for sample in _in_turn(samples):
        if len(found) >= most:
            break
        try:
            image, _ = read_image(sample.path, full_scale)
            marks = _marks(sample, image.shape[:2])
        except InputError:
            continue
        ground = survey(image)
        found += [Donor.cut(image, mask, name, ground) for name, mask in marks]
    return found[:most]


def _in_turn(samples: Iterable[Sample]) -> list[Sample]:
    """Marked defective samples, one of each type after the other."""
    counts: Counter[tuple[str, ...]] = Counter()
    turns: list[tuple[int, Sample]] = []
    for sample in samples:
        if sample.split != TRAIN:
            raise InputError(
                f"{sample.path}: is not a training part, so its defects may not be learned from. Give dataset.train"
            )
        if sample.defective and (sample.mask or sample.regions):
            turns.append((counts[sample.types], sample))
            counts[sample.types] += 1
    return [sample for _, sample in sorted(turns, key=lambda turn: turn[0])]


def _marks(sample: Sample, size: tuple[int, int]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Types and masks (H, W) of a sample's separate marks, largest first."""
    shapes = [region for region in sample.regions if not isinstance(region.shape, Rectangle)]
    marks = [(region.type, region.mask(*size)) for region in shapes]
    if sample.mask is not None and not sample.regions:
        whole = read_mask(sample.mask, size)
        count, labels = cv2.connectedComponents(whole.astype(np.uint8), connectivity=8)
        named = sample.types[0] if sample.types else UNTYPED
        marks = [(named, np.asarray(labels == number)) for number in range(1, count)]
    fit = [(name, mask) for name, mask in marks if mask.shape == size and mask.sum() >= MIN_PX]
    return sorted(fit, key=lambda mark: -int(mark[1].sum()))[:MAX_PER_PART]
