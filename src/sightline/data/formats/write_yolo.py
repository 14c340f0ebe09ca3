"""Writing YOLO: box lines where all regions are boxes, otherwise polygon lines, since trainers want one kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightline.core.region import Rectangle, Region
from sightline.core.sample import TEST, TRAIN
from sightline.data.formats.picture import Note, Picture, class_names, placed


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """images/<split>/, labels/<split>/ and data.yaml. An unlabelled image gets no label file."""
    import yaml  # only this layout needs it

    kept = placed(made, note)
    names = class_names(kept)
    numbers = {name: number for number, name in enumerate(names)}
    boxes = all(isinstance(region.shape, Rectangle) for picture in kept for region in picture.regions)
    for picture in kept:
        split = picture.sample.split or "."
        picture.copy(folder / "images" / split)
        labels = folder / "labels" / split
        labels.mkdir(parents=True, exist_ok=True)
        if picture.sample.defective is not None:
            lines = [f"{numbers[region.type]} {_numbers(region, picture, boxes)}\n" for region in picture.regions]
            (labels / f"{picture.stem}.txt").write_text("".join(lines), encoding="utf-8")
    # The keys that trainers ask for: what they call val is the part that nothing is learned from.
    keys = {TRAIN: "train", TEST: "val"}
    splits = sorted({picture.sample.split for picture in kept if picture.sample.split}, reverse=True)
    settings = {keys[split]: f"images/{split}" for split in splits} | {"names": dict(enumerate(names)) or {0: "defect"}}
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _numbers(region: Region, picture: Picture, boxes: bool) -> str:
    size = np.array([picture.width, picture.height], float)
    if boxes:
        x, y, width, height = region.box
        points = np.array([[x + width / 2, y + height / 2], [width, height]])
    else:
        points = region.outline
    return " ".join(f"{number:.7f}" for number in (points / size).ravel().tolist())
