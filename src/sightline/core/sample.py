"""A sample: one image of a part with everything that is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sightline.core.region import Region

TRAIN, TEST = "train", "test"


@dataclass(frozen=True, slots=True)
class Sample:
    """One image on disk and its labels.

    `defective` is None where nobody has said. `mask` is an image file, non-zero on the defect; a defective
    sample without one is unlabelled for pixel metrics. `group` names what must stay on one side of a split
    (a part, a lot, a tile). `split` is "train", "test" or None. `regions` are the places of its defects where
    the data names them one by one, in pixels of the image.
    """

    path: Path
    defective: bool | None
    types: tuple[str, ...] = ()
    mask: Path | None = None
    grade: int | None = None
    group: str | None = None
    lot: str | None = None
    split: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    regions: tuple[Region, ...] = ()
