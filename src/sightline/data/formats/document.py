"""Annotation files as what they are: data from strangers, every value checked before it is used.

Every error names file, place and remedy.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sightline.core.errors import InputError, warn_caller

_LARGEST = 1e10  # no pixel count or id is larger, and products of such numbers stay finite

_MAX_PX = 1 << 30  # OpenCV's own limit; a mask of any size that a file states could fill the memory


class DatasetWarning(UserWarning):
    """Something in a dataset that a person should look at; the work goes on."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError."""
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not readable JSON ({error}). Export the annotations again") from error
    except RecursionError as error:
        raise InputError(f"{path}: the JSON is nested too deeply. Export the annotations again") from error
    return as_object(value, str(path))


def read_xml(path: Path) -> Element:
    """The root of an XML file. A document type is refused: its entities can grow without bound or read other files."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path}, line {parser.CurrentLineNumber}: has a document type (DOCTYPE), which annotations do not need "
            "and which can hide harmful entities. Remove it, or export the annotations again"
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: a character set that nobody knows
        raise InputError(f"{path}: not readable XML ({error}). Export the annotations again") from error


def as_object(value: Any, location: str) -> dict[str, Any]:
    """`value` as a JSON object. Raises InputError."""
    if not isinstance(value, dict):
        raise InputError(f"{location}: expected an object, found {_short(value)}. Export the annotations again")
    return value


def as_list(value: Any, location: str) -> list[Any]:
    """`value` as a list; none is an empty one. Raises InputError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{location}: expected a list, found {_short(value)}. Export the annotations again")
    return value


def as_number(value: Any, location: str) -> float:
    """`value` as a finite number of a sane size. Raises InputError."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= _LARGEST:
        raise InputError(
            f"{location}: {_short(value)} is not a number that can be used. Correct it, or export the annotations again"
        )
    return number


def as_count(value: Any, location: str) -> int:
    """`value` as a whole number of 0 or more. Raises InputError."""
    number = as_number(value, location)
    if number != int(number) or number < 0:
        raise InputError(f"{location}: {_short(value)} is not a whole number of 0 or more. Correct it")
    return int(number)


def as_size(height: Any, width: Any, location: str) -> tuple[int, int]:
    """(height, width) in px. Raises InputError, for an image larger than any that can be decoded as well."""
    size = as_count(height, f"{location}, height"), as_count(width, f"{location}, width")
    if size[0] * size[1] > _MAX_PX:
        raise InputError(f"{location}: {size[1]} x {size[0]} px is larger than any image that can be read. Correct it")
    return size


def as_numbers(values: Any, count: int, location: str) -> list[float]:
    """`count` finite numbers. Raises InputError."""
    found = as_list(values, location)
    if len(found) != count:
        raise InputError(f"{location}: {len(found)} numbers where {count} belong. Correct it, or export it again")
    return [as_number(value, location) for value in found]


def as_name(value: Any, location: str) -> str:
    """`value` as the name of a class, spaces and control characters reduced. Raises InputError where it names none."""
    text = value if isinstance(value, str) else ""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not name:
        raise InputError(f"{location}: names no class. Give every marked place the name of its defect type")
    return name


def within(base: Path, name: Any, location: str) -> Path:
    """`base` / `name` for a file name from an annotation. Raises InputError where it leads out of `base`."""
    inside = _file_name(name, location)
    if _leads_out(inside):
        raise InputError(f"{location}: the file name '{name}' leads out of the dataset. Give one relative to {base}")
    return base / inside


def _file_name(name: Any, location: str) -> PurePosixPath:
    if not isinstance(name, str) or not name.strip() or any(unicodedata.category(letter) == "Cc" for letter in name):
        raise InputError(f"{location}: {_short(name)} is not a file name. Give one relative to the dataset")
    return PurePosixPath(name.strip().replace("\\", "/"))


def _leads_out(name: PurePosixPath) -> bool:
    return name.is_absolute() or bool(PureWindowsPath(str(name)).drive) or ".." in name.parts


class Finder:
    """Finds the files that annotations name, in `bases`, and nowhere else unless `outside`.

    A name from another computer (`C:\\line\\images\\1.png`, `../upload/1.png`) is the file inside that shares the
    longest end with it; `warn` says once how many were found so.
    """

    def __init__(self, bases: Sequence[Path], *, outside: bool = False) -> None:
        self._bases = bases
        self._outside = outside
        self._moved: dict[Path, str] = {}

    def find(self, name: Any, location: str) -> Path:
        """The file; where it is in no base, where it would be.

        Raises InputError where the name leads out of them, and for what is not a file: a pipe may never end.
        """
        path = self._image_path(_file_name(name, location), location)
        if not path.is_file() and not path.is_dir() and path.exists():
            raise InputError(f"{location}: {path} is a pipe or a device, not a file. Name an image file")
        return path

    def _image_path(self, given: PurePosixPath, location: str) -> Path:
        if not _leads_out(given):
            paths = [base / given for base in self._bases]
            there = (path for path in paths if path.is_file())
            return next(there, next((path for path in paths[::-1] if path.parent.is_dir()), paths[0]))
        for base in () if PureWindowsPath(str(given)).drive else self._bases:
            path = Path(os.path.abspath(base / given))  # noqa: PTH100 - links stay as they are
            if path.is_relative_to(top := base.absolute()):
                return base / path.relative_to(top)
        return self._bases[0] / given if self._outside else self._inside(given, location)

    def _inside(self, given: PurePosixPath, location: str) -> Path:
        parts = PurePosixPath(
            str(given).partition("?d=")[2] or str(given)
        ).parts  # Label Studio: ...local-files/?d=a/b.png
        for start in range(len(parts)):
            tail = PurePosixPath(*parts[start:])
            found = None if _leads_out(tail) else next((b / tail for b in self._bases if (b / tail).is_file()), None)
            if found is None:
                continue
            if self._moved.setdefault(found, str(given)) != str(given):
                raise InputError(
                    f"{location}: the file names '{given}' and '{self._moved[found]}' lead out of the dataset, and "
                    f"{found} may be either. Give names relative to {self._bases[0]}"
                )
            return found
        raise InputError(
            f"{location}: the file name '{given}' leads out of the dataset. Give one relative to {self._bases[0]}; for "
            "a table of your own, --outside allows it"
        )

    def warn(self, source: Path) -> None:
        """Say how many names were found by their end only."""
        if self._moved:
            path, name = next(iter(self._moved.items()))
            message = (
                f"{source}: {len(self._moved)} file names lead out of the dataset; the files of that name inside were "
                f"taken (first: {name} is {path}). Check that they are the same pictures"
            )
            warn_caller(message, DatasetWarning)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
