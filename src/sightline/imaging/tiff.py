"""TIFF 6.0 and BigTIFF: header and the check of every strip by hand, pixels by OpenCV.

OpenCV goes on where libtiff reports an error in 8-bit data, so each strip or tile is proved whole beforehand.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sightline.core.errors import ImageError
from sightline.imaging.header import MAX_PIXELS, Bytes, Header, cut_off, damaged
from sightline.imaging.jpeg import check_strip
from sightline.imaging.tiff_tags import MAGIC, TURN, Tags, directories

KIND = "image/tiff"
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, TABLES = 322, 323, 324, 325, 347
REDUCED, MASK = 1, 4  # kinds of pages that no viewer shows as a page
NONE, LZW, JPEG, DEFLATE, DEFLATE_OLD, PACKBITS = 1, 5, 7, 8, 32946, 32773
_YCBCR = 6


def is_tiff(head: bytes) -> bool:
    """Whether the first bytes are those of a TIFF or BigTIFF file."""
    return head.startswith(MAGIC)


def read_header(data: Bytes) -> Header:
    """From the first directory, and the number of pages from all. Raises struct.error, ValueError."""
    chain = directories(data)
    tags = next(chain)
    pages = 1 + sum(not tags.get(SUBFILE, (0,))[0] & (REDUCED | MASK) for tags in chain)
    (width,), (height,) = tags[WIDTH][:1], tags[HEIGHT][:1]
    bits, turn = max(tags.get(BITS, (1,))), tags.get(TURN, (1,))[0]
    # OpenCV shifts packed values up to 16 bits.
    full = 65536 - (1 << (16 - bits)) if bits in (10, 12, 14) else None
    deep = 16 if full else max(8, bits)
    channels = tags.get(SAMPLES, (1,))[0]
    return Header(KIND, height, width, channels, deep, turn if 1 <= turn <= 8 else 1, full, pages)


def is_cut_off(data: Bytes) -> bool:
    """Whether a strip or tile reaches beyond the end."""
    try:
        tags = next(directories(data))
    except (struct.error, ValueError, StopIteration):
        return True
    offsets, counts = _strips(tags)
    return any(offset + count > len(data) for offset, count in zip(offsets, counts, strict=False))


def check(data: bytes, header: Header, name: str) -> None:
    """Raise ImageError where a strip or tile does not hold as many pixels as the header says."""
    if is_cut_off(data):
        raise cut_off(name, KIND)
    tags = next(directories(data))
    compression = tags.get(COMPRESSION, (NONE,))[0]
    if compression not in _CHECKS and compression != JPEG:
        raise ImageError(
            f"{name}: TIFF with compression {compression} is not read. Save it without compression, or with LZW or ZIP"
        )
    if tags.get(PHOTOMETRIC, (1,))[0] == _YCBCR and compression != JPEG:
        raise ImageError(f"{name}: YCbCr in TIFF is read with JPEG compression only. Save it as RGB")
    offsets, counts = _strips(tags)
    sizes = list(_sizes(tags, header, name))
    if len(offsets) < len(sizes) or len(counts) < len(sizes):
        raise damaged(name, KIND, f"{len(offsets)} strips of {len(sizes)}")
    for (rows, wide, least, most), offset, count in zip(sizes, offsets, counts, strict=False):
        strip = data[offset : offset + count]
        if compression == JPEG:
            tables = bytes(tags.get(TABLES, ()))
            check_strip(tables[:-2] + strip[2:] if tables else strip, (rows, wide), name)
            continue
        try:
            length = _CHECKS[compression](strip, most)
        except (ValueError, zlib.error) as error:
            raise damaged(name, KIND, str(error)) from error
        if not least <= length:
            raise damaged(name, KIND, f"a strip of {length} bytes where {least} belong")
        if length > most:
            raise damaged(name, KIND, f"a strip of more than the {most} bytes that belong there")


def _strips(tags: Tags) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and byte counts of the strips or tiles."""
    if TILE_OFFSETS in tags:
        return tags[TILE_OFFSETS], tags.get(TILE_COUNTS, ())
    return tags.get(OFFSETS, ()), tags.get(COUNTS, ())


def _sizes(tags: Tags, header: Header, name: str) -> Iterator[tuple[int, int, int, int]]:
    """(rows, width, fewest bytes, most bytes) of each strip or tile, plane by plane."""
    bits, samples = max(tags.get(BITS, (1,))), header.channels
    separate = tags.get(PLANAR, (1,))[0] == 2
    planes, each = (samples, 1) if separate else (1, samples)
    tiled = TILE_OFFSETS in tags
    wide = tags[TILE_WIDTH][0] if tiled else header.width
    rows = tags[TILE_HEIGHT][0] if tiled else min(tags.get(ROWS, (header.height,))[0], header.height)
    if not 0 < wide * rows <= MAX_PIXELS:
        raise ImageError(f"{name}: tiles of {wide} x {rows} px are not read. Save it without tiles", "size")
    stride = (wide * each * bits + 7) // 8
    across = -(-header.width // wide)
    for _ in range(planes):
        for top in range(0, header.height, rows):
            high = rows if tiled else min(rows, header.height - top)
            for _ in range(across):
                yield high, wide, high * stride, rows * stride


def _inflated(strip: bytes, most: int) -> int:
    unpacker = zlib.decompressobj()
    length = len(unpacker.decompress(strip, most + 1))
    if length <= most and not unpacker.eof:
        # The check sum comes after the last byte, and is read with it or in one more step.
        length += len(unpacker.decompress(unpacker.unconsumed_tail, 1))
        if not unpacker.eof:
            raise ValueError("a strip that ends too early")
    return length


def _unpacked_bits(strip: bytes, most: int) -> int:
    """Length of PackBits data (TIFF 6.0, section 9)."""
    position = length = 0
    while position < len(strip) and length < most:
        lead = strip[position]
        run = lead < 128
        position += lead + 2 if run else 1 if lead == 128 else 2
        length += lead + 1 if run else 0 if lead == 128 else 257 - lead
    if position > len(strip):
        raise ValueError("a strip that ends too early")
    return length


# LZW (TIFF 6.0, section 13): a table's widths depend on the number of codes alone, so that all codes between two clear
# codes are read at once.
CLEAR, END, FIRST = 256, 257, 258
_CODES = 4096 - FIRST + 2  # more come never between two clear codes
_INDEX = np.arange(_CODES)
_WIDTHS = np.select([_INDEX <= 253, _INDEX <= 765, _INDEX <= 1789], [9, 10, 11], 12)
_OFFSETS = np.concatenate([[0], np.cumsum(_WIDTHS)])


def unpacked_length(data: bytes, most: int) -> int:
    """Bytes that an LZW stream unpacks to; it ends at its end code, at its end, or after `most` bytes.

    Raises ValueError for a code that no table has.
    """
    padded = np.frombuffer(data + bytes(4), np.uint8).astype(np.uint32)
    bits, bit, total = 8 * len(data), 0, 0
    while total < most:
        starts = bit + _OFFSETS[:-1]
        starts = starts[starts + _WIDTHS <= bits]
        if not len(starts):
            return total
        widths, byte = _WIDTHS[: len(starts)], starts >> 3
        three = padded[byte] << 16 | padded[byte + 1] << 8 | padded[byte + 2]
        codes = (three >> (24 - (starts & 7) - widths)) & ((1 << widths) - 1)
        stops = np.flatnonzero((codes == CLEAR) | (codes == END))
        count = int(stops[0]) if len(stops) else len(codes)
        total += _length(codes[:count].astype(np.int64))
        if not len(stops) and len(codes) == _CODES:
            raise ValueError("a code table that is never cleared")
        if not len(stops) or codes[count] == END:
            return total
        bit += int(_OFFSETS[count + 1])
    return total


def _length(codes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """Bytes that the codes after a clear code stand for."""
    index = _INDEX[: len(codes)]
    if np.any(codes >= np.where(index == 0, CLEAR, FIRST + index)):
        raise ValueError("a code that its table does not have")
    # An entry is the string of the code before it and one byte more: follow these steps back, twice as far each turn.
    parent = np.where(codes < CLEAR, index, codes - FIRST)
    steps = (codes >= CLEAR).astype(np.int64)
    while np.any(parent[parent] != parent):
        steps, parent = steps + steps[parent], parent[parent]
    return int(steps.sum() + len(codes))


_CHECKS: dict[int, Any] = {
    NONE: lambda strip, most: min(len(strip), most),
    LZW: unpacked_length,
    DEFLATE: _inflated,
    DEFLATE_OLD: _inflated,
    PACKBITS: _unpacked_bits,
}
