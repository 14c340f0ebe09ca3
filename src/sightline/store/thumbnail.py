"""A small picture of an image, and the proof that it can be decoded."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.store.header import media_type, size

SIDE_PX = 256
QUALITY = 85  # of the JPEG
MAX_PIXELS = 400_000_000  # 20,000 x 20,000: decoded, three times as many bytes
LARGE_PIXELS = 25_000_000  # of these, one at a time is decoded
_LARGE = threading.Lock()
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its errors come out as InputError


def thumbnail(path: Path, name: str) -> tuple[bytes, str, int, int]:
    """JPEG of at most 256 x 256 px, and the image's media type, width and height (EXIF rotation applied).

    `name` is what errors call it. Raises InputError for what is no image, is cut off, or would take too much memory.
    """
    with path.open("rb") as file:
        head = file.read(64)
        kind = media_type(head)
        if kind is None:
            what = "is empty (0 bytes)" if not head else "is not an image that is known"
            raise InputError(f"{name}: {what}. Save it as PNG, JPEG, BMP or TIFF")
        stored = size(file, kind)
        file.seek(max(0, path.stat().st_size - 4096))
        tail = file.read()
    pixels = stored[0] * stored[1] if stored else 0
    if pixels > MAX_PIXELS:
        raise InputError(f"{name}: {stored} px are more than {MAX_PIXELS:,} in all. Tile or shrink the image first")
    if (kind == "image/png" and b"IEND" not in tail) or (kind == "image/jpeg" and b"\xff\xd9" not in tail):
        raise InputError(f"{name}: the end of the file is missing. Copy or record the image again")
    with _LARGE if pixels > LARGE_PIXELS else nullcontext():
        small, whole = _decoded(path, stored, name)
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise InputError(f"{name}: no thumbnail could be made of it. Save it again as 8-bit PNG")
    return data.tobytes(), kind, *whole


def _decoded(path: Path, stored: tuple[int, int] | None, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Shrunk pixels, and (width, height) of the image."""
    step = next((step for step in (8, 4, 2) if stored and min(stored) >= 2 * SIDE_PX * step), 1)
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    data = np.fromfile(path, np.uint8)
    image = _imdecode(data, flags.get(step, cv2.IMREAD_REDUCED_COLOR_8), name)
    if image is None:
        step, image = 1, _imdecode(data, cv2.IMREAD_UNCHANGED, name)
    if image is None:
        raise InputError(f"{name}: is damaged and cannot be decoded. Copy or record the image again")
    height, width = image.shape[:2]
    if step > 1 and stored:
        # EXIF may have turned it: then the longer side has changed places.
        width, height = stored if (stored[0] >= stored[1]) == (width >= height) else stored[::-1]
    shrink = min(1.0, SIDE_PX / max(image.shape[:2]))
    sides = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
    small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA) if shrink < 1 else image
    if small.dtype != np.uint8:
        small = cv2.normalize(small, np.empty_like(small), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.asarray(small, np.uint8), (width, height)


def _imdecode(data: NDArray[np.uint8], flags: int, name: str) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(data, flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):
            raise InputError(f"{name}: the image is too large to decode. Tile or shrink it first") from error
        return None
