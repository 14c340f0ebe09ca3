"""The size of an image file from its first bytes: decoding thousands of images to place boxes would take minutes."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import InputError
from sightline.runtime.image import read_image

_HEAD = 1 << 16
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) in px as `read_image` gives the image. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    size = _of_png(head) or _of_jpeg(head) or _of_bmp(head)
    return size or read_image(path)[0].shape[:2]


def _of_png(head: bytes) -> tuple[int, int] | None:
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR" or b"eXIf" in head:
        return None
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def _of_bmp(head: bytes) -> tuple[int, int] | None:
    if not head.startswith(b"BM") or len(head) < 26 or int.from_bytes(head[14:18], "little") < 40:
        return None
    # A negative height means rows from the top.
    return abs(int.from_bytes(head[22:26], "little", signed=True)), int.from_bytes(head[18:22], "little")


def _of_jpeg(head: bytes) -> tuple[int, int] | None:
    """None as well where EXIF data may turn the image: then it has to be decoded."""
    if not head.startswith(b"\xff\xd8") or b"Exif\0" in head:
        return None
    place = 2
    while place + 9 < len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker in _JPEG_FRAMES:
            return int.from_bytes(head[place + 5 : place + 7], "big"), int.from_bytes(
                head[place + 7 : place + 9], "big"
            )
        place += 1 if marker == 0xFF else 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return None
