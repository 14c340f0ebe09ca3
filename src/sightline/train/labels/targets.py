"""The labels of parts, as numbers: types, places in the recipe's input, grades."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Rectangle
from sightline.core.sample import Sample
from sightline.imaging.mask import read_mask
from sightline.runtime.alignment import Warp
from sightline.runtime.letterbox import Letterbox
from sightline.train.images.loader import ImageLoader, Part, Prepared, TrainingWarning, warn

UNTYPED = "defect"  # the name of a defect that nobody has named
SLACK_PX = 1.0  # that a mark may reach beyond the border by rounding
MIN_EXAMPLES = 2  # of a type: one example can be learned or held out, not both


@dataclass(frozen=True)
class LabelMap:
    """Defect types and grades of a product, in the order of the recipe's outputs.

    `exclusive` says that no part carries two types.
    """

    types: tuple[str, ...]
    grades: tuple[str, ...]
    exclusive: bool

    def classes(self, sample: Sample) -> NDArray[np.bool_] | None:
        """Which classes (K + 1,) a sample carries, 0 being good; None where nobody has labelled it."""
        if sample.defective is None:
            return None
        named = types_of(sample)
        return np.array([not sample.defective, *(name in named for name in self.types)])


def types_of(sample: Sample) -> tuple[str, ...]:
    """The defect types of a sample; a defective one without a type carries `defect`."""
    if not sample.defective:
        return ()
    return sample.types or (UNTYPED,)


def vocabulary(parts: Sequence[Part]) -> LabelMap:
    """Types and grades with enough examples; others are warned about, and stay strangers to the recipe."""
    labelled = [part.sample for part in parts]
    names = sorted({name for sample in labelled for name in types_of(sample)})
    counts = {name: sum(name in types_of(sample) for sample in labelled) for name in names}
    enough = any(count >= MIN_EXAMPLES for count in counts.values())
    for name, count in counts.items():
        if enough and count < MIN_EXAMPLES:
            warn(f"type '{name}' has {count} example and is not learned: its parts will be of type 'unknown'. Add more")
    types = tuple(name for name, count in counts.items() if count >= MIN_EXAMPLES)
    exclusive = all(len(set(types_of(sample)) & set(types)) <= 1 for sample in labelled)
    return LabelMap(types, _grades(labelled), exclusive)


def _grades(samples: Sequence[Sample]) -> tuple[str, ...]:
    grades = sorted({sample.grade for sample in samples if sample.grade is not None})
    if len(grades) < 2:
        return ()
    if grades[0] < 0:
        raise InputError(f"grade {grades[0]} is below 0. Grades count from 0, the best")
    gaps = sorted(set(range(grades[-1] + 1)) - set(grades))
    if gaps:
        missing = ", ".join(map(str, gaps))
        raise InputError(f"grades have a gap: nobody gave {missing}. Number the grades 0, 1, 2, ... without gaps")
    return tuple(map(str, grades))


def segmentation_target(
    sample: Sample,
    letterbox: Letterbox,
    vocabulary: LabelMap,
    grid: tuple[int, int],
    warp: Warp | None = None,
) -> NDArray[np.float32] | None:
    """Which share of each cell (K + 1, h, w) of a grid over the input belongs to each class.

    `warp` (2, 3) takes px of the aligned image to those that people marked, where there is one. None where nobody has
    marked the defect, or where its marks are of no class that is learned.
    """
    cells = np.zeros((len(vocabulary.types) + 1, *grid), np.float32)
    if sample.defective:
        marked = _marked(sample, letterbox.image_size)
        if not marked or not marked.keys() <= set(vocabulary.types):
            return None
        for name, mask in marked.items():
            cells[vocabulary.types.index(name) + 1] = _cells(_moved(mask, warp), letterbox, cells.shape[1:])
    cells[0] = 1 - cells[1:].max(axis=0, initial=0.0)
    return cells


def check_marks(sample: Sample) -> None:
    """Warn of marks on a part that is called good: one of the two is wrong."""
    if sample.defective is False and (sample.regions or (sample.mask is not None and _marks_something(sample.mask))):
        warn(f"{sample.path}: is called good, but a defect is marked on it; not used. Correct the label or the mark")


def _marks_something(path: Path) -> bool:
    try:
        return bool(read_mask(path).any())
    except InputError:
        return False  # nobody has called the part defective, so its mask is not needed


def _marked(sample: Sample, size: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    """By type, the pixels (H, W) that people marked."""
    if sample.regions:
        return _regions(sample, size)
    if sample.mask is None:
        return {}
    types = types_of(sample)
    if len(types) > 1:
        listed = ", ".join(f"'{name}'" for name in types)
        warn(f"{sample.mask}: does not say which of {listed} it marks; not used. Mark each type by itself")
        return {}
    try:
        mask = read_mask(sample.mask, size)
    except InputError as error:
        warn(f"not used: {error}")
        return {}
    if not mask.any():
        warn(f"{sample.mask}: marks nothing, so it says nothing of where '{types[0]}' is; not used. Mark the defect")
        return {}
    return {types[0]: mask}


def _regions(sample: Sample, size: tuple[int, int]) -> dict[str, NDArray[np.bool_]]:
    found: dict[str, NDArray[np.bool_]] = {}
    for region in sample.regions:
        called = f"{sample.path}: a mark of '{region.type}'"
        if region.type not in types_of(sample):
            warn(f"{called} names none of the part's types; not used. Correct the mark or the label")
            continue
        left, top, wide, high = region.box
        if region.cut(*size) is None:
            warn(f"{called} is wholly outside the image; not used. Check the image's size and the mark")
            continue
        if min(left, top) < -SLACK_PX or left + wide > size[1] + SLACK_PX or top + high > size[0] + SLACK_PX:
            warn(f"{called} reaches outside the image and was cut at its border. Check the image's size and the mark")
        mask = region.mask(*size)
        found[region.type] = found[region.type] | mask if region.type in found else mask
    return found


def _moved(mask: NDArray[np.bool_], warp: Warp | None) -> NDArray[np.bool_]:
    """A mask (H, W) of the image as it came, on the aligned one."""
    if warp is None:
        return mask
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), warp, mask.shape[::-1], flags=flags) > 0)


def _cells(mask: NDArray[np.bool_], letterbox: Letterbox, grid: tuple[int, ...]) -> NDArray[np.float32]:
    x, y, w, h = letterbox.crop
    left, top, wide, high = letterbox.inner
    height, width = letterbox.input_size
    canvas = np.zeros((height, width), np.float32)
    inner = cv2.resize(mask[y : y + h, x : x + w].astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    canvas[top : top + high, left : left + wide] = inner
    return np.asarray(cv2.resize(canvas, (grid[1], grid[0]), interpolation=cv2.INTER_AREA), np.float32)


# Boxes that people drew, as the box head learns them: in px of the recipe's input.

MIN_VISIBLE = 0.4  # of a box that must still be in the picture after a move, else it is nobody's


@dataclass(frozen=True)
class BoxTargets:
    """`corners` (n, 4) float32: left, top, right, bottom in px of the input; `types` (n,) int64: their numbers."""

    corners: NDArray[np.float32]
    types: NDArray[np.int64]

    def mirrored(self, width: int) -> BoxTargets:
        """The same on the mirror image of an input so many px wide."""
        left, top, right, bottom = self.corners.T
        return BoxTargets(np.stack([width - right, top, width - left, bottom], 1), self.types)

    def moved(self, matrix: NDArray[np.float64], size: tuple[int, int]) -> BoxTargets:
        """The same after a move, `matrix` (3, 3) over pixels' middles, cut to the picture's `size` (H, W)."""
        ends = _ends(self.corners.astype(np.float64)) - 0.5
        hulls = _hulls(ends @ matrix[:2, :2].T + matrix[:2, 2] + 0.5)
        cut = np.clip(hulls, 0, np.array([size[1], size[0], size[1], size[0]]))
        some = _areas(cut) >= MIN_VISIBLE * _areas(hulls)
        return BoxTargets(cut[some].astype(np.float32), self.types[some])


def boxes_on_input(
    sample: Sample, letterbox: Letterbox, label_map: LabelMap, warp: Warp | None = None
) -> BoxTargets | None:
    """The sample's boxes; of a good part none, wherever it lies; None where nobody has drawn all of a defect's.

    `warp` (2, 3) takes px of the aligned image to those that people marked, where there is one.
    """
    regions = [region for region in sample.regions if region.type in label_map.types]
    if sample.defective is None or (
        sample.defective and not (regions and all(isinstance(region.shape, Rectangle) for region in regions))
    ):
        return None
    regions = regions if sample.defective else []
    types = np.array([label_map.types.index(region.type) for region in regions], np.int64)
    boxes = np.array([region.box for region in regions], np.float64).reshape(-1, 4)
    return BoxTargets(input_corners(boxes, letterbox, warp).astype(np.float32), types)


def input_corners(boxes: NDArray[np.float64], letterbox: Letterbox, warp: Warp | None = None) -> NDArray[np.float64]:
    """Boxes (n, 4) x, y, width, height in px of the file -> left, top, right, bottom in px of the input."""
    ends = _ends(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
    if warp is not None:
        back = cv2.invertAffineTransform(warp)
        ends = ends @ back[:, :2].T + back[:, 2]
    left, top, inner_w, inner_h = letterbox.inner
    crop_x, crop_y, crop_w, crop_h = letterbox.crop
    return _hulls((ends - (crop_x, crop_y)) * (inner_w / crop_w, inner_h / crop_h) + (left, top))


def _ends(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, right, bottom (n, 4) -> the four ends (n, 4, 2) of each box."""
    left, top, right, bottom = corners.T
    return np.stack([np.stack([x, y], 1) for x in (left, right) for y in (top, bottom)], 1)


def _hulls(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hstack([ends.min(1), ends.max(1)])


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.prod(corners[:, 2:] - corners[:, :2], axis=1))


# Labelled parts as the classifier learns them: pictures with numbers for their labels.


@dataclass(frozen=True)
class Labelled:
    """One part as the classifier learns it: image (H, W, 3) uint8, classes (K + 1,) bool, None without a label,
    cells (K + 1, h, w), None where nothing is marked, and grade, -1 where there is none.

    `marks` (H, W) uint8 are the class of every marked pixel, 0 elsewhere; None where a defect's shape is not known.
    `boxes` are those that people drew, none on a good part; None where they are not known.
    """

    part: Part
    image: NDArray[np.uint8]
    classes: NDArray[np.bool_] | None
    cells: NDArray[np.float32] | None
    grade: int
    marks: NDArray[np.uint8] | None = None
    boxes: BoxTargets | None = None


def label_parts(loaders: Iterable[ImageLoader], label_map: LabelMap, grid: tuple[int, int]) -> list[Labelled]:
    """The loaders' readable parts with their labels; `grid` (h, w) is that of the backbone's finest map."""
    found = []
    for loader, part in [(source, part) for source in loaders for part in source.parts]:
        prepared = loader(part)
        if prepared is None:
            continue
        check_marks(part.sample)
        cells = segmentation_target(part.sample, prepared.letterboxes[0], label_map, grid, prepared.warp)
        grade = part.sample.grade if label_map.grades and part.sample.grade is not None else -1
        marks = None if cells is None else _marks(part, prepared, label_map)
        boxes = boxes_on_input(part.sample, prepared.letterboxes[0], label_map, prepared.warp)
        found.append(Labelled(part, prepared.images[0], label_map.classes(part.sample), cells, grade, marks, boxes))
    return found


def _marks(part: Part, prepared: Prepared, label_map: LabelMap) -> NDArray[np.uint8] | None:
    """Boxes say where a defect is, and not what shape it has."""
    sample = part.sample
    if not sample.defective or any(isinstance(region.shape, Rectangle) for region in sample.regions):
        return None
    height, width = prepared.images.shape[1:3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # the marks were read before, and warned about
        shares = segmentation_target(sample, prepared.letterboxes[0], label_map, (height, width), prepared.warp)
    return None if shares is None else np.asarray(shares.argmax(0), np.uint8)


def picture_hash(image: NDArray[np.uint8]) -> str:
    """First 16 hex digits of the SHA-256 of a picture's values: what names it among the cached maps."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]
