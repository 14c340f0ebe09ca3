"""Writing CVAT for images 1.1: boxes, polygons and masks as they are; a type without a place becomes a tag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from sightline.core.region import Polygons, Rectangle, Region
from sightline.data.formats.picture import Note, Picture, class_names, labelled


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """annotations.xml and images/."""
    kept = labelled(made, note)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name in class_names(kept):
        SubElement(SubElement(labels, "label"), "name").text = name
    for number, picture in enumerate(kept):
        picture.copy(folder / "images")
        size = {"width": str(picture.width), "height": str(picture.height)}
        image = SubElement(root, "image", {"id": str(number), "name": picture.name, **size})
        if picture.sample.split:
            image.set("subset", picture.sample.split.capitalize())
        for name in picture.unplaced:
            SubElement(image, "tag", {"label": name, "source": "manual"})
        for region in picture.regions:
            _mark(image, region, picture)
    tree = ElementTree(root)
    indent(tree)
    tree.write(folder / "annotations.xml", encoding="utf-8", xml_declaration=True)


def _mark(image: Element, region: Region, picture: Picture) -> None:
    shape, given = region.shape, {"label": region.type, "source": "manual", "occluded": "0", "z_order": "0"}
    if isinstance(shape, Rectangle):
        left, top, width, height = shape.box
        sides = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
        SubElement(image, "box", given | {name: f"{side:.4f}" for name, side in sides.items()})
    elif isinstance(shape, Polygons) and len(shape.rings) == 1:
        points = ";".join(f"{x:.4f},{y:.4f}" for x, y in shape.rings[0].tolist())
        SubElement(image, "polygon", given | {"points": points})
    else:
        mask = region.mask(picture.height, picture.width)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        flat = np.concatenate([[False], part.ravel()])
        edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]), [part.size]])
        runs = ", ".join(map(str, np.diff(edges).tolist()))
        place = {"left": columns[0], "top": rows[0], "width": part.shape[1], "height": part.shape[0]}
        SubElement(image, "mask", given | {"rle": runs} | {name: str(int(side)) for name, side in place.items()})
