"""Reading images and masks: every file a camera or a colleague may produce becomes (H, W, 3) uint8 RGB.

The one place where image files are decoded, for the lab as for the line.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError

Image: TypeAlias = NDArray[np.uint8]
Source: TypeAlias = "str | Path | bytes | NDArray[Any] | Any"

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".pgm", ".ppm"))
MIN_SIDE_PX = 16
# Decoding errors are raised as InputError; OpenCV's own lines on stderr would only repeat them.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# EXIF orientation applied, alpha dropped, grey and palette expanded, bit depth kept. In BGR order: with
# IMREAD_COLOR_RGB, OpenCV 5.0 leaves a 16-bit TIFF undecoded and says nothing.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH


def content_hash(path: str | Path) -> str:
    """First 16 hex digits of the SHA-256 of a file's bytes. Raises InputError if it cannot be read."""
    return hashlib.sha256(_read_bytes(Path(path))).hexdigest()[:16]


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r}: no name of a file ({error}). Check the path") from error
    if not data:
        raise InputError(f"{path}: the file is empty (0 bytes). Copy or record the image again")
    return data


def read_image(source: Source) -> tuple[Image, tuple[str, ...]]:
    """Image as (H, W, 3) uint8 RGB, and warnings about what was lost or assumed.

    Takes a path, encoded bytes, a PIL image, or an array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in RGB
    order, uint8, bool, uint16, or float in 0..1. Raises InputError with the remedy for everything else.
    """
    if isinstance(source, str | Path):
        return _decode(_read_bytes(Path(source)), str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), "image bytes")
    if isinstance(source, np.ndarray):
        return _from_array(source, "image array")
    if hasattr(source, "convert") and hasattr(source, "mode"):  # a PIL image, without importing PIL
        return _from_pil(source)
    raise InputError(f"cannot inspect a {type(source).__name__}: give a path, bytes, a PIL image or an array")


def _from_pil(picture: Any) -> tuple[Image, tuple[str, ...]]:
    from PIL import ImageOps  # loaded already: the caller holds one of its pictures

    upright = ImageOps.exif_transpose(picture)
    deep = upright.mode in {"I", "F"} or upright.mode.startswith("I;16")  # PIL would cut these off at 255
    return _from_array(np.asarray(upright if deep else upright.convert("RGB")), "PIL image")


def _decode(data: bytes, name: str) -> tuple[Image, tuple[str, ...]]:
    buffer = np.frombuffer(data, np.uint8)
    array = None if _cut_off(data) else _imdecode(buffer, _FLAGS, name)
    if array is None and not _cut_off(data):
        # OpenCV cannot expand a one-channel float TIFF to colour by itself.
        array = _imdecode(buffer, cv2.IMREAD_UNCHANGED, name)
    if array is None:
        raise InputError(f"{name}: not a readable image ({_guess(data)}). Save it again as PNG, JPEG, BMP or TIFF")
    image, warnings = _from_array(array, name)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), warnings


def _imdecode(buffer: Image, flags: int, name: str) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(buffer, flags)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):
            raise InputError(f"{name}: the image is too large to decode. Tile or shrink it first") from error
        return None


def _cut_off(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing: decoders fill the rest with grey and say nothing."""
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in data[-4096:]  # some cameras append a few bytes
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-4096:]


def _guess(data: bytes) -> str:
    known = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
    for magic, name in known.items():
        if data.startswith(magic):
            return f"a {name} file that is cut off or damaged"
    if not data:
        return "0 bytes"
    if data[:64].isascii() and b"\0" not in data[:64]:
        return "the file holds text"
    return "unknown content"


def _from_array(array: NDArray[Any], name: str) -> tuple[Image, tuple[str, ...]]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"{name}: shape {array.shape} is no image. Expected (H, W), (H, W, 3) or (H, W, 4)")
    if min(array.shape[:2]) < MIN_SIDE_PX:
        size = f"{array.shape[1]} x {array.shape[0]} px"
        raise InputError(f"{name}: {size} is too small to inspect. Each side needs at least {MIN_SIDE_PX} px")
    warnings = []
    if array.dtype != np.uint8:
        array, warning = _to_8_bit(array, name)
        warnings.append(warning)
    if array.shape[2] == 4:
        warnings.append(f"{name}: the alpha channel was dropped")
        array = array[..., :3]
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array), tuple(warnings)


def _to_8_bit(array: NDArray[Any], name: str) -> tuple[Image, str]:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), f"{name}: black and white only, scaled to 0..255"
    if array.dtype == np.uint16:
        # A fixed divisor: a scale taken from the image itself would change from part to part.
        return (array // 257).astype(np.uint8), (
            f"{name}: 16 bits per channel, reduced to 8 (full scale 65535). "
            "If the camera gives 10 or 12 bits, let it send 8-bit images"
        )
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(np.min(array)), float(np.max(array))
        if low >= 0.0 and high <= 1.0:  # false for NaN too
            return np.rint(array * 255).astype(np.uint8), f"{name}: float values 0..1, scaled to 0..255"
        raise InputError(
            f"{name}: float values from {low:g} to {high:g}, so black and white are unknown. "
            "Save it as 8-bit, or scale it to 0..1"
        )
    raise InputError(f"{name}: values of type {array.dtype} are not supported. Save it as 8-bit")


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Mask (H, W) bool, True where the file is not zero. Raises InputError."""
    path = Path(path)
    data = _read_bytes(path)
    # The bit depth is kept: a region that is numbered 1 in a 16-bit mask would be 0 in 8 bits.
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    array = None if _cut_off(data) else _imdecode(np.frombuffer(data, np.uint8), flags, str(path))
    if array is None:
        raise InputError(f"{path}: not a readable mask. Save it as PNG, 0 for good and 255 for the defect")
    return np.asarray(array > 0)
