"""A flat folder of photos and nothing else: all are good parts, as the first photos of a product mostly are."""

from __future__ import annotations

import re
from pathlib import Path

from sightline.core.errors import InputError, warn_caller
from sightline.core.sample import Sample
from sightline.data.formats.document import DatasetWarning
from sightline.data.formats.folders import images_below, images_in, mask_of
from sightline.data.formats.label import is_defective, is_mask_folder, plain

_LABELS = frozenset((".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".xls", ".xlsx", ".ods"))
_SORT = "Put photos of good parts into good/ and those of defective parts into a folder named after the defect"


def found(path: Path) -> bool:
    """Images lie in the folder itself, and in none below."""
    return path.is_dir() and bool(images := images_in(path)) and len(images_below(path)) == len(images)


def read(path: Path) -> list[Sample]:
    """Samples, all good. Raises InputError where anything in the folder says that some may not be."""
    images = images_in(path)
    stems = {image.stem.lower() for image in images}
    for entry in sorted(path.iterdir()):
        texts = entry.suffix.lower() == ".txt" and entry.stem.lower() in stems
        if entry.suffix.lower() in _LABELS or texts:
            raise InputError(f"{entry}: may hold the labels of these photos, but cannot be read. {_SORT}")
        if is_mask_folder(entry.name) or (entry not in images and mask_of(entry, stems) is not None):
            raise InputError(f"{entry}: masks say that some of the photos in {path} show defects. {_SORT}")
    for image in images:
        tokens = [token for token in re.split(r"[^\w]+|_|(?<=\D)(?=\d)|(?<=\d)(?=\D)", plain(image.stem)) if token]
        if is_defective(image.stem) or any(is_defective(token) for token in tokens):
            raise InputError(f"{image}: its name suggests a defect, and no folder says what is good. {_SORT}")
    message = f"{path}: {len(images)} photos, all used as good parts. If some show defective parts, move them. {_SORT}"
    warn_caller(message, DatasetWarning)
    return [Sample(image, False) for image in images]
