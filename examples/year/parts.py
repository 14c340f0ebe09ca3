"""The parts of a year: a lamp that fades, another lens from the third month on, and a new defect in the fifth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.sample import Part
from sightline.data.sample.studio import Studio

MONTHS = 12
LENS, NEW_DEFECT = 3, 5  # the month, from 1, at whose start it happens
KNOWN, NEW = ("chipped_edge", "off_centre_print", "missing_print"), "smeared_print"
LIGHT = -0.25  # of the lamp, over the year
BLUR, CLOSER = 0.003, 1.001  # the new lens: sigma as a share of the picture's side, and how much larger parts appear
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
LOTS = 6
BEFORE = 1_000_000  # numbers of the parts that were made before the year began


@dataclass(frozen=True)
class Year:
    """`parts` of `size` px; `defective` is the usual share of defective parts, `new` that of the new type later on."""

    parts: int = 4800
    size: int = 160
    defective: float = 0.06
    new: float = 0.1
    seed: int = 0

    def month(self, index: int) -> float:
        """0 at the beginning, 12 at the end of the year."""
        return MONTHS * index / self.parts

    def moment(self, index: int) -> datetime:
        """When a part is made."""
        return FIRST + timedelta(days=365 * index / self.parts)

    def run(self) -> Iterator[tuple[int, Part]]:
        """All parts, in order, as the camera shows them."""
        studio, rng = Studio("cap", seed=self.seed, size=self.size, lots=LOTS), np.random.default_rng(self.seed)
        for index in range(self.parts):
            chance, which = rng.random(), KNOWN[rng.integers(len(KNOWN))]
            shown = self.month(index) >= NEW_DEFECT - 1
            kind = which if chance < self.defective else None
            if shown and self.defective <= chance < self.defective + self.new:
                kind = NEW
            yield index, self._seen(studio.render(index, kind, LIGHT * index / self.parts), index)

    def write_training(self, folder: Path, good: int, each: int) -> Path:
        """Photos from before the year: good parts and `each` of every known type, with masks, in class folders."""
        studio = Studio("cap", seed=self.seed, size=self.size, lots=LOTS)
        kinds = [None] * good + [kind for kind in KNOWN for _ in range(each)]
        for number, kind in enumerate(kinds):
            part = studio.render(BEFORE + number, kind)
            _write(folder / "images" / (kind or "good") / f"{number:03}.png", part.image[..., ::-1])
            if kind:
                _write(folder / "masks" / kind / f"{number:03}.png", part.mask.astype(np.uint8) * 255)
        return folder

    def _seen(self, part: Part, index: int) -> Part:
        if self.month(index) < LENS - 1:
            return part
        middle = ((self.size - 1) / 2,) * 2
        closer = cv2.warpAffine(
            part.image,
            cv2.getRotationMatrix2D(middle, 0, CLOSER),
            (self.size, self.size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        image = np.asarray(cv2.GaussianBlur(closer, (0, 0), BLUR * self.size), np.uint8)
        return Part(image, part.mask, part.types, part.grade, part.lot, part.index)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", image)
    assert done
    path.write_bytes(data.tobytes())
