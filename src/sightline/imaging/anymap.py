"""PBM, PGM and PPM (netpbm): header and pixels by hand, with the value that the file calls white."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.imaging.header import Bytes, Header, cut_off, damaged

KIND = "image/x-portable-anymap"
_SPACE = rb"(?:[ \t\r\n]|#[^\r\n]*[\r\n])+"
_BITMAP = re.compile(rb"P([14])" + _SPACE + rb"(\d{1,7})" + _SPACE + rb"(\d{1,7})[ \t\r\n]")
_GREY_OR_COLOUR = re.compile(
    rb"P([2356])" + _SPACE + rb"(\d{1,7})" + _SPACE + rb"(\d{1,7})" + _SPACE + rb"(\d{1,5})[ \t\r\n]"
)
_NUMBERS = re.compile(rb"(?:\d{1,5}|[ \t\r\n]+)*")
_HEAD = 4096


def is_anymap(head: bytes) -> bool:
    """Whether the first bytes are those of a PBM, PGM or PPM file."""
    return len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and (head[2:3].isspace() or head[2:3] == b"#")


def read_header(data: Bytes) -> Header:
    """Size, channels and maxval. Raises ValueError."""
    kind, width, height, white, end = _parse(data)
    deep = white > 255
    after = end + _raster_bytes(kind, width, height, deep)
    pages = 2 if kind >= 4 and data[after : after + 2] == data[:2] else 1  # netpbm lets pictures follow each other
    full = None if kind in (1, 4) or white in (255, 65535) else white
    return Header(KIND, height, width, 3 if kind in (3, 6) else 1, 16 if deep else 8, 1, full, pages)


def is_cut_off(data: Bytes) -> bool:
    """Whether pixels are missing; of a text picture only decoding tells."""
    try:
        kind, width, height, white, end = _parse(data)
    except ValueError:
        return len(data) < _HEAD
    return kind >= 4 and end + _raster_bytes(kind, width, height, white > 255) > len(data)


def decode(data: bytes, name: str) -> NDArray[Any]:
    """(H, W, 1 or 3) uint8 or uint16, RGB, as the file's numbers. Raises ImageError."""
    if is_cut_off(data):
        raise cut_off(name, KIND)
    kind, width, height, white, end = _parse(data)
    channels = 3 if kind in (3, 6) else 1
    count = width * height * channels
    if kind == 1:
        values = np.frombuffer(data, np.uint8, offset=end)
        values = values[(values == ord("0")) | (values == ord("1"))] - np.uint8(ord("0"))
    elif kind in (2, 3):
        if not _NUMBERS.fullmatch(data, end):
            raise damaged(name, KIND, "not numbers only")
        values = np.fromstring(data[end:], np.int64, sep=" ")  # text: not the deprecated way of reading bytes
    elif kind == 4:
        stride = (width + 7) // 8
        packed = np.frombuffer(data, np.uint8, stride * height, end).reshape(height, stride)
        values = np.unpackbits(packed, axis=1)[:, :width].reshape(-1)
    else:
        values = np.frombuffer(data, ">u2" if white > 255 else np.uint8, count, end)
    if values.size < count:
        raise cut_off(name, KIND)
    values = values[:count].reshape(height, width, channels)
    if kind in (1, 4):
        return ((1 - values) * 255).astype(np.uint8)  # 1 is black
    if not 0 < white < 65536 or int(values.max()) > white:
        raise damaged(name, KIND, f"values above the {white} that its header calls white")
    # Where white is below 255, the values are scaled as those of 16 bits are.
    return values.astype(np.uint8 if white == 255 else np.uint16)


def _parse(data: Bytes) -> tuple[int, int, int, int, int]:
    """(number of its kind, width, height, maxval, where the pixels begin)."""
    head = bytes(data[:_HEAD])
    found = _BITMAP.match(head) or _GREY_OR_COLOUR.match(head)
    if found is None:
        raise ValueError("no size in its header")
    numbers = [int(text) for text in found.groups()]
    return numbers[0], numbers[1], numbers[2], numbers[3] if len(numbers) > 3 else 1, found.end()


def _raster_bytes(kind: int, width: int, height: int, deep: bool) -> int:
    if kind < 4:
        return 0
    return (width + 7) // 8 * height if kind == 4 else width * height * (3 if kind == 6 else 1) * (2 if deep else 1)
