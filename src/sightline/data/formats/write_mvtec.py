"""Writing the layout of MVTec AD: a folder per type, masks of all regions together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN
from sightline.data.formats.folders import is_good
from sightline.data.formats.picture import Note, Picture, labelled, write_mask

COMBINED = "combined"  # the layout's own name for several types on one part
SEVERAL = f"have several types, which this format cannot say: they are '{COMBINED}' now. Export to CSV to keep them"


def write(made: Sequence[Picture], folder: Path, note: Note) -> None:
    """train/good, test/<type>, ground_truth/<type>/<stem>_mask.png. Without a split, good parts are for training."""
    for picture in labelled(made, note):
        if len(picture.types) > 1:
            note(SEVERAL, str(picture.sample.path))
        kind = _folder(picture.types)
        split = picture.sample.split or (TEST if picture.sample.defective else TRAIN)
        picture.copy(folder / split / kind)
        if picture.regions:
            write_mask(folder / "ground_truth" / kind / f"{picture.stem}_mask.png", picture.mask())
    if not (folder / TRAIN / "good").is_dir():
        raise InputError("the MVTec layout needs good parts for training, and there is none. Use another format")


def _folder(types: tuple[str, ...]) -> str:
    """A folder's name for the types; a defect never gets into a folder that means good."""
    if not types:
        return "good"
    name = COMBINED if len(types) > 1 else types[0].replace("/", "_").replace("\\", "_").strip(". ") or "defect"
    return f"{name}_defect" if is_good(name) else name
