"""JPEG (ITU-T T.81): segments by hand, pixels by libjpeg-turbo, whose warnings are errors here.

OpenCV and Pillow drop libjpeg's warnings and give a picture whose rest is grey or shifted (docs/decisions/0032).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from sightline.core.errors import ImageError
from sightline.imaging.header import Bytes, Header, cut_off, damaged
from sightline.imaging.shift import is_shifted
from sightline.imaging.tiff_tags import orientation

KIND = "image/jpeg"
MAX_SCANS = 100  # a progressive picture has about ten; each costs the time of a whole one
SHIFTED = "from one block on, all are brighter, darker or of another colour"
SOI, EOI, SOS, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PARAMETERLESS = frozenset({0x01, *range(0xD0, 0xD8)})
# In the coded data, 0xFF is followed by a stuffed 0 or a restart marker; anything else ends the scan.
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def is_jpeg(head: bytes) -> bool:
    """Whether the first bytes are those of a JPEG file."""
    return head.startswith(b"\xff\xd8\xff")


def read_header(data: Bytes, at: int = 0) -> Header:
    """From the segments up to the first scan of the picture that begins at `at`. Raises struct.error, ValueError."""
    turn = 1
    for marker, start, end in _segments(data, at):
        if marker == APP1 and data[start : start + 6] == b"Exif\0\0":
            turn = orientation(data[start + 6 : end])
        if marker in _FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, start)
            return Header(KIND, height, width, channels, bits, turn)
    raise ValueError("no frame header before its end")


def ends_at(data: Bytes) -> int | None:
    """Where the first picture ends, after its end-of-image marker; None where that is missing."""
    position, scans = 0, 0
    try:
        while True:
            *_, (marker, _start, end) = _segments(data, position)
            if marker == EOI:
                return end
            scans += 1
            found = _AFTER_SCAN.search(data, end)
            if found is None or scans > MAX_SCANS:
                return None
            position = found.start()
    except (struct.error, ValueError):
        return None


def count_pages(data: Bytes) -> int:
    """Pictures of the same size in a row (MPO); smaller ones are previews and gain maps of phones, and do not count."""
    try:
        first = read_header(data)
    except (struct.error, ValueError):
        return 1
    pages, end = 1, ends_at(data)
    while end is not None and (end := data.find(b"\xff\xd8\xff", end)) >= 0:
        try:
            other = read_header(data, end)
            pages += (other.height, other.width) == (first.height, first.width)
        except (struct.error, ValueError):
            pass
        end += 3
    return pages


def decode(data: bytes, header: Header, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB as stored. Raises ImageError where the end is missing or libjpeg has any complaint."""
    if ends_at(data) is None:
        raise cut_off(name, KIND)
    four = header.channels == 4
    try:
        pixels: Any = simplejpeg.decode_jpeg(data, "CMYK" if four else "RGB", strict=True)
    except ValueError as error:
        raise damaged(name, KIND, str(error)) from error
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(f"{name}: two sizes in one JPEG file. Save it again")
    if is_shifted(pixels, _block(data)):
        raise damaged(name, KIND, SHIFTED)
    return _from_cmyk(pixels) if four else np.asarray(pixels, np.uint8)


def check_strip(data: bytes, size: tuple[int, int], name: str) -> None:
    """Raise ImageError where a JPEG stream inside another file is damaged, or is not of `size` (height, width)."""
    try:
        header = read_header(data)
        if header.width != size[1] or header.height != size[0]:
            raise ValueError("a strip of another size")
        pixels = simplejpeg.decode_jpeg(data, {3: "RGB", 4: "CMYK"}.get(header.channels, "GRAY"), strict=True)
        if is_shifted(pixels, _block(data)):
            raise ValueError(SHIFTED)
    except (ValueError, struct.error) as error:
        raise damaged(name, "image/tiff", str(error)) from error


def _block(data: bytes) -> tuple[int, int]:
    """Height and width of what is coded at a time, in px (T.81, A.2): one block, or several where colour is coarser."""
    frame = next(start for marker, start, _ in _segments(data, 0) if marker in _FRAMES)
    factors = [data[frame + 7 + 3 * index] for index in range(data[frame + 5])]
    if len(factors) == 1:
        return 8, 8
    return 8 * max(factor & 15 for factor in factors), 8 * max(factor >> 4 for factor in factors)


def _segments(data: Bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment from `at` on: up to the first scan's header or the end of the picture."""
    position = at
    while True:
        lead, marker = struct.unpack_from(">BB", data, position)
        if lead != 0xFF:
            raise ValueError("no marker where a segment should begin")
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2
        if marker in _PARAMETERLESS or marker in (SOI, EOI):
            yield marker, position, position
            if marker == EOI:
                return
            continue
        length = struct.unpack_from(">H", data, position)[0]
        yield marker, position + 2, position + length
        if marker == SOS:
            return
        position += length


def _from_cmyk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Adobe's inks are stored inverted: 255 is no ink.
    inks, black = pixels[..., :3], pixels[..., 3:]
    return np.asarray(cv2.multiply(inks, np.repeat(black, 3, axis=2), scale=1 / 255), np.uint8)
