"""A sample on its way into another layout: its file name there, its size, and its regions."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Region, Runs, union
from sightline.core.sample import Sample, readable_name
from sightline.data.formats.label import is_good
from sightline.imaging.decoding import image_size
from sightline.imaging.mask import read_mask

UNNAMED = "defect"  # the type of a defect that nobody has named
Note = Callable[[str, str], None]

UNREADABLE = "cannot be read and were left out. Record or copy these images again"
NO_FIT = "have a mask that cannot be read or has another size; its regions are lost. Save the mask again"
SHARED_MASK = "have one mask for several types; its regions were given to each type. Mark the types one by one"
NO_PLACE = (
    "are defective and nobody has marked where; this format cannot express that, and they were left out. Mark them"
)
LOST_TYPES = "have types without a place, which this format cannot express; they are lost. Mark the place of each"
UNLABELLED = "have no label, which this format cannot express, and were left out. Label them first"


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample with the name of its copy (unique without its suffix, too), its size in px, and its regions."""

    sample: Sample
    name: str
    height: int
    width: int
    regions: tuple[Region, ...]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def types(self) -> tuple[str, ...]:
        """The defect types by name; a defect that nobody has named has one, too."""
        named = self.sample.types or tuple(sorted({region.type for region in self.regions}))
        return (named or (UNNAMED,)) if self.sample.defective else ()

    @property
    def unplaced(self) -> list[str]:
        """Types that no region shows."""
        return [name for name in self.types if name not in {region.type for region in self.regions}]

    def mask(self) -> NDArray[np.bool_]:
        """All regions together, (height, width)."""
        return union(self.regions, self.height, self.width)

    def copy(self, folder: Path) -> None:
        """Copy the image into `folder`, which is made where it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.sample.path, folder / self.name)


def pictures(samples: Sequence[Sample], note: Note) -> list[Picture]:
    """The samples whose images can be read; a mask in a file becomes one region for each of its parts."""
    found = []
    for sample, name in zip(samples, _names(samples), strict=True):
        try:
            height, width = image_size(sample.path)
        except InputError:
            note(UNREADABLE, str(sample.path))
            continue
        sample = replace(sample, types=tuple(_defect_name(kind) for kind in sample.types))
        found.append(Picture(sample, name, height, width, _regions(sample, (height, width), note)))
    return found


def _defect_name(name: str) -> str:
    """A defect type that is called like a good part would come back as one."""
    return f"{name.strip()} {UNNAMED}" if is_good(name) else name


def _regions(sample: Sample, size: tuple[int, int], note: Note) -> tuple[Region, ...]:
    if not sample.defective or sample.regions or sample.mask is None:
        given = sample.regions if sample.defective else ()
        return tuple(Region(_defect_name(region.type), region.shape) for region in given)
    try:
        mask = read_mask(sample.mask)
    except InputError:
        mask = np.zeros((0, 0), bool)
    if mask.shape != size:
        note(NO_FIT, str(sample.path))
        return ()
    if len(sample.types) > 1:
        note(SHARED_MASK, str(sample.path))
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    shapes = [Runs.of(np.asarray(parts == number)) for number in range(1, count)]
    return tuple(Region(name, shape) for name in sample.types or (UNNAMED,) for shape in shapes)


def _names(samples: Sequence[Sample]) -> list[str]:
    """File names that differ without suffix and case, too: the folder goes in front where names recur."""
    paths = [Path(readable_name(str(sample.path))) for sample in samples]
    often = Counter(path.stem.lower() for path in paths)
    taken: set[str] = set()
    names = []
    for path in paths:
        first = stem = path.stem if often[path.stem.lower()] == 1 else f"{path.parent.name}_{path.stem}"
        number = 1
        while stem.lower() in taken:
            number += 1
            stem = f"{first}_{number}"
        taken.add(stem.lower())
        names.append(stem + path.suffix)
    return names


def placed(pictures: Sequence[Picture], note: Note) -> list[Picture]:
    """The pictures for a format that knows a defect only by its place."""
    placeable = []
    for picture in pictures:
        if picture.sample.defective and not picture.regions:
            note(NO_PLACE, str(picture.sample.path))
            continue
        if picture.unplaced:
            note(LOST_TYPES, str(picture.sample.path))
        placeable.append(picture)
    return placeable


def labelled(pictures: Sequence[Picture], note: Note) -> list[Picture]:
    """The pictures for a format that cannot say that an image has no label."""
    for picture in pictures:
        if picture.sample.defective is None:
            note(UNLABELLED, str(picture.sample.path))
    return [picture for picture in pictures if picture.sample.defective is not None]


def class_names(pictures: Sequence[Picture]) -> list[str]:
    """All defect types, sorted."""
    return sorted({name for picture in pictures for name in (*picture.types, *(r.type for r in picture.regions))})


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask (H, W) as PNG, 255 on the defect. Raises InputError where it cannot be encoded."""
    done, data = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    if not done:
        raise InputError(f"{path}: the mask could not be encoded as PNG. Check the image's size")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
