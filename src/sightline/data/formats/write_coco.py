"""Writing COCO: boxes and polygons as they are, masks and polygons with holes as compressed run lengths."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.core.outline import signed_area
from sightline.core.region import Polygons, Rectangle, Region, Runs
from sightline.data.formats.picture import Note, Picture, class_names, labelled, placed
from sightline.data.formats.run_text import text_from_counts


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """images/ and annotations/instances_<split>.json, or instances.json where there is no split."""
    kept = labelled(placed(made, note), note)
    numbers = {name: number for number, name in enumerate(class_names(kept), 1)}
    (folder / "annotations").mkdir(parents=True)
    for split in sorted({picture.sample.split or "" for picture in kept}):
        part = [picture for picture in kept if (picture.sample.split or "") == split]
        images, annotations = [], []
        for number, picture in enumerate(part, 1):
            picture.copy(folder / "images")
            size = {"height": picture.height, "width": picture.width}
            images.append({"id": number, "file_name": picture.name, **size})
            annotations += [
                {"image_id": number, "category_id": numbers[region.type], **_entry(region, picture)}
                for region in picture.regions
            ]
        data = {
            "images": images,
            "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, 1)],
            "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        }
        name = f"instances_{split}.json" if split else "instances.json"
        (folder / "annotations" / name).write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def _entry(region: Region, picture: Picture) -> dict[str, Any]:
    shape = region.shape
    entry: dict[str, Any] = {"bbox": [round(side, 4) for side in region.box], "iscrowd": 0}
    if isinstance(shape, Rectangle):
        return entry | {"segmentation": [], "area": round(shape.width * shape.height, 4)}
    areas = [signed_area(ring) for ring in shape.rings] if isinstance(shape, Polygons) else []
    if isinstance(shape, Polygons) and min(areas) > 0:
        rings = [[round(number, 4) for number in ring.ravel().tolist()] for ring in shape.rings]
        return entry | {"segmentation": rings, "area": round(sum(areas), 4)}
    runs = shape if isinstance(shape, Runs) else Runs.of(region.mask(picture.height, picture.width))
    text = {"size": [runs.height, runs.width], "counts": text_from_counts(runs.counts)}
    return entry | {"segmentation": text, "area": sum(runs.counts[1::2])}
