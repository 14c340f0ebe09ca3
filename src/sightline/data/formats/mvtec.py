"""The layout of MVTec AD (Bergmann et al., CVPR 2019): train/good, test/<class>, ground_truth/<class>.

Folders for image classification are read alike: train/<class>, val/<class>, test/<class>.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.folders import class_samples
from sightline.data.formats.label import is_good
from sightline.data.formats.listing import sides
from sightline.data.formats.picture import Note, Picture, labelled, write_mask

_PARTS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
COMBINED = "combined"  # the layout's own name for several types on one part
SEVERAL = f"have several types, which this format cannot express: they are '{COMBINED}' now. Export to CSV to keep them"


def _parts(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {}
    return {entry.name: entry for entry in sorted(path.iterdir()) if entry.name.lower() in _PARTS and entry.is_dir()}


def found(path: Path) -> bool:
    """A folder of good training parts is there."""
    parts = _parts(path)
    learned = [folder for name, folder in parts.items() if name.lower().startswith(TRAIN)]
    return any(entry.is_dir() and is_good(entry.name) for folder in learned for entry in folder.iterdir())


def read(path: Path) -> list[Sample]:
    """Samples with the layout's own split; `val` is the test part where there is no other. Raises InputError where no
    training image is found, or a folder is not a class.
    """
    parts = _parts(path)
    split = sides(parts)
    samples = [
        sample
        for name, folder in sorted(parts.items(), key=lambda part: split[part[0]] != TRAIN)
        for sample in class_samples(folder, (path, folder), split=split[name])
    ]
    if not any(sample.split == TRAIN for sample in samples):
        raise InputError(f"{path / 'train'}: holds no images. Put photos of good parts into train/good/")
    return samples


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """train/good, test/<type>, ground_truth/<type>/<stem>_mask.png, a mask holding all regions of its image.

    Without a split, good parts are for training.
    """
    for picture in labelled(pictures, note):
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
