"""Class folders: `good` and one folder per defect type, directly in the path or under `images/`.

Beside `images/` there may be `masks/<class>/<stem>.png`, and beside either a `groups.csv` with the columns
`image` (path relative to the dataset) and `group`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.runtime.image import SUFFIXES

GOOD = frozenset(("good", "ok", "normal", "normals"))
RESERVED = frozenset(("masks", "mask", "ground_truth"))


def is_good(name: str) -> bool:
    """Whether a folder or label name means a good part."""
    return name.strip().lower() in GOOD


def images_in(folder: Path) -> list[Path]:
    """Image files in a folder, sorted by name; hidden files are passed over."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def find_mask(folder: Path, image: Path) -> Path | None:
    """The mask of an image in `folder`: same stem, or stem + "_mask", any image suffix."""
    for stem in (image.stem, f"{image.stem}_mask"):
        for suffix in (".png", image.suffix, ".bmp", ".tif"):
            candidate = folder / f"{stem}{suffix}"
            if candidate.is_file():
                return candidate
    return None


def _base(path: Path) -> Path:
    return path / "images" if (path / "images").is_dir() else path


def found(path: Path) -> bool:
    """A folder for good parts is there."""
    if not path.is_dir():
        return False
    return any(entry.is_dir() and is_good(entry.name) for entry in _base(path).iterdir())


def read(path: Path) -> list[Sample]:
    """Samples of every class folder. Raises InputError where there is no image at all."""
    base, groups = _base(path), _read_groups(path / "groups.csv")
    samples = []
    for folder in sorted(entry for entry in base.iterdir() if entry.is_dir()):
        if folder.name.lower() in RESERVED or folder.name.startswith("."):
            continue
        good = is_good(folder.name)
        for image in images_in(folder):
            samples.append(
                Sample(
                    path=image,
                    defective=not good,
                    types=() if good else (folder.name,),
                    mask=None if good else find_mask(path / "masks" / folder.name, image),
                    group=groups.get(image.relative_to(path).as_posix()),
                )
            )
    if not samples:
        raise InputError(f"{base}: the class folders hold no images. Expected files ending in {_suffixes()}")
    return samples


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))


def _read_groups(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            rows, columns = list(reader), reader.fieldnames
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a readable CSV ({error}). Save it as UTF-8 CSV") from error
    if not {"image", "group"} <= set(columns or ()):
        raise InputError(f"{path}: has the columns {columns}. Expected: image, group")
    pairs = [((row["image"] or "").strip(), (row["group"] or "").strip()) for row in rows]
    return {image.replace("\\", "/"): group for image, group in pairs if image and group}
