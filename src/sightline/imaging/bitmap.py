"""BMP without compression: the header by hand, pixels by OpenCV."""

from __future__ import annotations

import struct

from sightline.core.errors import ImageError
from sightline.imaging.header import Bytes, Header, cut_off

KIND = "image/bmp"
_CORE, _MIN = 12, 40  # bytes of the information header: of OS/2, and of Windows
_RGB, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6
_BITS = 14 + 14  # where the bits per pixel stand


def is_bitmap(head: bytes) -> bool:
    """Whether the first bytes are those of a BMP file: 'BM', and an information header of a known size."""
    return head.startswith(b"BM") and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in range(_CORE, 257)


def read_header(data: Bytes) -> Header:
    """Size and channels; a negative height means rows from the top. Raises struct.error."""
    if struct.unpack_from("<I", data, 14)[0] < _MIN:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    return Header(KIND, abs(height), max(0, width), 4 if bits == 32 else 3)


def is_cut_off(data: Bytes, header: Header) -> bool:
    """Whether the last row is missing."""
    core = struct.unpack_from("<I", data, 14)[0] < _MIN
    bits = struct.unpack_from("<H", data, 24 if core else _BITS)[0]
    start = struct.unpack_from("<I", data, 10)[0]
    return bool(start + (header.width * bits + 31) // 32 * 4 * header.height > len(data))


def check(data: bytes, header: Header, name: str) -> None:
    """Raise ImageError where rows are missing, or are compressed: nothing would tell of damage in them."""
    if struct.unpack_from("<I", data, 14)[0] >= _MIN:
        compression = struct.unpack_from("<I", data, 30)[0]
        if compression not in (_RGB, _BITFIELDS, _ALPHA_BITFIELDS):
            raise ImageError(f"{name}: compressed BMP is not read. Save it as PNG")
    if is_cut_off(data, header):
        raise cut_off(name, KIND)
