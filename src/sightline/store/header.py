"""What an image file's first bytes say: its kind and its size, before anything is decoded."""

from __future__ import annotations

import struct
from typing import BinaryIO

HEAD = 1 << 16
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "image/webp": ".webp",
    "image/jp2": ".jp2",
    "image/x-portable-anymap": ".ppm",
}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"\0\0\0\x0cjP": "image/jp2",
    b"\xff\x4f\xff\x51": "image/jp2",
}
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


def media_type(head: bytes) -> str | None:
    """The kind of an image from its first bytes; None where it is none that is known."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "image/x-portable-anymap"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def size(file: BinaryIO, kind: str) -> tuple[int, int] | None:
    """(width, height) px as stored, before any turn that EXIF asks for; None where only decoding can tell."""
    file.seek(0)
    head = file.read(HEAD)
    try:
        if kind == "image/png":
            return struct.unpack(">II", head[16:24])
        if kind == "image/bmp":
            width, height = struct.unpack("<ii", head[18:26])
            return width, abs(height)  # negative: rows from the top
        if kind == "image/jpeg":
            return _of_jpeg(head)
        if kind == "image/tiff":
            return _of_tiff(file, head)
        if kind == "image/jp2":
            place = head.find(b"ihdr") + 4
            height, width = struct.unpack(">II", head[place : place + 8])
            return (width, height) if place > 3 else None
    except struct.error:
        return None
    return None


def _of_jpeg(head: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        place += 1 if marker == 0xFF else 2 + struct.unpack(">H", head[place + 2 : place + 4])[0]
    return None


def _of_tiff(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    order = "<" if head.startswith(b"II") else ">"
    file.seek(struct.unpack(order + "I", head[4:8])[0])
    count = struct.unpack(order + "H", file.read(2))[0]
    found: dict[int, int] = {}
    for _ in range(count):
        tag, kind, _, value = struct.unpack(order + "HHI4s", file.read(12))
        if tag in {_TIFF_WIDTH, _TIFF_HEIGHT}:
            found[tag] = struct.unpack(order + ("H2x" if kind == 3 else "I"), value)[0]
    return (found[_TIFF_WIDTH], found[_TIFF_HEIGHT]) if len(found) == 2 else None
