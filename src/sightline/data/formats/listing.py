"""What the annotations say, image by image, on its way to samples; what had to be put right is told at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sightline.core.errors import InputError, warn_caller
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.label import is_good
from sightline.imaging.decoding import image_size

Mark = tuple[Region, str]  # a region, and where it was read

MAX_TIMES = 64  # a mask this many times as large as its picture is drawn from no picture, and takes gigabytes
_SLACK_PX = 1.0  # formats count from 0 or 1 and round: such an overhang is nobody's mistake
CLIPPED = "marks that reach outside their image were cut at its border. Check the image sizes and the boxes"
OUTSIDE = "marks wholly outside their image were left out. Check the image sizes and the boxes"
NO_AREA = "marks without an area were left out. Draw them again"
GOOD_CLASS = "marks of a class that means good mark no defect. Remove them"
NO_PLACE = "marks without an area: the type was kept, the region was not. Draw a box or a polygon"
RESCALED = "marks made at another size than their picture has were scaled to it. Check that they lie right"
TURNED = "marks of pictures whose stated size is from before they were turned fit the pictures as they are"
UNLABELLED = "pictures without annotations: nobody has said that they are good. Add an empty annotation where they are"
TWICE = "pictures listed twice with the same labels were taken once. Remove one entry"


class Listing:
    """Collects a dataset's images; `samples` gives them in order and warns, once per kind, about what was odd."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._samples: dict[Path, Sample] = {}
        self._locations: dict[Path, str] = {}
        self._notes: dict[str, list[str]] = defaultdict(list)

    def note(self, what: str, location: str) -> None:
        """Remember a place at which something was put right."""
        self._notes[what].append(location)

    def add(
        self,
        path: Path,
        marks: Sequence[Mark],
        location: str,
        *,
        size: tuple[int, int] | None = None,
        split: str | None = None,
        types: Iterable[str] = (),
    ) -> None:
        """An image that somebody has looked at: its marked regions, and types without a place.

        `size` is (height, width) in px as the annotation states it. Where the image has another, the marks are
        scaled if the sides keep their ratio. Where a region cannot be used, its image still counts as defective. Raises
        InputError for labels that contradict others, and for marks whose place in the image cannot be known.
        """
        bad = [mark for mark in marks if not self._means_good(mark)]
        named = {region.type for region, _ in bad} | {name for name in types if not is_good(name)}
        actual = size_of(path) if bad else None
        fitted = self._fitted(bad, path, size, actual) if actual else bad
        regions = [region for mark in fitted if (region := self._inside(mark, actual or size))]
        self._keep(Sample(path, bool(named), tuple(sorted(named)), split=split, regions=tuple(regions)), location)

    def add_unlabelled(self, path: Path, split: str | None = None) -> None:
        """An image about which nothing was said."""
        self.note(UNLABELLED, path.name)
        self._keep(Sample(path, None, split=split), str(path))

    def samples(self) -> list[Sample]:
        """All samples. Raises InputError where there is none."""
        for what, locations in self._notes.items():
            message = f"{self._source}: {what} ({len(locations)} in all, first: {locations[0]})"
            warn_caller(message, DatasetWarning)
        if not self._samples:
            raise InputError(f"{self._source}: the annotations list no images. Export them again")
        return list(self._samples.values())

    def _means_good(self, mark: Mark) -> bool:
        if not is_good(mark[0].type):
            return False
        self.note(GOOD_CLASS, mark[1])
        return True

    def _fitted(
        self, marks: Sequence[Mark], path: Path, stated: tuple[int, int] | None, size: tuple[int, int]
    ) -> list[Mark]:
        """The marks in the pixels of the image as it is, which may have been resized or turned since."""
        fitted = []
        for region, location in marks:
            shape = region.shape
            given = (shape.height, shape.width) if isinstance(shape, Runs) else stated or size
            if given == size:
                fitted.append((region, location))
                continue
            inside = _overhang(region, given) <= _SLACK_PX
            if given == size[::-1] and not inside and _overhang(region, size) <= _SLACK_PX:
                self.note(TURNED, location)
                fitted.append((region, location))
                continue
            # A copy that was made smaller rounds its sides, so that they keep their ratio to a pixel.
            scale = size[0] / given[0], size[1] / given[1]
            off = min(abs(given[0] * scale[1] - size[0]), abs(given[1] * scale[0] - size[1]))
            shrunk = given[0] * given[1] > MAX_TIMES * size[0] * size[1]
            if not inside or given == size[::-1] or off > _SLACK_PX or (shrunk and isinstance(shape, Runs)):
                raise InputError(
                    f"{location}: marked on a picture of {given[1]} x {given[0]} px, but {path} has {size[1]} x "
                    f"{size[0]} px, so the position of the mark is unknown. Export the annotations again from these "
                    "pictures, or put the pictures back that were marked"
                )
            self.note(RESCALED, location)
            fitted.append((Region(region.type, _scaled(shape, scale, size)), location))
        return fitted

    def _inside(self, mark: Mark, size: tuple[int, int] | None) -> Region | None:
        region, location = mark
        _, _, width, height = region.box
        if width <= 0 or height <= 0:
            self.note(NO_AREA, location)
            return None
        if size is None:
            return region  # the image is named by training or evaluation, which read it too
        try:
            inside = region.cut(*size)
        except InputError as error:
            raise InputError(f"{location}: {error}") from error
        if inside is None:
            self.note(NO_AREA if _touches(region, size) else OUTSIDE, location)
        elif _overhang(region, size) > _SLACK_PX:
            self.note(CLIPPED, location)
        return inside

    def _keep(self, sample: Sample, location: str) -> None:
        earlier = self._samples.get(sample.path)
        if earlier is None:
            self._samples[sample.path], self._locations[sample.path] = sample, location
            return
        if (earlier.defective, earlier.types, earlier.split) != (sample.defective, sample.types, sample.split):
            raise InputError(
                f"{location}: {sample.path.name} is listed before ({self._locations[sample.path]}) with other labels: "
                f"{_labels(earlier)} there, {_labels(sample)} here. Keep one entry with all of its marks"
            )
        self.note(TWICE, location)
        more = tuple(region for region in sample.regions if region not in earlier.regions)
        self._samples[sample.path] = replace(earlier, regions=earlier.regions + more)


def size_of(path: Path) -> tuple[int, int] | None:
    """(height, width) of an image; None where it cannot be read."""
    try:
        return image_size(path)
    except InputError:
        return None


def _scaled(shape: Shape, scale: tuple[float, float], size: tuple[int, int]) -> Shape:
    down, right = scale
    if isinstance(shape, Rectangle):
        return Rectangle(shape.x * right, shape.y * down, shape.width * right, shape.height * down)
    if isinstance(shape, Polygons):
        return Polygons(tuple(ring * (right, down) for ring in shape.rings))
    mask = shape.mask(shape.height, shape.width).astype(np.uint8)
    return Runs.of(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _labels(sample: Sample) -> str:
    label = ", ".join(sample.types) or ("good" if sample.defective is False else "no label")
    return f"{label} ({sample.split})" if sample.split else label


def _overhang(region: Region, size: tuple[int, int]) -> float:
    x, y, width, height = region.box
    return max(-x, -y, x + width - size[1], y + height - size[0])


def _touches(region: Region, size: tuple[int, int]) -> bool:
    x, y, width, height = region.box
    return x < size[1] and y < size[0] and x + width > 0 and y + height > 0


def sides(names: Iterable[str]) -> dict[str, str | None]:
    """The side of each named part of a dataset: train and test as they are, anything else None.

    A validation part is the test part where there is no other, and is learned from where there is one.
    """
    roles = {name: _role(name) for name in names}
    validation = TRAIN if TEST in roles.values() else TEST
    return {name: validation if role == "val" else role for name, role in roles.items()}


def _role(name: str) -> str | None:
    tokens = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    roles = {"train": TRAIN, "training": TRAIN, "trainval": TRAIN, "test": TEST, "testing": TEST}
    roles |= dict.fromkeys(("val", "valid", "validation"), "val")
    return next((roles[token] for token in tokens if token in roles), None)
