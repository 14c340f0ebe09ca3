"""Sample parts: one after another, or a folder with images, masks and a table, as a factory would hand it over."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.data.sample.product import Part
from sightline.data.sample.studio import Studio, defect_types

COLUMNS = ("image", "label", "mask", "type", "grade", "group", "lot", "split")
TEST_SHARE = 0.3
"""Share of the good parts that is held out; every defective part is."""


def write(
    folder: Path,
    product: str = "cap",
    *,
    good: int = 60,
    defects_per_type: int = 6,
    seed: int = 0,
    size: int = 512,
    lots: int = 3,
    drift: float = 0.0,
) -> Path:
    """Write `images/good/NNNN.png`, `images/<type>/NNNN.png`, `masks/<type>/NNNN.png` and `parts.csv`.

    Good and defective parts come off the line in random order, each with its own serial number (column
    `group`), so that neither lot nor drift gives a defect away. Columns: image and mask are paths relative to
    the folder (mask empty on good parts), label is good or defect, split is train or test. Equal arguments
    write equal files. Returns the folder. Raises InputError if the folder has anything in it.
    """
    folder = Path(folder)
    if good < 0 or defects_per_type < 0:
        raise InputError("a number of parts is negative. Choose good and defects_per_type of 0 or more")
    check_drift(drift)
    studio = Studio(product, seed=seed, size=size, lots=lots)
    _claim(folder)
    kinds: list[str | None] = [None] * good
    kinds += [kind for kind in defect_types(product) for _ in range(defects_per_type)]
    kinds = [kinds[index] for index in np.random.default_rng((seed, 1)).permutation(len(kinds))]
    held_out = set(np.random.default_rng((seed, 2)).permutation(good)[: round(TEST_SHARE * good)].tolist())
    numbers: Counter[str | None] = Counter()
    rows = []
    for serial, kind in enumerate(kinds):
        part = studio.render(serial, kind, drift * progress(serial, len(kinds)))
        split = "test" if kind is not None or numbers[kind] in held_out else "train"
        rows.append(_save(folder, part, numbers[kind], f"{product}-{serial + 1:05d}", split))
        numbers[kind] += 1
    with (folder / "parts.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows))
    return folder


def _claim(folder: Path) -> None:
    """Make the folder, or refuse one that holds anything: samples never mix with someone's own images."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file. Name a new or an empty folder for the sample parts")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"the folder {folder} is not empty. Name a new or an empty folder for the sample parts")
    folder.mkdir(parents=True, exist_ok=True)


def _save(folder: Path, part: Part, number: int, serial: str, split: str) -> tuple[str, ...]:
    """Write the pictures of one part; its row of the table."""
    kind = part.types[0] if part.types else ""
    image = f"images/{kind or 'good'}/{number:04d}.png"
    _write_png(folder / image, cv2.cvtColor(part.image, cv2.COLOR_RGB2BGR))
    mask = f"masks/{kind}/{number:04d}.png" if kind else ""
    if mask:
        _write_png(folder / mask, part.mask.astype(np.uint8) * 255)
    return image, "defect" if kind else "good", mask, kind, str(part.grade), serial, part.lot, split


def _write_png(path: Path, image: NDArray[np.uint8] | cv2.typing.MatLike) -> None:
    # Encoded in memory: OpenCV's own file writing fails silently, and on names outside ASCII.
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise InputError(f"{path} could not be encoded as PNG. Check the image size")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def render(
    product: str,
    count: int,
    *,
    types: Sequence[str] | None = None,
    defect_rate: float = 0.0,
    seed: int = 0,
    size: int = 512,
    lots: int = 3,
    drift: float = 0.0,
) -> Iterator[Part]:
    """Render `count` parts of a product, one at a time.

    `defect_rate`: chance of each part to get one defect, its type drawn evenly from `types` (default: all of
    the product's). `lots`: parts of so many lots arrive in turn. `drift`: relative change of the light from
    the first part to the last, such as -0.3. Equal arguments give equal bits; a part depends on the seed and
    its index, and on `count` only through `drift`. Raises InputError at once for an argument out of range.
    """
    chosen = checked_types(product, types)
    if count < 0:
        raise InputError(f"{count} parts cannot be rendered. Choose a count of 0 or more")
    if not 0 <= defect_rate <= 1:
        raise InputError(f"the defect rate {defect_rate} is not a share. Choose a value from 0 to 1")
    check_drift(drift)
    studio = Studio(product, seed=seed, size=size, lots=lots)

    def parts() -> Iterator[Part]:
        for index in range(count):
            kind = studio.random_kind(index, chosen, defect_rate)
            yield studio.render(index, kind, drift * progress(index, count))

    return parts()


def progress(index: int, count: int) -> float:
    """How far into the run a part comes: 0 for the first, 1 for the last."""
    return index / max(count - 1, 1)


def checked_types(product: str, types: Sequence[str] | None) -> tuple[str, ...]:
    """The given defect types, or all of the product's; InputError for one that it does not have."""
    available = defect_types(product)
    chosen = available if types is None else tuple(types)
    unknown = [kind for kind in chosen if kind not in available]
    if unknown or not chosen:
        named = f"'{unknown[0]}'" if unknown else "an empty list of types"
        raise InputError(f"the sample product '{product}' has no defect {named}. Choose from: {', '.join(available)}")
    return chosen


def check_drift(drift: float) -> None:
    """InputError for a drift that would turn the light off, or blind the camera."""
    if not -0.9 <= drift <= 4:
        raise InputError(f"a drift of {drift} cannot be photographed. Choose a value from -0.9 to 4")
