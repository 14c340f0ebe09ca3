"""What people have said about parts, as numbers: types, places in the recipe's input, grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.runtime.image import read_mask
from sightline.runtime.placement import Placement
from sightline.train.intake import Part, warn

UNTYPED = "defect"  # the name of a defect that nobody has named
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
    sample: Sample, placement: Placement, vocabulary: Vocabulary, grid: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Which share of each cell (K + 1, h, w) of a grid over the input belongs to each class.

    None where nobody has marked the defect. A mask file belongs to the sample's first type.
    """
    cells = np.zeros((len(vocabulary.types) + 1, *grid), np.float32)
    named = [vocabulary.types.index(name) + 1 for name in types_of(sample) if name in vocabulary.types]
    if sample.defective:
        marked = _marked(sample, placement.image_size)
        if marked is None or not named:
            return None
        for name, mask in marked.items():
            index = vocabulary.types.index(name) + 1 if name in vocabulary.types else named[0]
            cells[index] = np.maximum(cells[index], _cells(mask, placement, cells.shape[1:]))
    cells[0] = 1 - cells[1:].max(axis=0)
    return cells


def _marked(sample: Sample, size: tuple[int, int]) -> dict[str, NDArray[np.bool_]] | None:
    """By type, the pixels (H, W) that people marked."""
    if sample.regions:
        found: dict[str, NDArray[np.bool_]] = {}
        for region in sample.regions:
            mask = region.mask(*size)
            found[region.type] = found[region.type] | mask if region.type in found else mask
        return found
    if sample.mask is None:
        return None
    try:
        mask = read_mask(sample.mask)
    except InputError as error:
        warn(f"not used: {error}")
        return None
    if mask.shape != size:
        warn(f"{sample.mask}: is {mask.shape[1]} x {mask.shape[0]} px, its image {size[1]} x {size[0]}; not used")
        return None
    return {types_of(sample)[0]: mask}


def _cells(mask: NDArray[np.bool_], placement: Placement, grid: tuple[int, ...]) -> NDArray[np.float32]:
    x, y, w, h = placement.crop
    left, top, wide, high = placement.inner
    height, width = placement.input_size
    canvas = np.zeros((height, width), np.float32)
    inner = cv2.resize(mask[y : y + h, x : x + w].astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    canvas[top : top + high, left : left + wide] = inner
    return np.asarray(cv2.resize(canvas, (grid[1], grid[0]), interpolation=cv2.INTER_AREA), np.float32)
