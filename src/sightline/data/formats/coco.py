"""COCO (Lin et al., ECCV 2014): instances in JSON, marked by polygons, run lengths or boxes.

The files are annotations/*.json, *.json in the folder itself, or <split>/_annotations.coco.json; an image that is
listed without annotations is good. The split is taken from the names.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape, signed_area
from sightline.core.sample import Sample
from sightline.data.formats.document import (
    Finder,
    as_count,
    as_list,
    as_name,
    as_numbers,
    as_object,
    as_size,
    read_json,
)
from sightline.data.formats.listing import Listing, Mark, sides
from sightline.data.formats.picture import Note, Picture, class_names, labelled, placed


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
        location = f"{file}, annotation {as_object(entry, f'{file}, annotation {number}').get('id', f'no. {number}')}"
        image = _key(entry.get("image_id"), location)
        if image not in images:
            raise InputError(
                f"{location}: the image id {image} does not exist. Add the image, or remove the annotation"
            )
        category = _key(entry.get("category_id"), location)
        if category not in types:
            listed = ", ".join(map(str, types)) or "none"
            raise InputError(f"{location}: the category id {category} does not exist (known: {listed}). Correct it")
        marks[image].append((Region(types[category], _shape(entry, location)), location))
    # Images may lie beside the JSON, or under the folders that tools make for it.
    top = file.parent.parent if file.parent.name == "annotations" else file.parent
    part = file.stem.removeprefix("instances_")
    finder = Finder((top, top / "images", top / part, top / "images" / part, file.parent))
    for key, entry in images.items():
        location = f"{file}, image {key}"
        size = None
        if entry.get("width") and entry.get("height"):
            size = as_size(entry["height"], entry["width"], location)
        listing.add(finder.find(entry.get("file_name"), location), marks[key], location, size=size, split=split)
    finder.warn(file)


def _key(value: Any, location: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f"{location}: an id is missing or not a number ({value!r}). Export the annotations again")
    # Some tools write a number as text in one list and as a number in the other.
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _types(data: dict[str, Any], file: Path) -> dict[int | str, str]:
    types: dict[int | str, str] = {}
    for entry in as_list(data.get("categories"), f"{file}, categories"):
        location = f"{file}, category {as_object(entry, f'{file}, categories').get('id')}"
        key, name = _key(entry.get("id"), location), as_name(entry.get("name"), location)
        if types.setdefault(key, name) != name:
            raise InputError(f"{location}: means '{types[key]}' and '{name}'. Give each category its own id")
    return types


def _shape(entry: dict[str, Any], location: str) -> Shape:
    marked = entry.get("segmentation")
    if isinstance(marked, dict):
        return _runs(marked, location)
    if marked:
        rings = []
        for ring in as_list(marked, location):
            points = as_numbers(ring, len(as_list(ring, location)) // 2 * 2, location)
            rings.append(np.array(points).reshape(-1, 2))
        return Polygons.united(rings)
    return Rectangle(*as_numbers(entry.get("bbox"), 4, location))


def _runs(marked: dict[str, Any], location: str) -> Runs:
    given = as_numbers(marked.get("size"), 2, location)
    height, width = as_size(given[0], given[1], location)
    counts = marked.get("counts")
    try:
        if isinstance(counts, str):
            return Runs(height, width, counts_from_text(counts))
        return Runs(height, width, tuple(as_count(count, location) for count in as_list(counts, location)))
    except InputError as error:
        message = str(error)
        raise error if message.startswith(location) else InputError(f"{location}: {message}") from error


def counts_from_text(text: str) -> tuple[int, ...]:
    """The run lengths of COCO's compressed text: 5 bits per character, each count less the last but one.

    Raises InputError where the text is not of this kind or is cut off.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise InputError(
                f"the compressed run lengths hold '{letter}', which is out of place. Export the mask again"
            )
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise InputError("the compressed run lengths are cut off. Export the mask again")
    return tuple(counts)


def text_from_counts(counts: Sequence[int]) -> str:
    """The compressed text of run lengths."""
    letters = []
    for index, count in enumerate(counts):
        value, more = count - (counts[index - 2] if index > 2 else 0), True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            letters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(letters)


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """images/ and annotations/instances_<split>.json, or instances.json where there is no split.

    Boxes and polygons stay as they are; masks and polygons with holes become compressed run lengths.
    """
    exported = labelled(placed(pictures, note), note)
    numbers = {name: number for number, name in enumerate(class_names(exported), 1)}
    (folder / "annotations").mkdir(parents=True)
    for split in sorted({picture.sample.split or "" for picture in exported}):
        part = [picture for picture in exported if (picture.sample.split or "") == split]
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
