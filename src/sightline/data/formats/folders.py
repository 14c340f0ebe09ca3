"""Class folders: `good` and one folder per defect type, directly in the path or under `images/`.

Folders below a class belong to it (a lot, a day); below one that says no more than that its parts are defective, such a
folder names the type. Masks lie beside their pictures (`001_mask.png`), in `masks/<class>/` or `ground_truth/<class>/`.
Beside `images/` there may be a `groups.csv` with the columns `image` (path relative to the dataset) and `group`.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import Sample, readable_name
from sightline.data.formats.label import is_defective, is_good, is_mask_folder, not_a_type
from sightline.imaging.decoding import SUFFIXES, UNREAD

MASK_ENDINGS = ("_mask", "-mask", "_gt", "-gt", "_seg", "-seg", "_label", "-label", "_masks", "_groundtruth", ".mask")
_NEVER_SUFFIXES = ("_mask", "-mask", "_gt", "-gt", "_seg", "-seg")  # `7_label.png` alone may well show a label
_VERDICTS = ("-ok", "-ng", "-review")


# What else is a picture to the person who put it there.
_REASONS = {
    ".heic": "HEIC is not read: export as JPEG, on an iPhone with Settings > Camera > Formats > Most Compatible",
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv"), "videos are not read: save single pictures"),
    **dict.fromkeys((".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"), "raw: develop to PNG or TIFF"),
    **dict.fromkeys((*UNREAD - {".heic"}, ".psd", ".svg", ".tga", ".dcm", ".jxr"), "format not read: save as PNG"),
}


def unread(path: Path) -> str | None:
    """Why a file that is a picture to people is not read, by its suffix; None for all others."""
    return _REASONS.get(path.suffix.lower())


def unread_below(folder: Path) -> str:
    """What an error about a folder without pictures adds where there are some of a kind that is not read."""
    files = [file for file in files_below(folder) if unread(file)]
    return f". There are {len(files)} files like {files[0].name} ({unread(files[0])})" if files else ""


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, without hidden ones and pipes; an unreadable folder is an OSError.

    Raises InputError for a name with a line break or another control character: it could forge a line of a report.
    """

    def fail(error: OSError) -> None:
        raise error

    for location, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *names):
            if any(unicodedata.category(letter) == "Cc" for letter in name):
                raise InputError(f"{location}: holds a name with control characters ({name!r}). Rename or remove it")
        files = (Path(location, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if not _is_waited_for(file))


def _is_waited_for(file: Path) -> bool:
    """A pipe, a socket or a device: reading it may never end."""
    return file.exists() and not (file.is_file() or file.is_dir())


def images_in(folder: Path) -> list[Path]:
    """Image files in a folder, sorted by name; hidden files and masks beside their pictures are passed over."""
    files = [entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_file()]
    return _without_masks(files)


def images_below(folder: Path) -> list[Path]:
    """As `images_in`, with those of the folders below; folders of masks are passed over."""
    return list(walk_images(folder))


def walk_images(folder: Path) -> Iterator[Path]:
    """As `images_below`, one folder after another: no more names are held than one folder has."""
    for parent, files in groupby(files_below(folder), lambda file: file.parent):
        if not any(is_mask_folder(name) for name in parent.relative_to(folder).parts):
            yield from _without_masks(files)


def _without_masks(files: Iterable[Path]) -> list[Path]:
    images = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    stems = {image.stem.lower() for image in images}
    return [image for image in images if mask_of(image, stems) is None]


def mask_of(path: Path, stems: Iterable[str]) -> str | None:
    """The stem of the picture, among the small-lettered `stems` beside it, whose mask this file is by its name."""
    name = path.stem.lower()
    bare = (name.removesuffix(ending) for ending in MASK_ENDINGS if name.endswith(ending))
    return next((stem for stem in bare if stem in stems), None)


class Masks:
    """Finds masks by their names: in folders of masks of the same class, in one for all, or beside the pictures."""

    def __init__(self, roots: Iterable[Path], images: Iterable[Path]) -> None:
        tops = [entry for root in roots if root.is_dir() for entry in sorted(root.iterdir()) if entry.is_dir()]
        self._roots = [entry for entry in dict.fromkeys(tops) if is_mask_folder(entry.name)]
        self._listed: dict[Path, dict[str, Path]] = {}
        self._beside: dict[Path, list[Path]] = {}
        self._often = Counter(image.stem.lower() for image in images)

    def find(self, image: Path, base: Path) -> Path | None:
        """The mask of an image of a class below `base`."""
        inside, stem = image.relative_to(base), image.stem.lower()
        for root in self._roots:
            for folder in dict.fromkeys((root / inside.parent, root / inside.parts[0])):
                if mask := self._named(folder, stem):
                    return mask
            if self._often[stem] < 2 and (mask := self._named(root, stem)):
                return mask
        if image.parent not in self._beside:
            inner = sorted(entry for entry in image.parent.iterdir() if entry.is_dir())
            self._beside[image.parent] = [entry for entry in inner if is_mask_folder(entry.name)]
        for folder in self._beside[image.parent]:
            if mask := self._named(folder, stem):
                return mask
        return self._named(image.parent, stem, MASK_ENDINGS)

    def _named(self, folder: Path, stem: str, endings: tuple[str, ...] = ("", *MASK_ENDINGS)) -> Path | None:
        if folder not in self._listed:
            files = sorted(folder.iterdir()) if folder.is_dir() else []
            self._listed[folder] = {path.stem.lower(): path for path in files if path.suffix.lower() in SUFFIXES}
        names = (f"{stem}{ending}" for ending in endings)
        return next((self._listed[folder][name] for name in names if name in self._listed[folder]), None)


def _base(path: Path) -> Path:
    return path / "images" if (path / "images").is_dir() else path


def found(path: Path) -> bool:
    """A folder for good parts is there."""
    if not path.is_dir():
        return False
    return any(entry.is_dir() and is_good(entry.name) for entry in _base(path).iterdir())


def read(path: Path) -> list[Sample]:
    """Samples of every class folder. Raises InputError where there is no image at all, or a folder is not a class."""
    base, groups = _base(path), _read_groups(path / "groups.csv")
    samples = class_samples(base, (path, base), groups={path / name: group for name, group in groups.items()})
    if not samples:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise InputError(
            f"{base}: the class folders hold no images. Expected files ending in {suffixes}{unread_below(base)}"
        )
    return samples


def class_samples(
    base: Path, mask_roots: Iterable[Path], *, split: str | None = None, groups: dict[Path, str] | None = None
) -> list[Sample]:
    """Samples of the class folders in `base`. Raises InputError for a folder that is not a class, naming it."""
    folders = sorted(entry for entry in base.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    images = {folder: images_below(folder) for folder in folders if not is_mask_folder(folder.name)}
    classes = {folder.name.lower() for folder, listed in images.items() if listed}
    masks = Masks(mask_roots, (image for listed in images.values() for image in listed))
    samples = []
    for folder, listed in images.items():
        for name in dict.fromkeys(name for image in listed for name in image.relative_to(base).parts[:-1]):
            _check_folder(folder, name, classes, sum(name in image.relative_to(base).parts for image in listed))
        _check_names(folder, listed)
        good = is_good(folder.name)
        samples += [
            Sample(
                path=image,
                defective=not good,
                types=() if good else (_type(image.relative_to(base).parts),),
                mask=None if good else masks.find(image, base),
                group=(groups or {}).get(image),
                split=split,
            )
            for image in listed
        ]
    return samples


def _type(parts: tuple[str, ...]) -> str:
    """bad/scratch/001.png shows a scratch; scratch/lot 2/001.png does, too, and bad/2026-01-05/001.png is bad."""
    named = len(parts) > 2 and is_defective(parts[0]) and not any(letter.isdigit() for letter in parts[1])
    return readable_name(parts[1] if named else parts[0])


def _check_folder(folder: Path, name: str, classes: set[str], count: int) -> None:
    inner = name != folder.name
    what = not_a_type(name)
    if what is None and inner and is_good(folder.name) and (is_defective(name) or name.lower() in classes):
        what = "defective parts"
    if what is None and inner and not is_good(folder.name) and is_good(name):
        what = "good parts"
    if what is not None:
        kind = "good parts" if is_good(folder.name) else f"defective parts of the type '{folder.name}'"
        raise InputError(
            f"{folder / name if inner else folder}: looks like {what}, and its {count} pictures would be learned as "
            f"{kind}. Move it out of the dataset; if it is a defect type, call it '{name} defect'"
        )


def _check_names(folder: Path, images: list[Path]) -> None:
    """Refuse overlays and masks among the pictures of a class."""
    names = {(image.parent, image.stem.lower()) for image in images}
    for image in images:
        stem = image.stem.lower()
        ending = next((verdict for verdict in _VERDICTS if stem.endswith(verdict)), None)
        if ending and (image.parent, stem.removesuffix(ending)) in names:
            raise InputError(
                f"{image}: looks like a picture that an inspection made of the one without '{ending[1:].upper()}' in "
                "its name, and would be learned as a part. Move such pictures out of the dataset"
            )
        if stem.endswith(_NEVER_SUFFIXES):
            raise InputError(
                f"{image}: looks like a mask by its name, but its picture is not beside it, and it would be learned as "
                f"a part of '{folder.name}'. Put it beside its picture or into masks/{folder.name}/, or rename it"
            )


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
