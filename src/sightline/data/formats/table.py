"""A CSV table: image, label, mask, grade, type, group, lot, split; only `image` and a label, type or grade are needed.

Paths are relative to the table. `label` says good or defective in the trade's words, or names a defect type; several
types are separated by `;`. Without a label, grade 0 means good and every other grade defective. Several rows may speak
of one image, each of one of its defects. Other columns become the sample's metadata.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from sightline.core.errors import InputError
from sightline.core.region import Region, Runs
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.core.untrusted import cell
from sightline.core.untrusted import plain as plain_cell
from sightline.data.formats.document import Finder
from sightline.data.formats.label import EXAMPLES, GOOD_IN_TABLE, SILENT, good_labels, is_plain_defect, plain
from sightline.data.formats.picture import Note, Picture, write_mask
from sightline.imaging.mask import read_mask

COLUMNS = ("image", "label", "mask", "grade", "type", "group", "lot", "split")
# Other names of the two columns that a table needs, the likeliest first; a name of KNOWN goes before all.
_OTHER_NAMES = {
    "image": "filename, file_name, file, filepath, file_path, image_path, image_name, path, img, bild, datei",
    "label": "class, class_name, klasse, category, target, defective, is_defective, defect, anomaly",
}
_SEPARATORS = (",", ";", "\t", "|")
_SIDES = {"": "", "train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
_SIDES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")


@dataclass(frozen=True, slots=True)
class _Row:
    location: str
    cells: dict[str, str]

    def cell(self, name: str) -> str:
        return self.cells.get(name, "")


def _columns(header: Sequence[str]) -> list[str]:
    """The header with the names of KNOWN where others stand for them."""
    names = [plain_cell(name.strip()).lower() for name in header]
    for known, others in _OTHER_NAMES.items():
        other = next((name for name in others.split(", ") if name in names), None)
        if known not in names and other:
            names[names.index(other)] = known
    return names


def _is_header(names: Iterable[str]) -> bool:
    return "image" in (known := set(names)) and bool(known & {"label", "grade", "type"})


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data[:200]:  # UTF-16 without a mark: every second byte of a Latin header is 0
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le")
    return data.decode("utf-8-sig")


def _split_lines(text: str) -> tuple[str, int, str]:
    """The text without a line like `sep=;`, the number of lines left out, and the separator of its cells."""
    first = io.StringIO(text, newline="").readline()  # which ends at a lone carriage return, too
    given = first.strip().strip('"')
    if given.lower().startswith("sep=") and len(given) == 5:
        return text[len(first) :], 1, given[4]
    for separator in _SEPARATORS:
        if _is_header(_columns(_first_row(text, separator))):
            return text, 0, separator
    return text, 0, ","


def _first_row(text: str, separator: str) -> list[str]:
    """Cells of the first row; none where it is empty or no CSV, as the one long line of a file of another kind."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error:
        return []


def _is_table(path: Path, *, own_names: bool = False) -> bool:
    if path.suffix.lower() not in {".csv", ".tsv"} or not path.is_file():
        return False
    try:
        text, _, separator = _split_lines(_decoded(path))
    except OSError as error:  # passed over, it would be another dataset
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Check its permissions, or move it away"
        ) from error
    except UnicodeDecodeError:
        text, _, separator = _split_lines(path.read_bytes().decode("utf-8-sig", "replace"))
    header = _first_row(text, separator)
    return _is_header([name.strip().lower() for name in header] if own_names else _columns(header))


def _tables(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if _is_table(path) else []
    files = [entry for entry in sorted(path.iterdir()) if _is_table(entry)]
    return [file for file in files if _is_table(file, own_names=True)] or files


def found(path: Path) -> bool:
    """`path` is such a table, or a folder that holds one."""
    return bool(_tables(path))


def read(path: Path, *, outside: bool = False) -> list[Sample]:
    """Samples of the table's rows. Raises InputError naming the row that cannot be used.

    An image outside the table's folder is refused unless `outside`: a table from a stranger could name any file here.
    """
    table = _table(path)
    rows = _rows(table)
    if not rows:
        raise InputError(f"{table}: the table has a header and no rows")
    good = _good_labels(table, rows)
    sides = {row.cell("split").lower() for row in rows}
    validation = TRAIN if TEST in {_SIDES.get(side) for side in sides} else TEST
    finder = Finder((table.parent,), outside=outside)
    samples: dict[Path, list[tuple[_Row, Sample]]] = {}
    for row in rows:
        sample = _sample(row, good, validation, finder)
        samples.setdefault(sample.path, []).append((row, sample))
    finder.warn(table)
    return [_one(entries) for entries in samples.values()]


def meanings(path: Path) -> dict[str, str]:
    """Every label of the table, as it is written, and what it is read as."""
    rows = _rows(_table(path))
    good = good_labels(row.cell("label") for row in rows)
    plain_labels = {row.cell("label"): plain(row.cell("label")) for row in rows if row.cell("label")}
    return {
        label: _meaning(label_text, good) or f"type '{label}'" for label, label_text in sorted(plain_labels.items())
    }


def _meaning(label_text: str, good: frozenset[str]) -> str:
    """Good, defective, no label, or nothing where the word is the name of a type."""
    if label_text in good:
        return "good"
    if label_text in SILENT:
        return "no label"
    return "defective" if is_plain_defect(label_text) else ""


def _table(path: Path) -> Path:
    tables = _tables(path)
    if len(tables) > 1:
        raise InputError(f"{path}: holds several tables ({', '.join(t.name for t in tables)}). Name the one to use")
    if not tables:
        raise InputError(
            f"{path}: is not a table with the column 'image' and a column 'label' or 'grade'. Check the path"
        )
    return tables[0]


def _rows(table: Path) -> list[_Row]:
    try:
        text, skipped, separator = _split_lines(_decoded(table))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        names = _columns(next(reader, []))
        rows = []
        for values in reader:
            if any(values):
                cells = {name: plain_cell(value.strip()) for name, value in zip(names, values, strict=False) if name}
                rows.append(_Row(f"{table}, row {reader.line_num + skipped}", cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not a readable CSV ({error}). Save it as UTF-8 CSV") from error
    return rows


def _good_labels(table: Path, rows: Sequence[_Row]) -> frozenset[str]:
    """The labels that mean good. Raises InputError where names that nobody knows stand beside none that is good."""
    labels = [row.cell("label") for row in rows if row.cell("label")]
    good = good_labels(labels)
    unsure = sorted({label for label in labels if plain(label) in GOOD_IN_TABLE - good}) if good else []
    if unsure:
        raise InputError(
            f"{table}: '{unsure[0]}' may mean good or not, beside other labels that mean good ({_counted(labels)}). "
            "Write 'good', 'defect' or the defect's name instead"
        )
    strange = [row for row in rows if row.cell("label") and not row.cell("type")]
    strange = [row for row in strange if not _meaning(plain(row.cell("label")), good)]
    if strange and not good and not any(row.cell("grade") and not row.cell("label") for row in rows):
        raise InputError(
            f"{table}: no label means a good part. Labels found: {_counted(labels)}. Write 'good' (or {EXAMPLES}) "
            "where a part is good; if every part is defective, label it 'defect' and name the type in a column 'type'"
        )
    return good


def _counted(labels: Sequence[str]) -> str:
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    listed = [f"'{label}' {count}" for label, count in list(counts.items())[:12]]
    return ", ".join(listed) + (", ..." if len(counts) > 12 else "")


def _sample(row: _Row, good: frozenset[str], validation: str, finder: Finder) -> Sample:
    if not row.cell("image"):
        raise InputError(f"{row.location}: the column 'image' is empty. Give a path relative to the table")
    grade = _grade(row.cell("grade"), row.location)
    label_text = plain(row.cell("label"))
    meaning = _meaning(label_text, good) if label_text else ""
    types = tuple(name.strip() for name in row.cell("type").split(";") if name.strip())
    if label_text and not meaning and not types:
        types = (row.cell("label"),)
    label = meaning if meaning != "no label" else ""
    defective = label != "good" if label or types else None if grade is None else grade > 0
    return Sample(
        path=finder.find(row.cell("image"), row.location),
        defective=defective,
        types=types if defective else (),
        mask=finder.find(row.cell("mask"), f"{row.location}, mask") if row.cell("mask") else None,
        grade=grade,
        group=row.cell("group") or None,
        lot=row.cell("lot") or None,
        split=_split(row.cell("split"), row.location, validation),
        metadata=MappingProxyType({key: value for key, value in row.cells.items() if key not in COLUMNS}),
    )


def _one(entries: Sequence[tuple[_Row, Sample]]) -> Sample:
    """One image of all rows that speak of it: its types joined, the worst grade, a place for each mask."""
    first, sample = entries[0]
    for row, other in entries[1:]:
        if (other.defective, other.split, other.group, other.lot) != (
            *(sample.defective, sample.split),
            *(sample.group, sample.lot),
        ):
            raise InputError(
                f"{row.location}: {row.cell('image')} is listed before ({first.location.rpartition(', ')[2]}) with "
                "another label, split, group or lot. Keep one of them"
            )
    others = [other for _, other in entries]
    types = tuple(dict.fromkeys(name for other in others for name in other.types))
    grades = [other.grade for other in others if other.grade is not None]
    masks = list(dict.fromkeys(other.mask for other in others if other.mask))
    sample = replace(sample, types=types, grade=max(grades, default=None), mask=masks[0] if masks else None)
    if len(masks) < 2:
        return sample
    marked = [(name, other.mask) for other in others if other.mask for name in other.types or ("defect",)]
    regions = tuple(Region(name, Runs.of(read_mask(mask))) for name, mask in dict.fromkeys(marked))
    return replace(sample, mask=None, regions=regions)


def _grade(text: str, location: str) -> int | None:
    if not text:
        return None
    try:
        number = float(text.replace(",", "."))
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{location}: grade '{text}' is not a whole number. Use 0 for the best grade")


def _split(text: str, location: str, validation: str) -> str | None:
    side = _SIDES.get(text.lower())
    if side is None:
        raise InputError(f"{location}: split '{text}' is unknown. Use train, val, test, or leave it empty")
    return validation if side == "val" else side or None


def write(pictures: Sequence[Picture], folder: Path, note: Note) -> None:
    """labels.csv, images/ and masks/. Everything is kept, but the regions of an image are together in one mask."""
    del note  # everything can be said
    extra = sorted({key for picture in pictures for key in picture.sample.metadata} - set(COLUMNS))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([cell(name) for name in (*COLUMNS, *extra)])
        for picture in pictures:
            picture.copy(folder / "images")
            if picture.regions:
                write_mask(folder / "masks" / f"{picture.stem}.png", picture.mask())
            mask = f"masks/{picture.stem}.png" if picture.regions else ""
            writer.writerow(row_of(picture.sample, f"images/{picture.name}", mask, extra))


def row_of(sample: Sample, image: str, mask: str, extra: Iterable[str]) -> list[str]:
    """The cells of a sample whose image and mask are found there: those of KNOWN, then its `extra` metadata."""
    label = "" if sample.defective is None else "defect" if sample.defective else "good"
    grade = "" if sample.grade is None else str(sample.grade)
    types = ";".join(name.replace(";", ",") for name in sample.types)
    rest = (sample.group or "", sample.lot or "", sample.split or "")
    metadata = (sample.metadata.get(key, "") for key in extra)
    return [cell(value) for value in (image, label, mask, grade, types, *rest, *metadata)]
