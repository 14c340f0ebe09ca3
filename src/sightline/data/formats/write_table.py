"""Writing a CSV table: labels.csv, images/, and the regions of an image together in masks/."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from sightline.data.formats.picture import Note, Picture, write_mask
from sightline.data.formats.table import KNOWN


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """Everything but the single regions is kept: types, grade, group, lot, split, metadata."""
    del note  # everything can be said
    extra = sorted({key for picture in made for key in picture.sample.metadata} - set(KNOWN))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*KNOWN, *extra))
        for picture in made:
            picture.copy(folder / "images")
            if picture.regions:
                write_mask(folder / "masks" / f"{picture.stem}.png", picture.mask())
            writer.writerow((*_cells(picture), *(picture.sample.metadata.get(key, "") for key in extra)))


def _cells(picture: Picture) -> tuple[str, ...]:
    sample = picture.sample
    label = "" if sample.defective is None else "defect" if sample.defective else "good"
    mask = f"masks/{picture.stem}.png" if picture.regions else ""
    grade = "" if sample.grade is None else str(sample.grade)
    types = ";".join(name.replace(";", ",") for name in sample.types)
    rest = (sample.group or "", sample.lot or "", sample.split or "")
    return f"images/{picture.name}", label, mask, grade, types, *rest
