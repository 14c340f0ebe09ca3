"""CVAT for images 1.1: annotations.xml with boxes, polygons, ellipses, masks and tags; images in images/.

A tag is a type without a place. An image without marks is a good part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Ring, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import Finder, as_count, as_name, as_number, as_numbers, as_size, read_xml, within
from sightline.data.formats.labelme import ellipse
from sightline.data.formats.listing import MAX_TIMES, NO_PLACE, Listing, Mark, sides, size_of
from sightline.data.formats.picture import Note, Picture, class_names, labelled

_MAX_PX_UNSEEN = 1 << 26  # for a picture that cannot be read
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
    finders: dict[str, Finder] = {}
    for number, image in enumerate(images, 1):
        subset = image.get("subset") or "."
        location = f"{file}, image {image.get('name') or f'no. {number}'}"
        if subset not in finders:
            base = within(file.parent / "images", subset, f"{location}, subset")
            finders[subset] = Finder((base, file.parent / "images", file.parent))
        _read_image(image, finders[subset], labels, split[image.get("subset", "")], listing, location)
    for finder in finders.values():
        finder.warn(file)
    return listing.samples()


def _read_image(
    image: Element, finder: Finder, labels: set[str], split: str | None, listing: Listing, location: str
) -> None:
    size = as_size(image.get("height"), image.get("width"), location)
    path = finder.find(image.get("name"), location)
    actual = size_of(path)
    # A few bytes can state a mask that fills the memory: more than its picture could need is not drawn.
    most_px = MAX_TIMES * (actual[0] * actual[1]) if actual else _MAX_PX_UNSEEN
    marks: list[Mark] = []
    types = []
    for number, item in enumerate(image, 1):
        spot = f"{location}, {item.tag} (mark {number})"
        label = as_name(item.get("label"), spot)
        if labels and label not in labels:
            raise InputError(f"{spot}: the label '{label}' does not exist (known: {', '.join(sorted(labels))}). Add it")
        if item.tag == "tag" or item.tag in _NO_AREA:
            types.append(label)
            if item.tag != "tag":
                listing.note(NO_PLACE, spot)
        else:
            marks.append((Region(label, _shape(item, size, most_px, spot)), spot))
    listing.add(path, marks, location, size=size, split=split, types=types)


def _shape(item: Element, size: tuple[int, int], most_px: int, location: str) -> Shape:
    if item.tag == "box":
        left, top, right, bottom = _numbers(item, ("xtl", "ytl", "xbr", "ybr"), location)
        box = Rectangle(left, top, right - left, bottom - top)
        turn = as_number(item.get("rotation") or 0, location)
        return Polygons((_turned(box.rings[0], turn),)) if turn else box
    if item.tag == "polygon":
        points = [as_numbers(pair.split(","), 2, location) for pair in (item.get("points") or "").split(";") if pair]
        return Polygons.united([np.array(points, float).reshape(-1, 2)])
    if item.tag == "ellipse":
        x, y, wide, high = _numbers(item, ("cx", "cy", "rx", "ry"), location)
        return Polygons((ellipse(np.array([x, y]), wide, high, as_number(item.get("rotation") or 0, location)),))
    if item.tag == "mask":
        return _mask(item, size, most_px, location)
    raise InputError(f"{location}: marks of the kind '{item.tag}' are unknown. Use boxes, polygons, ellipses or masks")


def _numbers(item: Element, names: tuple[str, ...], location: str) -> list[float]:
    return [as_number(item.get(name), f"{location}, {name}") for name in names]


def _turned(ring: Ring, degrees: float) -> Ring:
    centre, angle = ring.mean(axis=0), np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((ring - centre) @ turn + centre, float)


def _mask(item: Element, size: tuple[int, int], most_px: int, location: str) -> Runs:
    """A mask is run lengths along the rows of a box, pixels outside first."""
    left, top, wide, high = (as_count(item.get(name), location) for name in ("left", "top", "width", "height"))
    if wide * high > most_px:
        raise InputError(f"{location}: a mask of {wide} x {high} px is larger than its picture. Export it again")
    counts = [as_count(count, location) for count in (item.get("rle") or "").replace(" ", "").split(",") if count]
    if sum(counts) != wide * high:
        raise InputError(f"{location}: the run lengths cover {sum(counts)} px of {wide} x {high} px. Export it again")
    if not counts:
        raise InputError(f"{location}: the mask has no run lengths. Draw it again, or export it again")
    part = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(high, wide)
    try:
        return Runs.placed(part, left, top, *size)
    except InputError as error:
        raise InputError(f"{location}: {error}") from error


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """annotations.xml and images/: boxes, polygons and masks as they are; a type without a place becomes a tag."""
    exported = labelled(pictures, note)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name in class_names(exported):
        SubElement(SubElement(labels, "label"), "name").text = name
    for number, picture in enumerate(exported):
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
        box = {"left": columns[0], "top": rows[0], "width": part.shape[1], "height": part.shape[0]}
        SubElement(image, "mask", given | {"rle": runs} | {name: str(int(side)) for name, side in box.items()})
