"""The layout of MVTec AD (Bergmann et al., CVPR 2019): train/good, test/<class>, ground_truth/<class>."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.folders import find_mask, images_in, is_good


def found(path: Path) -> bool:
    """A folder of good training parts is there."""
    train = path / "train"
    return train.is_dir() and any(entry.is_dir() and is_good(entry.name) for entry in train.iterdir())


def read(path: Path) -> list[Sample]:
    """Samples with the layout's own split. Raises InputError where no training image is found."""
    samples = [sample for split in (TRAIN, TEST) for sample in _read_split(path, split)]
    if not any(sample.split == TRAIN for sample in samples):
        raise InputError(f"{path / 'train'}: holds no images. Put photos of good parts into train/good/")
    return samples


def _read_split(path: Path, split: str) -> list[Sample]:
    base = path / split
    if not base.is_dir():
        return []
    samples = []
    for folder in sorted(entry for entry in base.iterdir() if entry.is_dir()):
        good = is_good(folder.name)
        masks = path / "ground_truth" / folder.name
        samples += [
            Sample(
                path=image,
                defective=not good,
                types=() if good else (folder.name,),
                mask=None if good else find_mask(masks, image),
                split=split,
            )
            for image in images_in(folder)
        ]
    return samples
