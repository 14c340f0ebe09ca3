"""LabelMe (Russell et al., IJCV 2008): one JSON beside each image, in the folder itself or in train/, val/, test/.

Polygons, rectangles, circles and masks are places; a flag that is set is a type without a place. A JSON without
shapes is a good part. The image in the JSON (`imageData`) is not used.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Ring, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import Finder, as_list, as_name, as_numbers, as_object, as_size, read_json
from sightline.data.formats.folders import images_in
from sightline.data.formats.listing import NO_PLACE, Listing, Mark, sides
from sightline.data.formats.picture import Note, Picture
from sightline.imaging.decoding import decode

_PARTS = ("train", "val", "valid", "test")
_CIRCLE_POINTS = 64
_MIN_POINTS = {"polygon": 3, "rotation": 3, "oriented_rectangle": 3, "rectangle": 2, "circle": 2, "mask": 2}


def _is_labelme(file: Path) -> bool:
    data = file.read_bytes()
    return b'"shapes"' in data and b'"imagePath"' in data


def _folders(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {}
    folders = {name: path / name for name in _PARTS if next((path / name).glob("*.json"), None)}
    return folders or {"": path}


def found(path: Path) -> bool:
    """A JSON file with shapes is there."""
    return any(_is_labelme(file) for folder in _folders(path).values() for file in sorted(folder.glob("*.json")))


def read(path: Path) -> list[Sample]:
    """Samples with regions. Raises InputError naming the file and the shape that cannot be used."""
    folders, listing = _folders(path), Listing(path)
    split = sides(folders)
    for name, folder in folders.items():
        annotated = set()
        finder = Finder((folder,))
        for file in sorted(folder.glob("*.json")):
            if _is_labelme(file):
                annotated.add(_read_file(file, split[name], listing, finder))
        finder.warn(folder)
        for image in images_in(folder):
            if image not in annotated:
                listing.add_unlabelled(image, split[name])
    return listing.samples()


def _read_file(file: Path, split: str | None, listing: Listing, finder: Finder) -> Path:
    data = read_json(file)
    image = _image(file, data.get("imagePath"), finder)
    size = None
    if data.get("imageHeight") and data.get("imageWidth"):
        size = as_size(data["imageHeight"], data["imageWidth"], f"{file}, image size")
    flags = as_object(data.get("flags") or {}, f"{file}, flags")
    types = [as_name(name, f"{file}, flags") for name, is_set in flags.items() if is_set]
    marks: list[Mark] = []
    for number, entry in enumerate(as_list(data.get("shapes"), f"{file}, shapes"), 1):
        location = f"{file}, shape {number}"
        name = as_name(as_object(entry, location).get("label"), location)
        shape = _shape(entry, size, location)
        if shape is None:
            listing.note(NO_PLACE, location)
            types.append(name)
        else:
            marks.append((Region(name, shape), location))
    listing.add(image, marks, str(file), size=size, split=split, types=types)
    return image


def _image(file: Path, name: Any, finder: Finder) -> Path:
    """The image that a file names; where that leads elsewhere or is gone, the one beside it with its own stem."""
    beside = next((image for image in images_in(file.parent) if image.stem == file.stem), None)
    try:
        image = finder.find(name, f"{file}, imagePath")
    except InputError:
        if beside is None:
            raise
        return beside
    return image if image.is_file() or beside is None else beside


def _shape(entry: dict[str, Any], size: tuple[int, int] | None, location: str) -> Shape | None:
    """The shape; None for points and lines, which have no area."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str) or kind not in _MIN_POINTS:
        return None
    listed = as_list(entry.get("points"), location)
    if len(listed) < _MIN_POINTS[kind]:
        raise InputError(f"{location}: {len(listed)} points are too few for a {kind}. Draw it again")
    points = np.array([as_numbers(point, 2, location) for point in listed])
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return Rectangle(left, top, right - left, bottom - top)
    if kind == "circle":
        return Polygons((ellipse(points[0], *[float(np.hypot(*(points[1] - points[0])))] * 2),))
    return _mask(entry, points, size, location) if kind == "mask" else Polygons.united([points])


def ellipse(centre: Ring, wide: float, high: float, degrees: float = 0.0) -> Ring:
    """Points (64, 2) of an ellipse with half axes `wide` and `high`, px, turned clockwise by `degrees`."""
    turn, angle = np.arange(_CIRCLE_POINTS) * (2 * np.pi / _CIRCLE_POINTS), np.radians(degrees)
    x, y = wide * np.cos(turn), high * np.sin(turn)
    points = (x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle))
    return np.asarray(np.stack(points, axis=1) + centre, float)


def _mask(entry: dict[str, Any], points: Ring, size: tuple[int, int] | None, location: str) -> Runs:
    """A mask is a PNG of the box between two pixels, both included, as text."""
    if size is None:
        raise InputError(f"{location}: a mask needs imageHeight and imageWidth. Save the file again in LabelMe")
    try:
        data = base64.b64decode(entry.get("mask") or "", validate=True)
        part, _ = decode(data, "mask")
    except (binascii.Error, TypeError, ValueError, InputError) as error:
        raise InputError(f"{location}: the mask is not a readable PNG ({error}). Draw it again") from error
    left, top = np.rint(points.min(axis=0)).astype(int).tolist()
    try:
        return Runs.placed(part.max(axis=2) > 0, left, top, *size)
    except InputError as error:
        raise InputError(f"{location}: {error}") from error


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """<stem>.json beside each image, in a folder per split where there is one. Without a label, there is no JSON.

    Shapes are rectangles and polygons; a type without a place becomes a flag.
    """
    del note  # everything can be said
    for picture in pictures:
        beside = folder / (picture.sample.split or ".")
        picture.copy(beside)
        if picture.sample.defective is None:
            continue
        data = {
            "version": "5.5.0",
            "flags": dict.fromkeys(picture.unplaced, True),
            "shapes": [_shape_entry(region) for region in picture.regions],
            "imagePath": picture.name,
            "imageData": None,
            "imageHeight": picture.height,
            "imageWidth": picture.width,
        }
        text = json.dumps(data, ensure_ascii=False, indent=2)
        (beside / f"{picture.stem}.json").write_text(text, encoding="utf-8")


def _shape_entry(region: Region) -> dict[str, Any]:
    points, kind = region.outline.tolist(), "polygon"
    if isinstance(region.shape, Rectangle):
        points, kind = [points[0], points[2]], "rectangle"
    return {"label": region.type, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
