"""What people have said about parts, as numbers: types, places in the recipe's input, grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.runtime.alignment import Warp
from sightline.runtime.image import read_mask
from sightline.runtime.placement import Placement
from sightline.train.intake import Part, warn

UNTYPED = "defect"  # the name of a defect that nobody has named
SLACK_PX = 1.0  # that a mark may reach beyond the border by rounding
MIN_EXAMPLES = 2  # of a type: one example can be learned or held out, not both


@dataclass(frozen=True)
class Vocabulary:
    """Defect types and grades of a product, in the order of the recipe's outputs.

    `exclusive` says that no part carries two types.
    """

    types: tuple[str, ...]
    grades: tuple[str, ...]
    exclusive: bool

    def classes(self, sample: Sample) -> NDArray[np.bool_] | None:
        """Which classes (K + 1,) a sample carries, 0 being good; None where nobody has said."""
        if sample.defective is None:
            return None
        named = types_of(sample)
        return np.array([not sample.defective, *(name in named for name in self.types)])


def types_of(sample: Sample) -> tuple[str, ...]:
    """The defect types of a sample; a defective one without a type carries `defect`."""
    if not sample.defective:
        return ()
    return sample.types or (UNTYPED,)


def vocabulary(parts: Sequence[Part]) -> Vocabulary:
    """Types and grades with enough examples; others are warned about, and stay strangers to the recipe."""
    labelled = [part.sample for part in parts]
    counts = {name: sum(name in types_of(sample) for sample in labelled) for name in _names(labelled)}
    enough = any(count >= MIN_EXAMPLES for count in counts.values())
    for name, count in counts.items():
        if enough and count < MIN_EXAMPLES:
            warn(f"type '{name}' has {count} example and is not learned: its parts will be of type 'unknown'. Add more")
    types = tuple(name for name, count in counts.items() if count >= MIN_EXAMPLES)
    exclusive = all(len(set(types_of(sample)) & set(types)) <= 1 for sample in labelled)
    return Vocabulary(types, _grades(labelled), exclusive)


def _names(samples: Sequence[Sample]) -> list[str]:
    return sorted({name for sample in samples for name in types_of(sample)})


def _grades(samples: Sequence[Sample]) -> tuple[str, ...]:
    seen = sorted({sample.grade for sample in samples if sample.grade is not None})
    if len(seen) < 2:
        return ()
    if seen[0] < 0:
        raise InputError(f"grade {seen[0]} is below 0. Grades count from 0, the best")
    gaps = sorted(set(range(seen[-1] + 1)) - set(seen))
    if gaps:
        missing = ", ".join(map(str, gaps))
        raise InputError(f"grades have a gap: nobody gave {missing}. Number the grades 0, 1, 2, ... without gaps")
    return tuple(map(str, seen))


def place_map(
    sample: Sample,
    placement: Placement,
    vocabulary: Vocabulary,
    grid: tuple[int, int],
    warp: Warp | None = None,
) -> NDArray[np.float32] | None:
    """Which share of each cell (K + 1, h, w) of a grid over the input belongs to each class.

    `warp` (2, 3) takes px of the aligned image to those that people marked, where there is one. None where nobody has
    marked the defect, or where its marks are of no class that is learned.
    """
    cells = np.zeros((len(vocabulary.types) + 1, *grid), np.float32)
    if sample.defective:
        marked = _marked(sample, placement.image_size)
        if not marked or not marked.keys() <= set(vocabulary.types):
            return None
        for name, mask in marked.items():
            cells[vocabulary.types.index(name) + 1] = _cells(_moved(mask, warp), placement, cells.shape[1:])
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
        mask = read_mask(sample.mask)
    except InputError as error:
        warn(f"not used: {error}")
        return {}
    if mask.shape != size:
        warn(f"{sample.mask}: is {mask.shape[1]} x {mask.shape[0]} px, its image {size[1]} x {size[0]}; not used")
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


def _cells(mask: NDArray[np.bool_], placement: Placement, grid: tuple[int, ...]) -> NDArray[np.float32]:
    x, y, w, h = placement.crop
    left, top, wide, high = placement.inner
    height, width = placement.input_size
    canvas = np.zeros((height, width), np.float32)
    inner = cv2.resize(mask[y : y + h, x : x + w].astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    canvas[top : top + high, left : left + wide] = inner
    return np.asarray(cv2.resize(canvas, (grid[1], grid[0]), interpolation=cv2.INTER_AREA), np.float32)
