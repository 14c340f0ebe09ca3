"""COCO (Lin et al., ECCV 2014): instances in JSON, marked by polygons, run lengths or boxes.

The files are annotations/*.json, *.json in the folder itself, or <split>/_annotations.coco.json; an image that is
listed without annotations is good. The split is taken from the names.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.core.sample import Sample
from sightline.data.formats.document import (
    as_count,
    as_list,
    as_name,
    as_numbers,
    as_object,
    as_size,
    read_json,
    within,
)
from sightline.data.formats.listing import Listing, Mark, sides
from sightline.data.formats.run_text import counts_from_text


def _is_instances(path: Path) -> bool:
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    if path.name.startswith("instances"):
        return True
    data = path.read_bytes()
    return b'"images"' in data and b'"annotations"' in data


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _is_instances(path) else []
    for pattern in ("annotations/*.json", "*.json", "*/_annotations.coco.json"):
        if files := [file for file in sorted(path.glob(pattern)) if _is_instances(file)]:
            # Beside instances there may be captions and key points, which mark no places.
            return [file for file in files if file.name.startswith("instances")] or files
    return []


def found(path: Path) -> bool:
    """`path` is such a file, or a folder that holds one."""
    return bool(_files(path))


def read(path: Path) -> list[Sample]:
    """Samples with regions. Raises InputError naming the file and the entry that cannot be used."""
    files = _files(path)
    names = {file: file.parent.name if file.name.startswith("_annotations") else file.stem for file in files}
    split, listing = sides(names.values()), Listing(path)
    for file in files:
        _read_file(file, split[names[file]], listing)
    return listing.samples()


def _read_file(file: Path, split: str | None, listing: Listing) -> None:
    data = read_json(file)
    types = _types(data, file)
    entries = [as_object(entry, f"{file}, images") for entry in as_list(data.get("images"), f"{file}, images")]
    images = {_key(entry.get("id"), f"{file}, images"): entry for entry in entries}
    if len(images) < len(entries):
        raise InputError(f"{file}: {len(entries) - len(images)} image ids occur more than once. Number the images anew")
    marks: dict[int | str, list[Mark]] = defaultdict(list)
    for number, entry in enumerate(as_list(data.get("annotations"), f"{file}, annotations"), 1):
        place = f"{file}, annotation {as_object(entry, f'{file}, annotation {number}').get('id', f'no. {number}')}"
        image = _key(entry.get("image_id"), place)
        if image not in images:
            raise InputError(f"{place}: the image id {image} does not exist. Add the image, or remove the annotation")
        category = _key(entry.get("category_id"), place)
        if category not in types:
            known = ", ".join(map(str, types)) or "none"
            raise InputError(f"{place}: the category id {category} does not exist (known: {known}). Correct it")
        marks[image].append((Region(types[category], _shape(entry, place)), place))
    for key, entry in images.items():
        place = f"{file}, image {key}"
        size = None
        if entry.get("width") and entry.get("height"):
            size = as_size(entry["height"], entry["width"], place)
        listing.add(_image(file, entry.get("file_name"), place), marks[key], place, size=size, split=split)


def _key(value: Any, place: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{place}: an id is missing or no number ({value!r}). Export the annotations again")
    return value


def _types(data: dict[str, Any], file: Path) -> dict[int | str, str]:
    types: dict[int | str, str] = {}
    for entry in as_list(data.get("categories"), f"{file}, categories"):
        place = f"{file}, category {as_object(entry, f'{file}, categories').get('id')}"
        key, name = _key(entry.get("id"), place), as_name(entry.get("name"), place)
        if types.setdefault(key, name) != name:
            raise InputError(f"{place}: means '{types[key]}' and '{name}'. Give each category an id of its own")
    return types


def _image(file: Path, name: Any, place: str) -> Path:
    """Where the image lies: beside the JSON, or under the folders that tools make for it."""
    top = file.parent.parent if file.parent.name == "annotations" else file.parent
    part = file.stem.removeprefix("instances_")
    bases = (top, top / "images", top / part, top / "images" / part, file.parent)
    paths = [within(base, name, place) for base in bases]
    return next((path for path in paths if path.is_file()), paths[1] if paths[1].parent.is_dir() else paths[0])


def _shape(entry: dict[str, Any], place: str) -> Shape:
    marked = entry.get("segmentation")
    if isinstance(marked, dict):
        return _runs(marked, place)
    if marked:
        rings = []
        for ring in as_list(marked, place):
            points = as_numbers(ring, len(as_list(ring, place)) // 2 * 2, place)
            rings.append(np.array(points).reshape(-1, 2))
        return Polygons.united(rings)
    return Rectangle(*as_numbers(entry.get("bbox"), 4, place))


def _runs(marked: dict[str, Any], place: str) -> Runs:
    given = as_numbers(marked.get("size"), 2, place)
    height, width = as_size(given[0], given[1], place)
    counts = marked.get("counts")
    try:
        if isinstance(counts, str):
            return Runs(height, width, counts_from_text(counts))
        return Runs(height, width, tuple(as_count(count, place) for count in as_list(counts, place)))
    except InputError as error:
        message = str(error)
        raise error if message.startswith(place) else InputError(f"{place}: {message}") from error
