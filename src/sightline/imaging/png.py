"""PNG (ISO/IEC 15948): chunks and their check sums by hand, pixels by OpenCV."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from sightline.imaging.header import Bytes, Header, cut_off, damaged
from sightline.imaging.tiff_tags import orientation

KIND = "image/png"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type


def is_png(head: bytes) -> bool:
    """Whether the first bytes are those of a PNG file."""
    return head.startswith(SIGNATURE)


def read_header(data: Bytes) -> Header:
    """From IHDR, and from eXIf and acTL wherever they lie. Raises struct.error, ValueError."""
    if data[12:16] != b"IHDR":
        raise ValueError("no header chunk")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    turn = pages = 1
    for kind, start, end in _chunks(data):
        if kind == b"eXIf":
            turn = orientation(data[start:end])
        if kind == b"acTL" and end - start >= 4:
            pages = max(1, struct.unpack_from(">I", data, start)[0])
    return Header(KIND, height, width, _CHANNELS.get(colour, 99), max(8, bits), turn, pages=pages)


def is_cut_off(data: Bytes) -> bool:
    """Whether the last chunk is missing."""
    return all(kind != b"IEND" or end + 4 > len(data) for kind, _, end in _chunks(data))


def check(data: bytes, name: str) -> None:
    """Raise ImageError where the end is missing or a chunk does not match its checksum."""
    if is_cut_off(data):
        raise cut_off(name, KIND)
    view = memoryview(data)
    for kind, start, end in _chunks(data):
        if zlib.crc32(view[start - 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            chunk = kind.decode("ascii", "replace")
            raise damaged(name, KIND, f"its chunk {chunk} does not match its checksum")


def with_resolution(data: bytes, px_per_m: float) -> bytes:
    """A PNG with a pHYs chunk behind its header (specification, 11.3.5.3), so that 100 % in print is true to scale."""
    chunk = b"pHYs" + struct.pack(">IIB", round(px_per_m), round(px_per_m), 1)
    head = len(SIGNATURE) + 25  # the header chunk always has 25 bytes
    return data[:head] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[head:]


def _chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each chunk's content, up to IEND or as far as the data go."""
    offset = len(SIGNATURE)
    while offset + 8 <= len(data):
        length = struct.unpack_from(">I", data, offset)[0]
        kind, start = bytes(data[offset + 4 : offset + 8]), offset + 8
        yield kind, start, start + length
        if kind == b"IEND":
            return
        offset = start + length + 4
