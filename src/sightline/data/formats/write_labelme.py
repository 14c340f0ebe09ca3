"""Writing LabelMe: rectangles and polygons beside the images; a type without a place becomes a flag."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.core.region import Rectangle, Region
from sightline.data.formats.picture import Note, Picture


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """<stem>.json beside each image, in a folder per split where there is one. Without a label, there is no JSON."""
    del note  # everything can be said
    for picture in made:
        beside = folder / (picture.sample.split or ".")
        picture.copy(beside)
        if picture.sample.defective is None:
            continue
        data = {
            "version": "5.5.0",
            "flags": dict.fromkeys(picture.unplaced, True),
            "shapes": [_shape(region) for region in picture.regions],
            "imagePath": picture.name,
            "imageData": None,
            "imageHeight": picture.height,
            "imageWidth": picture.width,
        }
        text = json.dumps(data, ensure_ascii=False, indent=2)
        (beside / f"{picture.stem}.json").write_text(text, encoding="utf-8")


def _shape(region: Region) -> dict[str, Any]:
    points, kind = region.outline.tolist(), "polygon"
    if isinstance(region.shape, Rectangle):
        points, kind = [points[0], points[2]], "rectangle"
    return {"label": region.type, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
