"""Dataset layouts, one file each: a new one is a file with `found` and `read`, and a line in this table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import coco, cvat, flat, folders, labelme, mvtec, table, voc, yolo
from sightline.data.formats.folders import images_below, unread_below
from sightline.data.formats.picture import Note, Picture


class Format(NamedTuple):
    """A layout: `found(path)` says whether it is there, `read(path)` gives its samples.

    `write(pictures, folder, note)` fills an empty folder and notes what the layout cannot say.
    """

    found: Callable[[Path], bool]
    read: Callable[[Path], list[Sample]]
    expected: str
    write: Callable[[Sequence[Picture], Path, Note], None] | None = None


# Tried in this order: the most specific first.
FORMATS: dict[str, Format] = {
    "csv": Format(
        table.found, table.read, "a CSV table with the columns 'image' and 'label' (or 'grade')", table.write
    ),
    "coco": Format(
        coco.found,
        coco.read,
        "COCO: annotations/instances_<split>.json or one JSON, images beside it",
        coco.write,
    ),
    "cvat": Format(cvat.found, cvat.read, "CVAT for images 1.1: annotations.xml and images/", cvat.write),
    "voc": Format(voc.found, voc.read, "Pascal VOC: JPEGImages/ and Annotations/*.xml", voc.write),
    "yolo": Format(yolo.found, yolo.read, "YOLO: data.yaml or classes.txt, images/ and labels/*.txt", yolo.write),
    "labelme": Format(labelme.found, labelme.read, "LabelMe: a JSON with shapes beside each image", labelme.write),
    "mvtec": Format(
        mvtec.found,
        mvtec.read,
        "MVTec: train/good/, test/good/, test/<defect>/, ground_truth/<defect>/",
        mvtec.write,
    ),
    "folders": Format(
        folders.found, folders.read, "class folders: good/ and one folder per defect type, directly or under images/"
    ),
    "flat": Format(flat.found, flat.read, "a flat folder of photos, all of good parts"),
}


def read(path: Path, *, outside: bool = False) -> tuple[str, list[Sample]]:
    """Name of the layout found at `path`, and its samples. Raises InputError that names what was expected.

    `outside` allows a table to name images outside its folder.
    """
    try:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder. Check the path")
        for name, layout in FORMATS.items():
            if layout.found(path):
                return name, table.read(path, outside=outside) if name == "csv" else layout.read(path)
        entries = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir()) if path.is_dir() else ["a file"]
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: cannot be read ({error.strerror}). Check the path and its permissions"
        ) from error
    listed = ", ".join(entries[:12]) + (", ..." if len(entries) > 12 else "") if entries else "nothing"
    if path.is_dir() and any(images_below(entry) for entry in path.iterdir() if entry.is_dir()):
        listed += ". If one of these folders holds photos of good parts, call it good/"
    listed += unread_below(path) if path.is_dir() else ""
    expected = "".join(f"\n  - {layout.expected}" for layout in FORMATS.values())
    raise InputError(f"{path}: no dataset layout recognised. Found: {listed}. Expected one of:{expected}")
