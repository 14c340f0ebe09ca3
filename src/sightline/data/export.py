"""A dataset into another layout: images copied, labels and places written."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from sightline.core.errors import InputError, warn_caller
from sightline.core.sample import Sample
from sightline.data.formats import FORMATS
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.picture import pictures

NO_SPLIT = "belong to neither train nor test, while others do, and were left out. Give them a split"


def export(dataset: Iterable[Sample], path: str | Path, format: str) -> Path:
    """Write samples to the new or empty folder `path`: coco, voc, yolo, labelme, cvat, mvtec or csv.

    What a format cannot say is told by a DatasetWarning: VOC keeps boxes only; COCO, VOC and YOLO leave out
    defects that nobody has marked; MVTec and CSV join an image's regions to one mask. Returns `path`. Raises
    InputError for an unknown format or a folder in use; nothing is left behind then.
    """
    folder = Path(path)
    layout = FORMATS.get(format)
    if layout is None or layout.write is None:
        writable = ", ".join(name for name, layout in FORMATS.items() if layout.write)
        raise InputError(f"the format '{format}' cannot be written. Use one of: {writable}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is in use. Name a new or an empty folder for the exported dataset")
    notes: dict[str, list[str]] = defaultdict(list)
    samples = list(dataset)
    if any(sample.split for sample in samples):
        notes[NO_SPLIT] = [str(sample.path) for sample in samples if not sample.split]
        samples = [sample for sample in samples if sample.split]
    exported = pictures(samples, lambda what, location: notes[what].append(location))
    if not exported:
        raise InputError(f"{folder}: there is no image to export. Check the dataset")
    # Written beside the folder and renamed, so that a stop half-way leaves no half dataset to be taken for a whole.
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.absolute().parent) as desk:
            draft = Path(desk) / "draft"
            draft.mkdir()
            layout.write(exported, draft, lambda what, location: notes[what].append(location))
            if folder.exists():
                folder.rmdir()
            draft.rename(folder)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror}). Check the disk") from error
    for what, locations in notes.items():
        if locations:
            message = f"{folder}: {len(locations)} images {what} (first: {locations[0]})"
            warn_caller(message, DatasetWarning)
    return folder
