"""Image statistics: what is kept of each image of a set after one look, a few kilobytes whatever its size.

These are prints to find it again by (digest, perceptual hash, small grey copy), measures of the photograph, and an
embedding. Images are decoded a few ahead and let go, so memory stays bounded.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.sample import Sample, readable_name
from sightline.imaging.image import Image, find_full_scale, read_bytes, read_encoded

THUMB_PX = 64
HASH_SIDE = 8  # signs of the grey gradients of an 8 x 8 grid in both directions: 128 bits

# Measures mean nothing alone: what is sharp or bright depends on the product. They are compared within a set.
MAX_PX = 4_000_000  # a larger image is measured on a copy: blur that matters is seen there, too
BLACK, WHITE = 2, 253  # grey values that a sensor gives when it is under or over its range
GLARE = 250  # all colours above: a mirror of the lamp, not a light colour
GLARE_PX = 5  # a glare spot is at least this wide at 512 px; single white pixels are noise or texture

DETAIL = ("detail_0", "detail_45", "detail_90", "detail_135")  # degrees from x, downwards
MEASURES = ("brightness", "contrast", "sharpness", *DETAIL, "dark", "bright", "glare")
FINE, COARSE = 0.8, 3.2  # sigmas in px; below the first, sensor noise would count as detail
# Images (H, W, 3) uint8 of any size -> embeddings (N, E) float32.
Embed = Callable[[Sequence[Image]], NDArray[np.float32]]
THREADS = 2
AHEAD = 2  # images per thread that wait for their turn
BATCH = 8  # images that are embedded at a time
COPY_PX = 512  # longest side of the copy that is embedded: eight copies, not eight originals, are held

Progress = Callable[[int, int], None]
Look = TypeVar("Look")


@dataclass(frozen=True)
class Prints:
    """What N images are found again by, one row each.

    `digests` are the SHA-256 of the files' bytes, `hashes` (N, 2) uint64 the perceptual ones, `thumbs` (N, 64, 64)
    uint8 grey copies, `sizes` (N, 2) height and width in px.
    """

    digests: tuple[str, ...]
    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]
    sizes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.digests)


def thumb(image: Image, side: int = THUMB_PX) -> NDArray[np.uint8]:
    """The grey copy (side, side) uint8 of an RGB image, stretched to a square."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    way = cv2.INTER_AREA if min(grey.shape) >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (side, side), interpolation=way), np.uint8)


def difference_hash(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The dHash (2,) uint64 of a grey copy: one bit for each horizontal and each vertical step up.

    After N. Krawetz, "Kind of Like That", 2013. Light and JPEG move few bits, a crop moves many.
    """
    side = HASH_SIDE + 1
    grid = cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA).astype(np.int16)
    steps = np.stack([np.diff(grid[:-1], axis=1) > 0, np.diff(grid[:, :-1], axis=0) > 0]).reshape(2, -1)
    return np.packbits(steps, axis=1).view(np.uint64).ravel()


def measure(image: Image) -> NDArray[np.float32]:
    """The measures (10,) float32 of an RGB image, in the order of MEASURES.

    Brightness is the median of grey, contrast the distance of its quartiles, 0..255: a defect that covers
    a little of the part moves neither. Sharpness is the logarithm of
    the Laplacian's variance over grey's (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").
    Detail is, for each direction, the logarithm of fine over coarse gradient energy (structure tensors at two scales):
    a movement along x takes the fine gradients along x and leaves those along y. Dark, bright and glare are shares
    0..1.
    """
    image = _shrunk(image, (MAX_PX / (image.shape[0] * image.shape[1])) ** 0.5)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    values = grey.astype(np.float32)
    deviation = float(values.std())
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    lower, middle, upper = (float(np.searchsorted(below, share)) for share in (0.25, 0.5, 0.75))
    smooth = cv2.GaussianBlur(values, (0, 0), FINE)
    laplacian = float(cv2.Laplacian(smooth, cv2.CV_32F).var())
    coarse = np.asarray(cv2.GaussianBlur(values, (0, 0), COARSE), np.float32)
    detail = np.log((_energies(np.asarray(smooth, np.float32)) + 0.05) / (_energies(coarse) + 0.05))
    return np.array(
        [
            *(middle, upper - lower, np.log((laplacian + 0.05) / (deviation**2 + 1.0)), *detail),
            *(float((grey <= BLACK).mean()), float((grey >= WHITE).mean()), _glare(image)),
        ],
        np.float32,
    )


def _energies(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean squared gradient along 0, 45, 90 and 135 degrees."""
    dx, dy = cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    return np.array([xx, (xx + yy) / 2 + xy, yy, (xx + yy) / 2 - xy])


def _shrunk(image: Image, factor: float) -> Image:
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _glare(image: Image) -> float:
    """Share of the image under saturated spots that are wide enough to be a mirror of a lamp."""
    full = (image.min(axis=2) >= GLARE).astype(np.uint8)
    if not full.any():
        return 0.0
    side = max(3, round(GLARE_PX * max(image.shape[:2]) / 512))
    return float(cv2.morphologyEx(full, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)).mean())


@dataclass(frozen=True, slots=True)
class Unread:
    """An image that cannot be read, and why."""

    name: str
    message: str


@dataclass(frozen=True)
class ImageStatistics(Prints):
    """Statistics of N readable images, one row each, in the order of the set.

    `names` are unique. `measured` (N, 10) float32 is in the order of `MEASURES`, `embeddings` (N, E) float32,
    E = 0 where there was nothing to embed with.
    """

    samples: tuple[Sample, ...]
    names: tuple[str, ...]
    measured: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    unread: tuple[Unread, ...] = ()

    def measure(self, name: str) -> NDArray[np.float32]:
        """One measure of every image (N,)."""
        return np.asarray(self.measured[:, MEASURES.index(name)], np.float32)

    @property
    def labels(self) -> list[str]:
        """The label of each image, see `label_of`; "" where nobody has said."""
        return [label_of(sample) for sample in self.samples]


GOOD, DEFECT, GRADE = "good", "defect", "grade "


def label_of(sample: Sample) -> str:
    """A label as one text: the types joined by ";", else the grade ("grade 2"), else good or defect; "" for none."""
    if sample.defective is None:
        return ""
    if sample.types:
        return ";".join(sorted(sample.types))
    if sample.grade is not None:
        return f"{GRADE}{sample.grade}"
    return DEFECT if sample.defective else GOOD


@dataclass(frozen=True, slots=True)
class _Look:
    digest: str
    hash: NDArray[np.uint64]
    thumb: NDArray[np.uint8]
    size: tuple[int, int]
    measured: NDArray[np.float32]
    copy: Image


def read_statistics(
    samples: Sequence[Sample],
    embed: Embed | None = None,
    *,
    root: Path | None = None,
    progress: Progress | None = None,
    threads: int = THREADS,
) -> ImageStatistics:
    """The statistics of every image that can be read; the others are named in `unread`.

    Images are decoded by `threads` threads, a few ahead of the embedding. `root` shortens their names. Raises
    InputError where no image can be read.
    """
    names = names_of(samples, root)
    looks: list[_Look | str] = []
    embeddings: list[NDArray[np.float32]] = []
    waiting: list[Image] = []
    full_scale = find_full_scale(sample.path for sample in samples)[0]
    for index, look in enumerate(_ahead(lambda path: _look(path, full_scale), samples, threads)):
        if isinstance(look, _Look) and embed is not None:
            waiting.append(look.copy)
        looks.append(look if isinstance(look, str) else replace(look, copy=np.zeros((0, 0, 3), np.uint8)))
        if embed is not None and waiting and (len(waiting) == BATCH or index == len(samples) - 1):
            embeddings.append(np.asarray(embed(waiting), np.float32))
            waiting.clear()
        if progress is not None:
            progress(index + 1, len(samples))
    return _table(samples, names, looks, embeddings)


def read_prints(samples: Sequence[Sample], full_scale: int | None = None) -> tuple[Prints, list[int]]:
    """The prints of every image that can be read, and their indices in `samples`; the caller names the others."""

    def look(path: Path) -> tuple[str, NDArray[np.uint8], tuple[int, int]] | None:
        try:
            image, digest = _decoded(path, full_scale)
        except InputError:
            return None
        return digest, thumb(image, THUMB_PX), image.shape[:2]

    looks = list(_ahead(look, samples, THREADS))
    read = [one for one in looks if one is not None]
    thumbs = np.array([small for _, small, _ in read], np.uint8).reshape(-1, THUMB_PX, THUMB_PX)
    hashes = np.array([difference_hash(small) for small in thumbs], np.uint64).reshape(len(read), 2)
    sizes = np.array([size for *_, size in read], np.int32).reshape(len(read), 2)
    prints = Prints(tuple(digest for digest, *_ in read), hashes, thumbs, sizes)
    return prints, [index for index, one in enumerate(looks) if one is not None]


def _table(
    samples: Sequence[Sample], names: Sequence[str], looks: list[_Look | str], embeddings: list[NDArray[np.float32]]
) -> ImageStatistics:
    readable = [row for row in zip(samples, names, looks, strict=True) if isinstance(row[2], _Look)]
    unread = tuple(Unread(name, look) for name, look in zip(names, looks, strict=True) if isinstance(look, str))
    if not readable:
        first = f" The first: {unread[0].message}" if unread else ""
        raise InputError(f"none of {len(samples)} images can be read. Check the dataset's paths.{first}")
    read = [look for look in looks if isinstance(look, _Look)]
    return ImageStatistics(
        samples=tuple(sample for sample, _, _ in readable),
        names=tuple(name for _, name, _ in readable),
        digests=tuple(look.digest for look in read),
        hashes=np.stack([look.hash for look in read]),
        thumbs=np.stack([look.thumb for look in read]),
        sizes=np.array([look.size for look in read], np.int32),
        measured=np.stack([look.measured for look in read]),
        embeddings=np.concatenate(embeddings) if embeddings else np.zeros((len(read), 0), np.float32),
        unread=unread,
    )


def _ahead(look: Callable[[Path], Look], samples: Sequence[Sample], threads: int) -> Iterator[Look]:
    """Looks at the images in order; no more than a few are held."""
    pending: deque[Future[Look]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for sample in samples:
            pending.append(pool.submit(look, sample.path))
            if len(pending) > AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _look(path: Path, full_scale: int | None) -> _Look | str:
    try:
        image, digest = _decoded(path, full_scale)
    except InputError as error:
        return str(error)
    small, copy = thumb(image, THUMB_PX), _shrunk(image, COPY_PX / max(image.shape[:2]))
    return _Look(digest, difference_hash(small), small, image.shape[:2], measure(image), copy)


def _decoded(path: Path, full_scale: int | None) -> tuple[Image, str]:
    """An image and its file's SHA-256. Raises InputError."""
    data = read_bytes(path)
    return read_encoded(data, str(path), full_scale)[0], hashlib.sha256(data).hexdigest()


def names_of(samples: Sequence[Sample], root: Path | None = None) -> list[str]:
    """A unique name of each image: its path below `root` where it lies there, else as it is; "#2" where it recurs."""
    names, counts = [], Counter[str]()
    for sample in samples:
        path = sample.path
        inside = root is not None and path.is_relative_to(root)
        name = path.relative_to(root).as_posix() if inside and root is not None else path.as_posix()
        name = readable_name(name)
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return names
