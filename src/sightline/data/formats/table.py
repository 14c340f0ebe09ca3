"""A CSV table: image, label, mask, grade, type, group, lot, split; only `image` and a label or grade are needed.

Paths are relative to the table. `label` is good or defect (or a defect type's name); several types are
separated by `;`. Without a label, grade 0 means good and every other grade defective. Other columns become
the sample's metadata.
"""

from __future__ import annotations

import csv
from pathlib import Path
from types import MappingProxyType

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data.formats.folders import is_good

KNOWN = ("image", "label", "mask", "grade", "type", "group", "lot", "split")
DEFECT = frozenset(("defect", "defective", "ng", "bad", "anomaly", "anomalous"))


def _is_table(path: Path) -> bool:
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        header = {name.strip().lower() for name in next(csv.reader(file), [])}
    return "image" in header and bool(header & {"label", "grade", "type"})


def _tables(path: Path) -> list[Path]:
    if path.is_dir():
        return [entry for entry in sorted(path.iterdir()) if _is_table(entry)]
    return [path] if _is_table(path) else []


def found(path: Path) -> bool:
    """`path` is such a table, or a folder that holds one."""
    return bool(_tables(path))


def read(path: Path) -> list[Sample]:
    """Samples of the table's rows. Raises InputError naming the row that cannot be used."""
    tables = _tables(path)
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise InputError(f"{path}: holds several tables ({names}). Name the one to use")
    table = tables[0]
    with table.open(newline="", encoding="utf-8-sig") as file:
        try:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{table}: not a readable CSV ({error}). Save it as UTF-8 CSV") from error
    samples = [_sample(table, number, row) for number, row in rows]
    if not samples:
        raise InputError(f"{table}: the table has a header and no rows")
    return samples


def _sample(table: Path, number: int, row: dict[str, str | None]) -> Sample:
    cells = {str(key).strip().lower(): (value or "").strip() for key, value in row.items() if key}
    place = f"{table}, row {number}"
    if not cells.get("image"):
        raise InputError(f"{place}: the column 'image' is empty. Give a path relative to the table")
    grade = _grade(cells.get("grade", ""), place)
    label = cells.get("label", "").lower()
    types = tuple(name.strip() for name in cells.get("type", "").split(";") if name.strip())
    if label and not is_good(label) and label not in DEFECT and not types:
        types = (cells["label"],)
    return Sample(
        path=table.parent / cells["image"].replace("\\", "/"),
        defective=_defective(label, types, grade),
        types=() if is_good(label) else types,
        mask=table.parent / cells["mask"].replace("\\", "/") if cells.get("mask") else None,
        grade=grade,
        group=cells.get("group") or None,
        lot=cells.get("lot") or None,
        split=_split(cells.get("split", ""), place),
        metadata=MappingProxyType({key: value for key, value in cells.items() if key not in KNOWN}),
    )


def _grade(text: str, place: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"{place}: grade '{text}' is not a whole number. Use 0 for the best grade") from error


def _split(text: str, place: str) -> str | None:
    names = {"": None, "train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
    if text.lower() not in names:
        raise InputError(f"{place}: split '{text}' is unknown. Use train, test, or leave it empty")
    return names[text.lower()]


def _defective(label: str, types: tuple[str, ...], grade: int | None) -> bool | None:
    if label:
        return not is_good(label)
    if types:
        return True
    return None if grade is None else grade > 0
