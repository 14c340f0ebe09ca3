"""LabelMe (Russell et al., IJCV 2008): one JSON beside each image, in the folder itself or in train/, val/, test/.

Polygons, rectangles, circles and masks are places; a flag that is set is a type without a place. A JSON without
shapes is a good part. The image in the JSON (`imageData`) is not used.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sightline.core.errors import InputError
from sightline.core.outline import Ring
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import as_list, as_name, as_numbers, as_object, as_size, read_json, within
from sightline.data.formats.folders import images_in
from sightline.data.formats.listing import NO_PLACE, Listing, Mark, sides

_PARTS = ("train", "val", "valid", "test")
_CIRCLE_POINTS = 64
_LEAST_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}


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
        seen = set()
        for file in sorted(folder.glob("*.json")):
            if _is_labelme(file):
                seen.add(_read_file(file, split[name], listing))
        for image in images_in(folder):
            if image not in seen:
                listing.add_unlabelled(image, split[name])
    return listing.samples()


def _read_file(file: Path, split: str | None, listing: Listing) -> Path:
    data = read_json(file)
    image = within(file.parent, data.get("imagePath"), f"{file}, imagePath")
    if not image.is_file():  # renamed since it was marked
        image = next((other for other in images_in(file.parent) if other.stem == file.stem), image)
    size = None
    if data.get("imageHeight") and data.get("imageWidth"):
        size = as_size(data["imageHeight"], data["imageWidth"], f"{file}, image size")
    flags = as_object(data.get("flags") or {}, f"{file}, flags")
    types = [as_name(name, f"{file}, flags") for name, is_set in flags.items() if is_set]
    marks: list[Mark] = []
    for number, entry in enumerate(as_list(data.get("shapes"), f"{file}, shapes"), 1):
        place = f"{file}, shape {number}"
        name = as_name(as_object(entry, place).get("label"), place)
        shape = _shape(entry, size, place)
        if shape is None:
            listing.note(NO_PLACE, place)
            types.append(name)
        else:
            marks.append((Region(name, shape), place))
    listing.add(image, marks, str(file), size=size, split=split, types=types)
    return image


def _shape(entry: dict[str, Any], size: tuple[int, int] | None, place: str) -> Shape | None:
    """The shape; None for points and lines, which have no area."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str) or kind not in _LEAST_POINTS:
        return None
    listed = as_list(entry.get("points"), place)
    if len(listed) < _LEAST_POINTS[kind]:
        raise InputError(f"{place}: {len(listed)} points are too few for a {kind}. Draw it again")
    points = np.array([as_numbers(point, 2, place) for point in listed])
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return Rectangle(left, top, right - left, bottom - top)
    if kind == "circle":
        return Polygons((ellipse(points[0], *[float(np.hypot(*(points[1] - points[0])))] * 2),))
    return _mask(entry, points, size, place) if kind == "mask" else Polygons.united([points])


def ellipse(centre: Ring, wide: float, high: float, degrees: float = 0.0) -> Ring:
    """Points (64, 2) of an ellipse with half axes `wide` and `high`, px, turned clockwise by `degrees`."""
    turn, angle = np.arange(_CIRCLE_POINTS) * (2 * np.pi / _CIRCLE_POINTS), np.radians(degrees)
    x, y = wide * np.cos(turn), high * np.sin(turn)
    points = (x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle))
    return np.asarray(np.stack(points, axis=1) + centre, float)


def _mask(entry: dict[str, Any], points: Ring, size: tuple[int, int] | None, place: str) -> Runs:
    """A mask is a PNG of the box between two pixels, both included, as text."""
    if size is None:
        raise InputError(f"{place}: a mask needs imageHeight and imageWidth. Save the file again in LabelMe")
    try:
        data = np.frombuffer(base64.b64decode(entry.get("mask") or "", validate=True), np.uint8)
        part = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    except (binascii.Error, TypeError, ValueError, cv2.error) as error:
        raise InputError(f"{place}: the mask is no readable PNG ({error}). Draw it again") from error
    left, top = np.rint(points.min(axis=0)).astype(int).tolist()
    if part is None or left < 0 or top < 0 or top + part.shape[0] > size[0] or left + part.shape[1] > size[1]:
        raise InputError(f"{place}: the mask is no readable PNG, or is larger than the image. Draw it again")
    whole = np.zeros(size, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part > 0
    return Runs.of(whole)
