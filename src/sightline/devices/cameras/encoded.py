"""Encoded pictures: bytes of a PNG, JPEG, BMP or TIFF file as pixels, whole or not at all."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import CameraError


def decode(data: bytes, name: str, pixels_max: int) -> NDArray[np.uint8]:
    """Encoded bytes -> (H, W, 3) uint8 BGR.

    Raises CameraError: "incomplete" where the end is missing, "size" above `pixels_max` (read from the header of a PNG
    or JPEG, before memory is taken), "unreadable" for what is no picture. Decoders would fill a missing end with grey.
    """
    if cut_off(data):
        raise CameraError(f"{name}: the end of the picture is missing. Send it again", "incomplete")
    size = _png_size(data) or _jpeg_size(data)
    if size is not None and size[0] * size[1] > pixels_max:
        raise CameraError(f"{name}: {size[1]} x {size[0]} px are more than the {pixels_max} allowed", "size")
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise CameraError(f"{name}: the picture cannot be decoded. Send PNG or JPEG", "unreadable") from error
    if image is None:
        raise CameraError(f"{name}: no picture that can be read. Send PNG or JPEG", "unreadable")
    if image.shape[0] * image.shape[1] > pixels_max:
        raise CameraError(f"{name}: more than the {pixels_max} px allowed. Send a smaller picture", "size")
    return np.asarray(image, np.uint8)


def cut_off(data: bytes) -> bool:
    """Whether the end of a JPEG, PNG or BMP is missing; of a TIFF nobody can tell from its end."""
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in data[-4096:]  # some cameras append a few bytes
    if data.startswith(b"BM") and len(data) >= 6:
        return len(data) < int.from_bytes(data[2:6], "little")
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data[-4096:]  # its check sum, too


def _png_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"\x89PNG") or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return int(height), int(width)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width from the start-of-frame segment (ITU-T T.81, B.2.2)."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(height), int(width)
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None
