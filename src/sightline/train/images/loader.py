"""Images into a training: checked, counted once, brought to the recipe's size, kept as long as memory allows."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np

from sightline.core.errors import InputError, warn_caller
from sightline.core.sample import Sample
from sightline.imaging.image import Image, content_hash, find_full_scale, read_image
from sightline.runtime.alignment import Golden, Warp, align
from sightline.runtime.appearance import Look, look
from sightline.runtime.letterbox import Letterbox, fit_letterbox, prepare
from sightline.runtime.tiling import cut, lay_tiles, onto_canvas

SIZE_SAMPLE = 64  # images that are looked at to choose the input's size
CACHE_BYTES = 192 * 2**20
MAX_LARGER = 4  # an image larger than most by more than this factor is a stray from another camera
MAX_LOOKS = 1000  # pictures whose look is kept, 4 KB each
MIN_GOOD = 5
MIN_INPUT_PX = 32

Box = tuple[int, int, int, int]  # x, y, width, height px


class TrainingWarning(UserWarning):
    """Something in the training images that a person should look at; the training goes on."""


@dataclass(frozen=True)
class InputSize:
    """A recipe's input in px, and its scale in input px per image px.

    `overlap` is None where the input holds the whole image; else the input is one tile, and neighbouring tiles share
    at least that many px. `stretch` brings every image to the input's own shape.
    """

    height: int
    width: int
    scale: float
    overlap: int | None = None
    stretch: bool = False


@dataclass(frozen=True)
class Part:
    """One usable training image: the sample, its content hash, and the index of what it is held out with.

    `full_scale` is the value that is white in the set's images of 16 bits; None where there are none. `counted` is the
    physical part that the picture shows, by default its unit: pictures of one part count once in every bound. `shape`
    is the picture's height and width in px, None where it was not read yet.
    """

    sample: Sample
    hash: str
    unit: int
    full_scale: int | None = None
    counted: int = -1
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.counted < 0:
            object.__setattr__(self, "counted", self.unit)


@dataclass(frozen=True)
class Prepared:
    """A part as the graph sees it: `images` (K, height, width, 3) uint8 and the placement of each.

    K is 1 where the input holds the whole image, else the number of its tiles. `warp` (2, 3) takes px of the aligned
    image to those of the file, None where nothing was aligned: what people marked is moved by it.
    """

    images: Image
    letterboxes: tuple[Letterbox, ...]
    warp: Warp | None = None

    def __len__(self) -> int:
        return len(self.images)

    def some(self, count: int, turn: int = 0) -> Iterator[tuple[Image, Letterbox]]:
        """At most `count` of the images and their placements, dealt out by `turn`.

        Turns 0, 1, 2, ... go through one shuffled order of the tiles, so that parts with equally many tiles together
        show every place before any place comes twice.
        """
        order = np.random.default_rng(len(self)).permutation(len(self))
        for index in sorted(np.roll(order, -turn * count)[:count]):
            yield self.images[index], self.letterboxes[index]


def choose_size(
    shapes: Sequence[tuple[int, int]],
    area_px: int,
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    step_px: int = 32,
) -> InputSize:
    """Input size for images (H, W): their aspect, about `area_px` square pixels, multiples of
    `step_px`, the backbone's. Small images are enlarged: cells are then smaller on the part (docs/decisions/0046).

    Where sizes vary, the input holds the 95th percentile of them, all at one scale: the same texture must not
    look finer on a smaller image. Strays are passed over.
    """
    sizes = np.asarray(shapes, float)
    default = sizes[(sizes <= MAX_LARGER * np.median(sizes, axis=0)).all(axis=1)]
    high, wide = np.percentile(default, 95, axis=0) * (roi[3], roi[2])
    scale = float(np.sqrt(area_px / (high * wide)))
    least = math.ceil(MIN_INPUT_PX / step_px) * step_px
    height, width = (max(least, round(side * scale / step_px) * step_px) for side in (high, wide))
    return InputSize(height, width, min(height / high, width / wide))


def stretched_size(
    shapes: Sequence[tuple[int, int]],
    area_px: int,
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    step_px: int = 32,
) -> InputSize:
    """Input size for images (H, W) that are stretched to it: as `choose_size`, for the median image."""
    high, wide = np.median(np.asarray(shapes, float), axis=0)
    return replace(choose_size([(int(high), int(wide))], area_px, roi, step_px), stretch=True)


def accept(samples: Iterable[Sample], keys: Iterable[str | None] | None = None) -> list[Part]:
    """Samples whose files can be read, each content once. What is left out is warned about, by name.

    `keys` name what each sample is held out with, None for itself alone; without any, all are.
    """
    parts: list[Part] = []
    by_hash: dict[str, Sample] = {}
    units: dict[str, int] = {}
    given = repeat(None) if keys is None else keys
    for sample, key in zip(samples, given, strict=keys is not None):
        try:
            digest = content_hash(sample.path)
        except InputError as error:
            warn(f"left out: {error}")
            continue
        if digest in by_hash:
            other = by_hash[digest]
            labels = [(one.defective, one.types, one.grade) for one in (sample, other)]
            differs = ", but their labels differ: correct one of them" if labels[0] != labels[1] else ""
            warn(f"left out: {sample.path} is the same picture as {other.path}{differs}")
            continue
        by_hash[digest] = sample
        unit = units.setdefault(digest if key is None else f"named {key}", len(units))
        parts.append(Part(sample, digest, unit))
    full_scale, deep, most = find_full_scale(part.sample.path for part in parts)
    if full_scale is None:
        return parts
    warn(
        f"{deep} of {len(parts)} images have 16 bits per channel, with values up to {most:,}: {full_scale:,} "
        f"({full_scale.bit_length()} bits) counts as white, in this recipe and on its line"
    )
    return [replace(part, full_scale=full_scale) for part in parts]


def warn(text: str) -> None:
    """Tell a person about training images that need a look."""
    warn_caller(text, TrainingWarning)


class ImageLoader:
    """Prepared images of parts, decoded once where they fit into `CACHE_BYTES`."""

    def __init__(
        self,
        parts: Sequence[Part],
        size: InputSize,
        roi: tuple[float, float, float, float],
        golden: Golden | None = None,
        told: set[str] | None = None,
    ) -> None:
        self.parts = list(parts)
        self.size = size
        self._roi = roi
        self.golden = golden
        self._told = set() if told is None else told  # what was warned about, so that it is said once
        self._cache: dict[str, Prepared] = {}
        self._room = CACHE_BYTES
        self.border = 0.0  # largest share of border seen
        self.aspects = (math.inf, 0.0)  # narrowest and widest width / height seen
        self.counts: set[int] = set()  # of images per part that were seen
        self.looks: dict[str, Look] = {}  # of the first pictures, by hash

    def __call__(self, part: Part) -> Prepared | None:
        """The part's input or tiles; None for a file that is not an image, or a stray.

        Such a part is warned about and removed from `parts`.
        """
        cached = self._cache.get(part.hash)
        if cached is not None:
            return cached
        try:
            image, notes = read_image(part.sample.path, part.full_scale)
            if self.golden is not None:
                aligned = align(image, self.golden)
                image, notes = aligned.image, notes + tuple(f"{part.sample.path}: {note}" for note in aligned.notes)
            prepared, border, seen = self._prepare(part, image)
            if self.golden is not None:
                prepared = replace(prepared, warp=aligned.warp)
        except InputError as error:
            self._warn_once(f"left out: {error}")
            self.parts.remove(part)
            return None
        for note in notes:
            self._warn_once(note)
        self.border = max(self.border, border)
        self.counts.add(len(prepared))
        if len(self.looks) < MAX_LOOKS:
            self.looks[part.hash] = look(*seen)
        if prepared.images.nbytes <= self._room:
            self._cache[part.hash] = prepared
            self._room -= prepared.images.nbytes
        return prepared

    def rest(self) -> None:
        """Let the images go; a part that comes again is decoded again."""
        self._cache.clear()
        self._room = CACHE_BYTES

    def _warn_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            warn(text)

    def _prepare(self, part: Part, image: Image) -> tuple[Prepared, float, tuple[Image, Box]]:
        """The part's images, the share of border around it, and the whole with its place in it."""
        size, scale = (self.size.height, self.size.width), self.size.scale
        if self.size.overlap is None:
            letterbox = fit_letterbox(image.shape[:2], size, self._roi, scale, self.size.stretch)
            _check_scale(part, letterbox, scale)
            aspect = image.shape[1] / image.shape[0]
            self.aspects = min(aspect, self.aspects[0]), max(aspect, self.aspects[1])
            images = prepare(image, letterbox)[None]
            return Prepared(images, (letterbox,)), letterbox.padded, (images[0], letterbox.inner)
        tiling = lay_tiles(image.shape[:2], size, self.size.overlap, self._roi, scale)
        indices = range(len(tiling))
        canvas = onto_canvas(image, tiling)
        placed = tuple(tiling.letterbox(index) for index in indices)
        return Prepared(cut(canvas, tiling, indices), placed), tiling.whole.padded, (canvas, tiling.whole.inner)


def _check_scale(part: Part, letterbox: Letterbox, scale: float) -> None:
    (_, _, w, h), (_, _, inner_w, inner_h) = letterbox.crop, letterbox.inner
    if MAX_LARGER * min(inner_w / w, inner_h / h) < scale:
        high, wide = letterbox.image_size
        raise InputError(
            f"{part.sample.path}: {wide} x {high} px is far larger than the other images, so it would be seen at "
            "another scale. Crop it, or train a recipe for its view"
        )


def image_shapes(parts: Sequence[Part], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Sizes (H, W) of up to `SIZE_SAMPLE` readable images, which are read where no part tells its own."""
    shapes = []
    for index in rng.permutation(len(parts)):
        try:
            part = parts[index]
            shapes.append(part.shape or read_image(part.sample.path, part.full_scale)[0].shape[:2])
        except InputError:
            continue  # warned about when it is its turn
        if len(shapes) == SIZE_SAMPLE:
            break
    if not shapes:
        raise InputError("none of the training images can be read. Check the files; the warnings name them")
    return shapes


def brightened(image: Image, letterbox: Letterbox, factor: float) -> Image:
    """A copy in another light: pixels times `factor`; the border stays as it is."""
    copy = image.copy()
    left, top, wide, high = letterbox.inner
    inner = copy[top : top + high, left : left + wide]
    inner[:] = np.clip(np.rint(inner * np.float32(factor)), 0, 255)
    return copy


# Freed memory, given back to the system between the stages of a training.


def release_memory() -> None:
    """Hand freed heap pages back, where the C library is glibc; elsewhere nothing is done.

    A stage frees hundreds of small blocks of several hundred KB, which the next stage's large ones do not fit
    between, so without this every stage adds its peak to those before it (glibc manual, malloc_trim).
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
