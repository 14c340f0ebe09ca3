"""One look at every image: read, measure, shrink, embed, let go. Memory stays bounded whatever the images weigh."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.prints import THUMB_PX, difference_hash, thumb
from sightline.data.curation.quality import MEASURES, measure
from sightline.data.curation.signs import Embed, Signs, Unread
from sightline.runtime.image import Image, read_image

THREADS = 2
AHEAD = 2  # images per thread that wait for their turn
BATCH = 8  # images that are embedded at a time
COPY_PX = 512  # longest side of the copy that is embedded: eight copies, not eight originals, are held

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Look:
    digest: str
    hash: NDArray[np.uint64]
    thumb: NDArray[np.uint8]
    size: tuple[int, int]
    measured: NDArray[np.float32]
    copy: Image


def read_signs(
    samples: Sequence[Sample],
    embed: Embed | None = None,
    *,
    root: Path | None = None,
    progress: Progress | None = None,
    threads: int = THREADS,
) -> Signs:
    """The signs of every image that can be read; the others are named in `unread`.

    Images are decoded by `threads` threads, a few ahead of the embedding. `root` shortens their names. Raises
    InputError where no image can be read.
    """
    names = names_of(samples, root)
    looks: list[_Look | str] = []
    embeddings: list[NDArray[np.float32]] = []
    waiting: list[Image] = []
    for index, look in enumerate(_looks(samples, threads)):
        if isinstance(look, _Look) and embed is not None:
            waiting.append(look.copy)
        looks.append(look if isinstance(look, str) else _without_copy(look))
        if embed is not None and waiting and (len(waiting) == BATCH or index == len(samples) - 1):
            embeddings.append(np.asarray(embed(waiting), np.float32))
            waiting.clear()
        if progress is not None:
            progress(index + 1, len(samples))
    return _table(samples, names, looks, embeddings)


def _table(
    samples: Sequence[Sample], names: Sequence[str], looks: list[_Look | str], embeddings: list[NDArray[np.float32]]
) -> Signs:
    kept = [(sample, name, look) for sample, name, look in zip(samples, names, looks, strict=True) if _read(look)]
    unread = tuple(Unread(name, look) for name, look in zip(names, looks, strict=True) if isinstance(look, str))
    if not kept:
        first = f" The first: {unread[0].message}" if unread else ""
        raise InputError(f"none of {len(samples)} images can be read. Check the dataset's paths.{first}")
    seen = [look for _, _, look in kept if isinstance(look, _Look)]
    return Signs(
        samples=tuple(sample for sample, _, _ in kept),
        names=tuple(name for _, name, _ in kept),
        digests=tuple(look.digest for look in seen),
        hashes=np.stack([look.hash for look in seen]),
        thumbs=np.stack([look.thumb for look in seen]),
        sizes=np.array([look.size for look in seen], np.int32),
        measured=np.stack([look.measured for look in seen]),
        embeddings=np.concatenate(embeddings) if embeddings else np.zeros((len(seen), 0), np.float32),
        unread=unread,
    )


def _read(look: _Look | str) -> bool:
    return isinstance(look, _Look)


def _without_copy(look: _Look) -> _Look:
    return _Look(look.digest, look.hash, look.thumb, look.size, look.measured, np.zeros((0, 0, 3), np.uint8))


def _looks(samples: Sequence[Sample], threads: int) -> Iterator[_Look | str]:
    """Looks in order, or why an image cannot be read; no more than a few images are held."""
    pending: deque[Future[_Look | str]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for sample in samples:
            pending.append(pool.submit(_look, sample.path))
            if len(pending) > AHEAD * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _look(path: Path) -> _Look | str:
    try:
        image, _ = read_image(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except InputError as error:
        return str(error)
    except OSError as error:  # it was there a moment ago
        return f"{path}: cannot be read ({error.strerror}). Check the path and its permissions"
    small = thumb(image, THUMB_PX)
    return _Look(digest, difference_hash(small), small, image.shape[:2], _measured(image), _copy(image))


def _measured(image: Image) -> NDArray[np.float32]:
    values = measure(image)
    assert len(values) == len(MEASURES)
    return values


def _copy(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = COPY_PX / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def names_of(samples: Sequence[Sample], root: Path | None = None) -> list[str]:
    """A unique name of each image: its path below `root` where it lies there, else as it is; "#2" where it recurs."""
    names, seen = [], Counter[str]()
    for sample in samples:
        path = sample.path
        inside = root is not None and path.is_relative_to(root)
        name = path.relative_to(root).as_posix() if inside and root is not None else path.as_posix()
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names
