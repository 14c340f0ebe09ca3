"""What the annotations say, image by image, on its way to samples; what had to be put right is told at the end."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.region import Region
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.folders import is_good
from sightline.data.image_size import image_size
from sightline.data.warning import DatasetWarning

Mark = tuple[Region, str]  # a region, and where it was read

_SLACK_PX = 1.0  # formats count from 0 or 1 and round: such an overhang is nobody's mistake
CLIPPED = "reach outside their image and were cut at its border. Check the image sizes and the boxes"
OUTSIDE = "are wholly outside their image and were left out. Check the image sizes and the boxes"
NO_AREA = "have no area and were left out. Draw them again"
GOOD_CLASS = "are of a class that means good and mark no defect. Remove them"
NO_PLACE = "are of a kind that has no area; the type was kept, the place was not. Draw a box or a polygon"
UNLABELLED = "have no annotations, so nobody has said that they are good. Add an empty annotation where they are"
TWICE = "were listed twice with the same labels and were taken once. Remove one entry"


class Listing:
    """Collects a dataset's images; `samples` gives them in order and warns, once per kind, about what was odd."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._samples: dict[Path, Sample] = {}
        self._places: dict[Path, str] = {}
        self._notes: dict[str, list[str]] = defaultdict(list)

    def note(self, what: str, place: str) -> None:
        """Remember a place at which something was put right."""
        self._notes[what].append(place)

    def add(
        self,
        path: Path,
        marks: Sequence[Mark],
        place: str,
        *,
        size: tuple[int, int] | None = None,
        split: str | None = None,
        types: Iterable[str] = (),
    ) -> None:
        """An image that somebody has looked at: its marked regions, and types without a place.

        `size` is (height, width) in px; where the annotation does not say it, the image does. Where a region
        cannot be used, its image still counts as defective. Raises InputError for labels that contradict others.
        """
        bad = [mark for mark in marks if not self._means_good(mark)]
        named = {region.type for region, _ in bad} | {name for name in types if not is_good(name)}
        regions = [region for mark in bad if (region := self._inside(mark, path, size))]
        self._keep(Sample(path, bool(named), tuple(sorted(named)), split=split, regions=tuple(regions)), place)

    def add_unlabelled(self, path: Path, split: str | None = None) -> None:
        """An image about which nothing was said."""
        self.note(UNLABELLED, path.name)
        self._keep(Sample(path, None, split=split), str(path))

    def samples(self) -> list[Sample]:
        """All samples. Raises InputError where there is none."""
        for what, places in self._notes.items():
            message = f"{self._source}: {len(places)} {what} (first: {places[0]})"
            warnings.warn(message, DatasetWarning, stacklevel=2)
        if not self._samples:
            raise InputError(f"{self._source}: the annotations list no images. Export them again")
        return list(self._samples.values())

    def _means_good(self, mark: Mark) -> bool:
        if not is_good(mark[0].type):
            return False
        self.note(GOOD_CLASS, mark[1])
        return True

    def _inside(self, mark: Mark, path: Path, size: tuple[int, int] | None) -> Region | None:
        region, place = mark
        _, _, width, height = region.box
        if width <= 0 or height <= 0:
            self.note(NO_AREA, place)
            return None
        if size is None:
            try:
                size = image_size(path)
            except InputError:
                return region  # the image is named by training or evaluation, which read it too
        try:
            inside = region.cut(*size)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        if inside is None:
            self.note(NO_AREA if _touches(region, size) else OUTSIDE, place)
        elif _overhang(region, size) > _SLACK_PX:
            self.note(CLIPPED, place)
        return inside

    def _keep(self, sample: Sample, place: str) -> None:
        known = self._samples.get(sample.path)
        if known is None:
            self._samples[sample.path], self._places[sample.path] = sample, place
            return
        if (known.defective, known.types, known.split) != (sample.defective, sample.types, sample.split):
            raise InputError(
                f"{place}: {sample.path.name} is listed before ({self._places[sample.path]}) with other labels: "
                f"{_labels(known)} there, {_labels(sample)} here. Keep one entry with all of its marks"
            )
        self.note(TWICE, place)
        more = tuple(region for region in sample.regions if region not in known.regions)
        self._samples[sample.path] = replace(known, regions=known.regions + more)


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
    known = {name: _role(name) for name in names}
    validation = TRAIN if TEST in known.values() else TEST
    return {name: validation if role == "val" else role for name, role in known.items()}


def _role(name: str) -> str | None:
    words = "".join(letter if letter.isalpha() else " " for letter in name.lower()).split()
    roles = {"train": TRAIN, "training": TRAIN, "trainval": TRAIN, "test": TEST, "testing": TEST}
    roles |= dict.fromkeys(("val", "valid", "validation"), "val")
    return next((roles[word] for word in words if word in roles), None)
