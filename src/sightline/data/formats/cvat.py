"""CVAT for images 1.1: annotations.xml with boxes, polygons, ellipses, masks and tags; images in images/.

A tag is a type without a place. An image without marks is a good part.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from sightline.core.errors import InputError
from sightline.core.outline import Ring
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import as_count, as_name, as_number, as_numbers, as_size, read_xml, within
from sightline.data.formats.labelme import ellipse
from sightline.data.formats.listing import NO_PLACE, Listing, Mark, sides

_NO_AREA = ("polyline", "points", "cuboid", "skeleton")


def _file(path: Path) -> Path | None:
    file = path / "annotations.xml" if path.is_dir() else path
    if file.suffix.lower() != ".xml" or not file.is_file():
        return None
    return file if b"<annotations" in file.read_bytes() else None


def found(path: Path) -> bool:
    """`path` is such a file, or a folder that holds annotations.xml."""
    return _file(path) is not None


def read(path: Path) -> list[Sample]:
    """Samples with regions. Raises InputError naming the image that cannot be used."""
    file = _file(path)
    if file is None:
        raise InputError(f"{path}: annotations.xml is missing. Export as 'CVAT for images 1.1'")
    root = read_xml(file)
    if root.find("track") is not None:
        raise InputError(f"{file}: holds the tracks of a video. Export as 'CVAT for images 1.1'")
    labels = {as_name(item.text, f"{file}, labels") for item in root.findall("meta//label/name")}
    images, listing = root.findall("image"), Listing(path)
    split = sides({image.get("subset", "") for image in images})
    for number, image in enumerate(images, 1):
        place = f"{file}, image {image.get('name') or f'no. {number}'}"
        _read_image(image, file.parent, labels, split[image.get("subset", "")], listing, place)
    return listing.samples()


def _read_image(image: Element, base: Path, labels: set[str], split: str | None, listing: Listing, place: str) -> None:
    size = as_size(image.get("height"), image.get("width"), place)
    folders = (base / "images" / (image.get("subset") or "."), base / "images", base)
    within(base, image.get("subset") or ".", f"{place}, subset")
    paths = [within(folder, image.get("name"), place) for folder in folders]
    marks: list[Mark] = []
    types = []
    for number, item in enumerate(image, 1):
        spot = f"{place}, {item.tag} (mark {number})"
        label = as_name(item.get("label"), spot)
        if labels and label not in labels:
            raise InputError(f"{spot}: the label '{label}' does not exist (known: {', '.join(sorted(labels))}). Add it")
        if item.tag == "tag" or item.tag in _NO_AREA:
            types.append(label)
            if item.tag != "tag":
                listing.note(NO_PLACE, spot)
        else:
            marks.append((Region(label, _shape(item, size, spot)), spot))
    path = next((path for path in paths if path.is_file()), paths[1] if paths[1].parent.is_dir() else paths[2])
    listing.add(path, marks, place, size=size, split=split, types=types)


def _shape(item: Element, size: tuple[int, int], place: str) -> Shape:
    if item.tag == "box":
        left, top, right, bottom = _numbers(item, ("xtl", "ytl", "xbr", "ybr"), place)
        box = Rectangle(left, top, right - left, bottom - top)
        turn = as_number(item.get("rotation") or 0, place)
        return Polygons((_turned(box.rings[0], turn),)) if turn else box
    if item.tag == "polygon":
        points = [as_numbers(pair.split(","), 2, place) for pair in (item.get("points") or "").split(";") if pair]
        return Polygons.united([np.array(points, float).reshape(-1, 2)])
    if item.tag == "ellipse":
        x, y, wide, high = _numbers(item, ("cx", "cy", "rx", "ry"), place)
        return Polygons((ellipse(np.array([x, y]), wide, high, as_number(item.get("rotation") or 0, place)),))
    if item.tag == "mask":
        return _mask(item, size, place)
    raise InputError(f"{place}: marks of the kind '{item.tag}' are unknown. Use boxes, polygons, ellipses or masks")


def _numbers(item: Element, names: tuple[str, ...], place: str) -> list[float]:
    return [as_number(item.get(name), f"{place}, {name}") for name in names]


def _turned(ring: Ring, degrees: float) -> Ring:
    centre, angle = ring.mean(axis=0), np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((ring - centre) @ turn + centre, float)


def _mask(item: Element, size: tuple[int, int], place: str) -> Runs:
    """A mask is run lengths along the rows of a box, pixels outside first."""
    left, top, wide, high = (as_count(item.get(name), place) for name in ("left", "top", "width", "height"))
    counts = [as_count(count, place) for count in (item.get("rle") or "").replace(" ", "").split(",") if count]
    if sum(counts) != wide * high:
        raise InputError(f"{place}: the run lengths cover {sum(counts)} px of {wide} x {high} px. Export it again")
    if top + high > size[0] or left + wide > size[1] or not counts:
        raise InputError(f"{place}: the mask reaches outside the image. Check the image's size, or export it again")
    whole = np.zeros(size, bool)
    whole[top : top + high, left : left + wide] = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(high, wide)
    return Runs.of(whole)
