"""Images into a training: checked, counted once, brought to the recipe's size, kept as long as memory allows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.runtime.image import Image, content_hash, read_image
from sightline.runtime.placement import Placement, place, prepare

SIZE_SAMPLE = 64  # images that are looked at to choose the input's size
CACHE_BYTES = 192 * 2**20
CAP_SHARE, CAP_FLOOR_PX = 0.7, 256  # of the image's own side; never below 256 px
SIZE_STEP_PX = 32  # the trunk's deepest stride
MAX_LARGER = 4  # an image larger than most by more than this factor is a stray from another camera
MIN_GOOD = 5


class TrainingWarning(UserWarning):
    """Something in the training images that a person should look at; the training goes on."""


@dataclass(frozen=True)
class InputSize:
    """A recipe's input in px, and its scale in input px per image px."""

    height: int
    width: int
    scale: float


@dataclass(frozen=True)
class Part:
    """One usable training image: the sample, its content hash, and the index of what it is held out with."""

    sample: Sample
    hash: str
    unit: int


def choose_size(
    shapes: Sequence[tuple[int, int]],
    area_px: int,
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    capped: bool = True,
) -> InputSize:
    """Input size for images (H, W): their aspect, about `area_px` square pixels, multiples of 32.

    Where `capped`, small images are not read at their full size: the last third of a camera's pixels is
    demosaicing, compression and noise (docs/decisions/0002).

    Where sizes vary, the input holds the 95th percentile of them, all at one scale: the same texture must not
    look finer on a smaller image. Strays are passed over.
    """
    sizes = np.asarray(shapes, float)
    usual = sizes[(sizes <= MAX_LARGER * np.median(sizes, axis=0)).all(axis=1)]
    high, wide = np.percentile(usual, 95, axis=0) * (roi[3], roi[2])
    side = float(np.sqrt(high * wide))
    limit = max(CAP_FLOOR_PX, CAP_SHARE * side) if capped else np.inf
    scale = min(float(np.sqrt(area_px)), limit) / side
    height, width = (max(SIZE_STEP_PX, round(side * scale / SIZE_STEP_PX) * SIZE_STEP_PX) for side in (high, wide))
    return InputSize(height, width, min(height / high, width / wide))


def accept(samples: Iterable[Sample], by_unit: bool) -> list[Part]:
    """Samples whose files can be read, each content once. What is left out is warned about, by name."""
    parts: list[Part] = []
    seen: dict[str, Sample] = {}
    units: dict[str, int] = {}
    for sample in samples:
        try:
            digest = content_hash(sample.path)
        except InputError as error:
            _warn(f"left out: {error}")
            continue
        if digest in seen:
            _warn(f"left out: {sample.path} is the same picture as {seen[digest].path}")
            continue
        seen[digest] = sample
        key = (sample.group or sample.lot) if by_unit else None
        unit = units.setdefault(key if key is not None else digest, len(units))
        parts.append(Part(sample, digest, unit))
    return parts


def _warn(text: str) -> None:
    warnings.warn(text, TrainingWarning, stacklevel=3)


class Intake:
    """Prepared images of parts, decoded once where they fit into `CACHE_BYTES`."""

    def __init__(self, parts: Sequence[Part], size: InputSize, roi: tuple[float, float, float, float]) -> None:
        self.parts = list(parts)
        self.size = size
        self._roi = roi
        self._cache: dict[str, tuple[Image, Placement]] = {}
        self._room = CACHE_BYTES
        self.border = 0.0  # largest share of border seen

    def __call__(self, part: Part) -> tuple[Image, Placement] | None:
        """The part's input (height, width, 3) uint8 and its placement; None for a file that is no image, or a stray.

        Such a part is warned about and removed from `parts`.
        """
        kept = self._cache.get(part.hash)
        if kept is not None:
            return kept
        try:
            image, notes = read_image(part.sample.path)
            placement = place(image.shape[:2], (self.size.height, self.size.width), self._roi, self.size.scale)
            _check_scale(part, placement, self.size.scale)
        except InputError as error:
            _warn(f"left out: {error}")
            self.parts.remove(part)
            return None
        for note in notes:
            _warn(note)
        prepared = prepare(image, placement)
        self.border = max(self.border, placement.padded)
        if prepared.nbytes <= self._room:
            self._cache[part.hash] = prepared, placement
            self._room -= prepared.nbytes
        return prepared, placement


def _check_scale(part: Part, placement: Placement, scale: float) -> None:
    (_, _, w, h), (_, _, inner_w, inner_h) = placement.crop, placement.inner
    if MAX_LARGER * min(inner_w / w, inner_h / h) < scale:
        high, wide = placement.image_size
        raise InputError(
            f"{part.sample.path}: {wide} x {high} px is far larger than the other images, so it would be seen at "
            "another scale. Crop it, or train a recipe for its view"
        )


def image_shapes(parts: Sequence[Part], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Sizes (H, W) of up to `SIZE_SAMPLE` readable images."""
    shapes = []
    for index in rng.permutation(len(parts)):
        try:
            shapes.append(read_image(parts[index].sample.path)[0].shape[:2])
        except InputError:
            continue  # warned about when it is its turn
        if len(shapes) == SIZE_SAMPLE:
            break
    if not shapes:
        raise InputError("none of the training images can be read. Check the files; the warnings name them")
    return shapes


def brightened(image: Image, placement: Placement, factor: float) -> Image:
    """A copy in another light: pixels times `factor`; the border stays as it is."""
    copy = image.copy()
    left, top, wide, high = placement.inner
    inner = copy[top : top + high, left : left + wide]
    inner[:] = np.clip(np.rint(inner * np.float32(factor)), 0, 255)
    return copy
