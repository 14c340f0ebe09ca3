"""WebP (RFC 9649): chunks by hand, pixels by libwebp in OpenCV, which refuses what it cannot decode."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sightline.imaging.header import Bytes, Header
from sightline.imaging.tiff_tags import orientation

KIND = "image/webp"


def is_webp(head: bytes) -> bool:
    """Whether the first bytes are those of a WebP file."""
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def read_header(data: Bytes) -> Header:
    """Size, orientation and number of frames. Raises struct.error, ValueError."""
    size, turn, frames = None, 1, 0
    for kind, start, end in _chunks(data):
        if kind == b"VP8X":
            wide, high = (int.from_bytes(data[start + at : start + at + 3], "little") for at in (4, 7))
            size = high + 1, wide + 1
        elif kind == b"VP8 ":
            wide, high = struct.unpack_from("<HH", data, start + 6)
            size = size or (high & 0x3FFF, wide & 0x3FFF)
        elif kind == b"VP8L":
            packed = struct.unpack_from("<I", data, start + 1)[0]
            size = size or ((packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1)
        elif kind == b"EXIF":
            turn = orientation(bytes(data[start:end]))
        frames += kind == b"ANMF"
    if size is None:
        raise ValueError("no picture chunk")
    return Header(KIND, *size, channels=3, turn=turn, pages=max(1, frames))


def is_cut_off(data: Bytes) -> bool:
    """Whether the file is shorter than it says."""
    return len(data) < 12 or struct.unpack_from("<I", data, 4)[0] + 8 > len(data)


def _chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    offset = 12
    while offset + 8 <= len(data):
        kind, length = bytes(data[offset : offset + 4]), struct.unpack_from("<I", data, offset + 4)[0]
        yield kind, offset + 8, offset + 8 + length
        offset += 8 + length + length % 2
