"""YOLO: images/ and labels/ with one text file per image, class names in data.yaml or classes.txt.

A line is `class x y width height` (centre and size) or `class x1 y1 x2 y2 x3 y3 ...` (a polygon), in shares of the
image's sides. An empty label file is a good part. The parts are images/<split> or <split>/images, or as data.yaml says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sightline.core.errors import InputError, warn_caller
from sightline.core.region import Polygons, Rectangle, Region, Shape
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.document import (
    DatasetWarning,
    Finder,
    as_count,
    as_name,
    as_number,
    as_object,
    read_text,
    within,
)
from sightline.data.formats.folders import images_below
from sightline.data.formats.listing import Listing, Mark, sides
from sightline.data.formats.picture import Note, Picture, class_names, placed
from sightline.imaging.decoding import image_size

_LARGEST_BYTES, _DEEPEST = 1 << 20, 16
_LARGEST_SHARE = 2.0  # marks may reach over the border; a share beyond is none
PARTS = ("train", "val", "valid", "validation", "test")


def _settings(path: Path) -> Path | None:
    """The file with the class names."""
    if path.is_file():
        return path if path.suffix.lower() in {".yaml", ".yml"} and b"names" in path.read_bytes() else None
    names = [path / "data.yaml", path / "data.yml", path / "dataset.yaml", *sorted(path.glob("*.yaml"))]
    for file in names:
        if file.is_file() and b"names" in file.read_bytes():
            return file
    for file in (path / "classes.txt", path / "labels" / "classes.txt"):
        if file.is_file():
            return file
    return None


def found(path: Path) -> bool:
    """Class names and folders of images are there."""
    file = _settings(path)
    return bool(file and (file.suffix != ".txt" or _folders(path)))


def read(path: Path) -> list[Sample]:
    """Samples with boxes or polygons. Raises InputError naming the file and the line that cannot be used."""
    file = _settings(path)
    if file is None:
        raise InputError(f"{path}: neither data.yaml nor classes.txt is there. Add one with the names of the classes")
    listing = Listing(path)
    if file.suffix == ".txt":
        names = {i: name.strip() for i, name in enumerate(read_text(file).splitlines()) if name.strip()}
        parts = {name: [(image, path) for image in images_below(folder)] for name, folder in _folders(path).items()}
    else:
        data = _load(file)
        names, parts = _names(data, file), _parts(data, file)
    parts = _told_apart(parts, file)
    split = sides(parts)
    for name, images in parts.items():
        for image, base in images:
            _read_label(image, _label_of(image, base), names, split[name], listing)
    return listing.samples()


def _told_apart(parts: dict[str, list[tuple[Path, Path]]], file: Path) -> dict[str, list[tuple[Path, Path]]]:
    """The parts; those that name the very same images are one, without a side: it judges nothing to test on them."""
    images = {name: frozenset(image for image, _ in listed) for name, listed in parts.items()}
    filled = {name: listed for name, listed in images.items() if listed}
    if len(filled) > 1 and len(set(filled.values())) == 1:
        message = f"{file}: {' and '.join(filled)} name the same images, so a split is made. Give each its own"
        warn_caller(message, DatasetWarning)
        return {"": parts[next(iter(filled))]}
    return parts


def _folders(path: Path) -> dict[str, Path]:
    """Image folders by convention, by the name of their part."""
    pairs = [(part, path / "images" / part) for part in PARTS] + [(part, path / part / "images") for part in PARTS]
    given = {part: folder for part, folder in pairs if folder.is_dir()}
    plain = {"": path / "images"} if (path / "images").is_dir() and (path / "labels").is_dir() else {}
    return given or plain


def _load(file: Path) -> dict[str, Any]:
    import yaml  # only this layout needs it

    if file.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"{file}: is larger than any list of class names. Keep the paths and the names only")
    text = read_text(file)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(
                    f"{file}: has YAML aliases (*name), which can grow without bound. Write the values out"
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:  # the parser takes minutes for what is nested thousands of times
                raise InputError(f"{file}: values are nested too deeply. Write names: [crack, dent]")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{file}: not readable YAML ({error}). Correct it, or export it again") from error
    return as_object(value, str(file))


def _names(data: dict[str, Any], file: Path) -> dict[int, str]:
    names = data.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{file}: 'names' is not a list of class names. Write names: [crack, dent]")
    return {as_count(key, f"{file}, names"): as_name(str(name), f"{file}, names") for key, name in names.items()}


def _parts(data: dict[str, Any], file: Path) -> dict[str, list[tuple[Path, Path]]]:
    """The images of each part with the folder below which labels are looked for."""
    root = data.get("path")
    bases = [file.parent]
    if isinstance(root, str) and not Path(root).is_absolute() and ".." not in PurePosixPath(root).parts:
        bases.append(file.parent / root)
    parts: dict[str, list[tuple[Path, Path]]] = {}
    for name in PARTS:
        values = data.get(name)
        listed = values if isinstance(values, list) else [values]
        wanted = [value for value in listed if isinstance(value, str) and value.strip()]
        locations = [_resolve(bases, value, f"{file}, {name}") for value in wanted]
        if locations:
            parts[name] = [image for base, location in locations for image in _images(base, location)]
    if any(parts.values()):
        return parts
    folders = _folders(file.parent)
    if not folders:
        raise InputError(f"{file}: no images where 'train', 'val' and 'test' say, or in images/. Correct the paths")
    return {name: [(image, file.parent) for image in images_below(folder)] for name, folder in folders.items()}


def _resolve(bases: list[Path], value: str, location: str) -> tuple[Path, Path]:
    # Some exports write ../train/images for train/images: taken so where that is there.
    plain = value.replace("\\", "/")
    if plain.startswith("../") and (bases[0] / plain.removeprefix("../")).exists():
        plain = plain.removeprefix("../")
    candidates = [(base, within(base, plain, location)) for base in bases]
    return next(((base, path) for base, path in candidates if path.exists()), candidates[0])


def _images(base: Path, location: Path) -> list[tuple[Path, Path]]:
    if location.suffix == ".txt" and location.is_file():
        lines = [line.strip() for line in read_text(location).splitlines()]
        finder = Finder((base,))
        found = [(finder.find(line, str(location)), base) for line in lines if line]
        finder.warn(location)
        return found
    return [(image, base) for image in images_below(location)] if location.is_dir() else []


def _label_of(image: Path, base: Path) -> Path:
    """The last folder `images` below the dataset becomes `labels`; without one, the label lies beside its image."""
    parts = list(image.relative_to(base).parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return base.joinpath(*parts).with_suffix(".txt")


def _read_label(image: Path, label: Path, names: dict[int, str], split: str | None, listing: Listing) -> None:
    if not label.is_file():
        listing.add_unlabelled(image, split)
        return
    lines = [(number, line.split()) for number, line in enumerate(read_text(label).splitlines(), 1) if line.strip()]
    size = None
    if lines:
        try:
            size = image_size(image)
        except InputError as error:
            raise InputError(f"{label}: shares of an image whose size is unknown: {error}") from error
    marks = [_mark(tokens, names, size, f"{label}, line {number}") for number, tokens in lines] if size else []
    listing.add(image, marks, str(label), size=size, split=split)


def _mark(tokens: list[str], names: dict[int, str], size: tuple[int, int], location: str) -> Mark:
    number = as_count(tokens[0], location)
    if number not in names:
        listed = ", ".join(f"{key} {name}" for key, name in sorted(names.items())) or "none"
        raise InputError(
            f"{location}: the class {number} does not exist (known: {listed}). Correct it, or name the class"
        )
    values = [as_number(token, location) for token in tokens[1:]]
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise InputError(
            f"{location}: {len(values)} numbers after the class. Give 4 for a box, 6 or more for a polygon"
        )
    if max(values) > _LARGEST_SHARE:
        raise InputError(
            f"{location}: {max(values):g} is not a share of an image's side, so these may be pixels. Export as YOLO "
            "again, with numbers from 0 to 1"
        )
    return Region(names[number], _shape(values, size)), location


def _shape(values: list[float], size: tuple[int, int]) -> Shape:
    high, wide = size
    if len(values) > 4:
        return Polygons.united([np.array(values).reshape(-1, 2) * (wide, high)])
    x, y, width, height = values[0] * wide, values[1] * high, values[2] * wide, values[3] * high
    return Rectangle(x - width / 2, y - height / 2, width, height)


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """images/<split>/, labels/<split>/ and data.yaml. An unlabelled image gets no label file.

    Lines are boxes where all regions are boxes, otherwise polygons, since trainers want one kind.
    """
    import yaml  # only this layout needs it

    exported = placed(pictures, note)
    names = class_names(exported)
    numbers = {name: number for number, name in enumerate(names)}
    boxes = all(isinstance(region.shape, Rectangle) for picture in exported for region in picture.regions)
    for picture in exported:
        split = picture.sample.split or "."
        picture.copy(folder / "images" / split)
        labels = folder / "labels" / split
        labels.mkdir(parents=True, exist_ok=True)
        if picture.sample.defective is not None:
            lines = [f"{numbers[region.type]} {_numbers(region, picture, boxes)}\n" for region in picture.regions]
            (labels / f"{picture.stem}.txt").write_text("".join(lines), encoding="utf-8")
    # The keys that trainers ask for: what they call val is the part that nothing is learned from.
    keys = {TRAIN: "train", TEST: "val"}
    splits = sorted({picture.sample.split for picture in exported if picture.sample.split}, reverse=True)
    settings = {keys[split]: f"images/{split}" for split in splits} | {"names": dict(enumerate(names)) or {0: "defect"}}
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _numbers(region: Region, picture: Picture, boxes: bool) -> str:
    size = np.array([picture.width, picture.height], float)
    if boxes:
        x, y, width, height = region.box
        points = np.array([[x + width / 2, y + height / 2], [width, height]])
    else:
        points = region.outline
    return " ".join(f"{number:.7f}" for number in (points / size).ravel().tolist())
