"""What a recipe keeps to explain itself: crops of those good patches that parts are compared with."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import ACROSS, CROP_PX, MAX_CROPS, MAX_SOURCES, VIEW_PX, ExplanationData, MemoryCrops
from sightline.core.sample import readable_name
from sightline.imaging.image import Image
from sightline.models.arrays import like, to_numpy, top
from sightline.models.memory_bank import Level, nearest
from sightline.runtime.drawing import view_of
from sightline.runtime.letterbox import Letterbox
from sightline.train.anomaly.fitting import Fitted
from sightline.train.anomaly.memory_bank import SAMPLED_TILES
from sightline.train.backbone.extractor import FeatureExtractor
from sightline.train.images.loader import ImageLoader, Part

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier

ASKED = 10  # parts of each kind that say which entries are used
HOT_SHARE = 0.05  # of their cells: those that an explanation would point at
JPEG_QUALITY = 80


def gather_explanation(
    extractor: FeatureExtractor, fitted: Fitted, loaders: tuple[ImageLoader, ImageLoader], net: Classifier | None = None
) -> ExplanationData:
    """The names of the maps that `net` reads, and the crops of the first level's memory.

    `loaders` are those of good and of known defective parts.
    """
    name, level = next(iter(fitted.head.levels.items()))
    maps = () if net is None else tuple(net.names)
    return ExplanationData(maps=maps, level=name, memory_crops=_memory_crops(extractor, level, fitted, loaders))


def _memory_crops(
    extractor: FeatureExtractor, level: Level, fitted: Fitted, loaders: tuple[ImageLoader, ImageLoader]
) -> MemoryCrops | None:
    crops: dict[int, tuple[Image, tuple[float, float], str]] = {}
    sources: dict[str, int] = {}
    loaded: dict[tuple[int, int], list[tuple[Image, Letterbox]]] = {}
    grid = _grid(extractor, level, loaders[0])
    # By image, so that each is read once.
    wanted = sorted(_wanted(extractor, level, fitted, loaders), key=lambda entry: tuple(fitted.origins[entry].tolist()))
    for entry in wanted:
        part, turn, number, cell = fitted.origins[entry].tolist()
        if (part, turn) not in loaded:
            loaded = {(part, turn): _images(loaders[0], fitted.sampled[part], turn)}
        name = readable_name(Path(fitted.sampled[part].sample.path).name)
        if number < len(loaded[part, turn]) and (name in sources or len(sources) < MAX_SOURCES):
            image, letterbox = loaded[part, turn][number]
            sources.setdefault(name, len(sources))
            crops[entry] = (*_crop(image, letterbox, cell, grid), name)
    if not crops:
        return None
    entries = sorted(crops)
    return MemoryCrops(
        entries=tuple(entries),
        sources=tuple(sources),
        source=tuple(sources[crops[entry][2]] for entry in entries),
        centres=tuple(crops[entry][1] for entry in entries),
        jpeg=_sheet([crops[entry][0] for entry in entries]),
    )


def _images(loader: ImageLoader, part: Part, turn: int) -> list[tuple[Image, Letterbox]]:
    prepared = loader(part) if part in loader.parts else None
    return [] if prepared is None else list(prepared.some(SAMPLED_TILES, turn))


def _grid(extractor: FeatureExtractor, level: Level, loader: ImageLoader) -> tuple[int, int]:
    """Cells (h, w) of the level's grid."""
    empty = np.zeros((1, loader.size.height, loader.size.width, 3), np.uint8)
    high, wide = extractor(empty)[level.names[0]].shape[2:]
    return int(high), int(wide)


def _crop(image: Image, letterbox: Letterbox, cell: int, grid: tuple[int, int]) -> tuple[Image, tuple[float, float]]:
    """The entry's crop, and its centre as shares of the training image."""
    row, column = divmod(cell, grid[1])
    x, y = (column + 0.5) * image.shape[1] / grid[1], (row + 0.5) * image.shape[0] / grid[0]
    left, top, wide, high = letterbox.inner
    crop_x, crop_y, crop_w, crop_h = letterbox.crop
    across = (crop_x + (x - left) * crop_w / wide) / letterbox.image_size[1]
    down = (crop_y + (y - top) * crop_h / high) / letterbox.image_size[0]
    centre = (round(float(np.clip(across, 0, 1)), 4), round(float(np.clip(down, 0, 1)), 4))
    return view_of(image, (x, y), VIEW_PX, CROP_PX), centre


def _wanted(
    extractor: FeatureExtractor, level: Level, fitted: Fitted, loaders: tuple[ImageLoader, ImageLoader]
) -> list[int]:
    """Half of the crops: entries that the hottest cells of parts are nearest to; the rest: those that cover the bank.

    The bank is in the order of farthest-point selection, so its first entries cover it as well as so many can.
    """
    used = np.zeros(len(level.bank), np.int64)
    for loader in loaders:
        parts = list(loader.parts)
        for part in parts[:: max(1, len(parts) // ASKED)][:ASKED]:
            for entry in _nearest(extractor, level, fitted, loader, part):
                used[entry] += 1
    most_used = [int(entry) for entry in np.argsort(-used, kind="stable")[: MAX_CROPS // 2] if used[entry]]
    return list(dict.fromkeys([*most_used, *range(len(level.bank))]))[:MAX_CROPS]


def _nearest(
    extractor: FeatureExtractor, level: Level, fitted: Fitted, loader: ImageLoader, part: Part
) -> Sequence[int]:
    """Entries, of other parts, that the part's hottest cells are nearest to."""
    prepared = loader(part)
    if prepared is None:
        return ()
    image, _ = next(prepared.some(1))
    keys, _ = level.keys(extractor(image[None]))
    own = None
    if part in fitted.sampled:
        own = like(fitted.origins[:, 0] == fitted.sampled.index(part), keys)
    _, hot = top(nearest(keys, level.bank, own), max(1, int(HOT_SHARE * len(keys))))
    squared = to_numpy((level.bank * level.bank).sum(axis=1) - 2 * keys[hot] @ level.bank.T)
    if own is not None:
        squared[:, to_numpy(own)] = np.inf
    found: list[int] = squared.argmin(axis=1).tolist()
    return found


def _sheet(crops: Sequence[Image]) -> str:
    """Crops (CROP_PX, CROP_PX, 3) as one JPEG in base64, row by row."""
    across = min(ACROSS, len(crops))
    sheet: NDArray[np.uint8] = np.full((CROP_PX * -(-len(crops) // ACROSS), CROP_PX * across, 3), 127, np.uint8)
    for number, crop in enumerate(crops):
        row, column = divmod(number, ACROSS)
        sheet[row * CROP_PX : (row + 1) * CROP_PX, column * CROP_PX : (column + 1) * CROP_PX] = crop
    done, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return base64.b64encode(data.tobytes()).decode("ascii")
