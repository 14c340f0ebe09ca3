"""TIFF directories and their tags (TIFF 6.0, BigTIFF), as a TIFF file and the EXIF data of other formats have them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sightline.imaging.header import Bytes

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 1000  # so many are looked for; a chain may be a circle
TURN = 274
_VALUES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}
_LISTED = 3_000_000  # values of one tag: rows of the largest picture and more

Tags = dict[int, tuple[int, ...]]


def orientation(exif: bytes) -> int:
    """EXIF orientation, 1 to 8, of a TIFF directory as in EXIF data; 1 where there is none that can be read."""
    try:
        exif = exif.removeprefix(b"Exif\0\0")
        turn = next(directories(exif)).get(TURN, (1,))[0] if exif.startswith(MAGIC) else 1
    except (struct.error, ValueError, IndexError, StopIteration):
        return 1
    return turn if 1 <= turn <= 8 else 1


def directories(data: Bytes) -> Iterator[Tags]:
    """The tags of each directory in the chain: whole numbers only."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    position = _unpacked(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    visited: set[int] = set()
    while position and position not in visited and len(visited) < MAX_PAGES:
        visited.add(position)
        count = _unpacked(order + ("Q" if big else "H"), data, position)[0]
        start, step = position + (8 if big else 2), 20 if big else 12
        if start + count * step > len(data):
            raise ValueError("a directory beyond the end")
        yield dict(_tag(data, start + index * step, order, big) for index in range(count))
        position = _unpacked(order + ("Q" if big else "I"), data, start + count * step)[0]


def _unpacked(form: str, data: Bytes, position: int) -> tuple[int, ...]:
    """Numbers at a position. Raises struct.error, ValueError."""
    if position > len(data):  # of which BigTIFF can name more than a buffer may have
        raise ValueError("a value beyond the end")
    return struct.unpack_from(form, data, position)


def _tag(data: Bytes, position: int, order: str, big: bool) -> tuple[int, tuple[int, ...]]:
    tag, kind, count = _unpacked(order + ("HHQ" if big else "HHI"), data, position)
    letter, value = _VALUES.get(kind), position + (12 if big else 8)
    if letter is None or count == 0:
        return tag, ()
    if count > _LISTED:
        raise ValueError(f"{count} values in one tag")
    form = f"{order}{count}{letter}"
    if struct.calcsize(form) > (8 if big else 4):
        value = _unpacked(order + ("Q" if big else "I"), data, value)[0]
    return tag, _unpacked(form, data, value)
