"""Images: every file that a camera or a colleague may produce, and every array, as (H, W, 3) uint8 RGB.

Cameras of 10, 12 or 14 bits save values in files of 16 bits, and nothing in the file tells which value is white. A
scale taken from each picture would change from part to part; so it is taken from the training parts, once, and kept
in the recipe's card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import ImageError, InputError
from sightline.imaging.decoding import decode, header_of

Image: TypeAlias = NDArray[np.uint8]
Source: TypeAlias = "str | Path | bytes | NDArray[Any] | Any"

MIN_SIDE_PX = 16
DEPTHS = (10, 12, 14, 16)  # bits of the cameras that there are
FULL = 65535


def content_hash(path: str | Path) -> str:
    """First 16 hex digits of the SHA-256 of a file's bytes. Raises InputError if it cannot be read."""
    return hashlib.sha256(read_bytes(path)).hexdigest()[:16]


def read_bytes(path: str | Path) -> bytes:
    """A file's bytes, at least one. Raises InputError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check the path and its permissions") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r}: is not a file name ({error}). Check the path") from error
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes). Copy or record the image again", "incomplete")
    return data


def read_image(source: Source, full_scale: int | None = None) -> tuple[Image, tuple[str, ...]]:
    """Image as (H, W, 3) uint8 RGB, and warnings about what was lost or assumed.

    Takes a path, encoded bytes, a PIL image, or an array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in RGB
    order, uint8, bool, uint16, or float in 0..1. `full_scale` is the value that is white in 16 bits (`imaging.image`).
    Raises InputError with the remedy for everything else: ImageError where a file is damaged or not read.
    """
    if isinstance(source, str | Path):
        return read_encoded(read_bytes(source), str(source), full_scale)
    if isinstance(source, bytes | bytearray | memoryview):
        return read_encoded(bytes(source), "image bytes", full_scale)
    if isinstance(source, np.ndarray):
        return _from_array(source, "image array", full_scale)
    if hasattr(source, "convert") and hasattr(source, "mode"):  # a PIL image, without importing PIL
        return _from_pil(source, full_scale)
    raise InputError(f"cannot inspect a {type(source).__name__}: give a path, bytes, a PIL image or an array")


def read_encoded(data: bytes, name: str, full_scale: int | None = None) -> tuple[Image, tuple[str, ...]]:
    """`read_image` of a file's bytes, which errors call `name`."""
    pixels, header = decode(data, name)
    return _from_array(pixels, name, header.full_scale or full_scale)


def _from_pil(picture: Any, full_scale: int | None) -> tuple[Image, tuple[str, ...]]:
    from PIL import ImageOps  # loaded already: the caller holds one of its pictures

    file = getattr(picture, "fp", None)
    if file is not None:  # not decoded yet: Pillow would drop what libjpeg complains of
        position = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(position)
        picture.load()  # it lets its file go then
        return read_encoded(data, "PIL image", full_scale)
    upright = ImageOps.exif_transpose(picture)
    deep = upright.mode in {"I", "F"} or upright.mode.startswith("I;16")  # PIL would cut these off at 255
    return _from_array(np.asarray(upright if deep else upright.convert("RGB")), "PIL image", full_scale)


def _from_array(array: NDArray[Any], name: str, full_scale: int | None) -> tuple[Image, tuple[str, ...]]:
    return shaped(array, name, full_scale, keep_16_bit=False)


def shaped(array: NDArray[Any], name: str, full_scale: int | None, keep_16_bit: bool) -> tuple[Any, tuple[str, ...]]:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) as (H, W, 3) uint8, or uint16 where that is kept; and warnings."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InputError(f"{name}: shape {array.shape} is not an image. Expected (H, W), (H, W, 3) or (H, W, 4)")
    if min(array.shape[:2]) < MIN_SIDE_PX:
        size = f"{array.shape[1]} x {array.shape[0]} px"
        raise InputError(f"{name}: {size} is too small to inspect. Each side needs at least {MIN_SIDE_PX} px")
    warnings: tuple[str, ...] = ()
    if array.shape[2] == 4:
        warnings = (f"{name}: the alpha channel was dropped",)
        array = array[..., :3]
    notes: tuple[str, ...] = ()
    if array.dtype != np.uint16 or not keep_16_bit:
        array, notes = to_8_bit(array, name, full_scale)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array), notes + warnings


def to_8_bit(
    array: NDArray[Any], name: str, full_scale: int | None = None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Values as 0..255, and what was assumed.

    uint16 is divided so that `full_scale` becomes 255; where it is not known, 65535 is assumed, and said. bool and
    float in 0..1 have their own scale. Raises InputError for other values, and for those above the scale.
    """
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), (f"{name}: black and white only, scaled to 0..255",)
    if array.dtype == np.uint16:
        return _scaled(array, name, full_scale)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(np.min(array)), float(np.max(array))
        if low >= 0.0 and high <= 1.0:  # false for NaN too
            return np.rint(array * 255).astype(np.uint8), (f"{name}: float values 0..1, scaled to 0..255",)
        raise InputError(
            f"{name}: float values from {low:g} to {high:g}, so black and white are unknown. "
            "Save it as 8-bit, or scale it to 0..1"
        )
    raise InputError(f"{name}: values of type {array.dtype} are not supported. Save it as 8-bit")


def _scaled(array: NDArray[np.uint16], name: str, full_scale: int | None) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if full_scale is None:
        full_scale = FULL
        notes = (
            f"{name}: 16 bits per channel, reduced to 8 (full scale 65535). "
            "If the camera gives 10 or 12 bits, train a recipe from its pictures: it keeps their scale",
        )
    most = int(array.max())
    if most > full_scale:
        raise InputError(
            f"{name}: values up to {most:,}, and white is {full_scale:,} in the pictures of the training. Set the "
            "camera to their bit depth and gain, or train again with pictures as bright as this one"
        )
    table = (np.arange(full_scale + 1, dtype=np.uint32) * 255 // full_scale).astype(np.uint8)
    return table[array], notes


def find_full_scale(paths: Iterable[Path]) -> tuple[int | None, int, int]:
    """The value that is white in a set's pictures of 16 bits, how many these are, and their largest value.

    It is what the fewest bits of a camera hold that no value exceeds; None where no picture has 16 bits, or where the
    files themselves tell it. What cannot be read is passed over: whoever reads it names it.
    """
    count = most = 0
    for path in paths:
        try:
            header = header_of(path)
            if header.bits != 16 or header.full_scale is not None:
                continue
            pixels = decode(Path(path).read_bytes(), str(path))[0]
        except (InputError, OSError):
            continue
        if pixels.dtype == np.uint16:
            count, most = count + 1, max(most, int(pixels.max()))
    if not count:
        return None, 0, 0
    return next((1 << bits) - 1 for bits in DEPTHS if most < 1 << bits), count, most
