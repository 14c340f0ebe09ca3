"""Pieces of a part: finding one, and filling the place it leaves."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.synthetic import blob
from sightline.data.synthetic_defects.ground import Ground
from sightline.runtime.image import Image

SIDE_PX = 256  # the longer side that pieces are looked for on
TRIES = 16
AREAS = (0.004, 0.06)  # of the part
TOLERANCES = (6.0, 22.0)  # grey values
COMPACT = 0.45  # of the smallest circle around it: less is a crack between things, no thing
FILL_PX = 96  # the longer side that large holes are filled at
EVEN = 0.15  # of a hole's diameter: what is finer in its filling is smoothed
MOST_GRAIN = 3.0  # robust spreads
SMOOTH = 1.5  # px, what is finer is grain


def find_piece(image: Image, ground: Ground, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A piece (H, W) bool on the part: a compact place of one colour; where there is none, a blob."""
    high, wide = image.shape[:2]
    factor = min(1.0, SIDE_PX / max(high, wide))
    size = (max(8, round(wide * factor)), max(8, round(high * factor)))
    small = cv2.medianBlur(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), 5)
    depth = np.asarray(cv2.resize(ground.depth, size))
    seeds, area = np.flatnonzero(depth > 0.08), float((depth > 0).sum())
    for _ in range(TRIES):
        if not len(seeds):
            break
        y, x = divmod(int(seeds[rng.integers(len(seeds))]), size[0])
        tolerance = (float(rng.uniform(*TOLERANCES)),) * 3
        flooded = np.zeros((size[1] + 2, size[0] + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
        cv2.floodFill(np.ascontiguousarray(small), flooded, (x, y), (0, 0, 0), tolerance, tolerance, flags)
        closed = cv2.morphologyEx(flooded[1:-1, 1:-1], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        piece = np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
        if _is_thing(piece, area):
            return np.asarray(cv2.resize(piece.astype(np.float32), (wide, high))) > 0.5
    return _blob_piece(ground, rng)


def _is_thing(piece: NDArray[np.uint8], area: float) -> bool:
    outlines, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not AREAS[0] * area < piece.sum() < AREAS[1] * area or len(outlines) != 1:
        return False
    radius = cv2.minEnclosingCircle(outlines[0])[1]
    return float(piece.sum()) > COMPACT * np.pi * radius**2


def _blob_piece(ground: Ground, rng: np.random.Generator) -> NDArray[np.bool_]:
    places = np.flatnonzero(ground.depth > 0.2)
    places = places if len(places) else np.arange(ground.depth.size)
    y, x = divmod(int(places[rng.integers(len(places))]), ground.depth.shape[1])
    share = AREAS[0] * (AREAS[1] / AREAS[0]) ** rng.random()
    diameter = max(5.0, float(np.sqrt(share * ground.part.sum() * 4 / np.pi)))
    shape = (ground.depth.shape[0], ground.depth.shape[1])
    return blob(shape, (float(x), float(y)), diameter, rng) > 0.5


def filled(
    image: Image, hole: NDArray[np.bool_], unusable: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """The image (H, W, 3) float32 with `hole` filled from around, with grain; None where there is nothing around.

    `unusable` (H, W) bool marks what may not be filled from, the hole itself included. The filling is that of Telea
    (An Image Inpainting Technique Based on the Fast Marching Method, 2004), which is smooth, so it is done small where
    the hole is large, and the grain of the surroundings is added.
    """
    box = _around(hole)
    near, known = image[box], ~(unusable | hole)[box]
    if known.sum() < max(16, 0.05 * known.size):
        return None
    high, wide = known.shape
    factor = min(1.0, FILL_PX / max(high, wide))
    size = (max(4, round(wide * factor)), max(4, round(high * factor)))
    # Unknown pixels must not leak into the small picture: means over the known ones only.
    weight = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    total = np.asarray(cv2.resize(near * known[..., None].astype(np.float32), size, interpolation=cv2.INTER_AREA))
    small = np.clip(np.rint(total / np.maximum(weight, 1e-6)[..., None]), 0, 255).astype(np.uint8)
    unknown = weight < 0.5
    patched = np.asarray(cv2.inpaint(small, unknown.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
    # Wedges, which the method leaves in large holes, are smoothed away.
    even = cv2.GaussianBlur(patched, (0, 0), max(0.5, EVEN * float(np.sqrt(unknown.sum()))))
    patched = np.where(unknown[..., None], np.asarray(even, np.uint8), patched)
    smooth = np.asarray(cv2.resize(patched, (wide, high), interpolation=cv2.INTER_CUBIC), np.float32)
    result = image.astype(np.float32)
    result[box] = np.where(hole[box][..., None], smooth + _grain(near, known, rng), result[box])
    return result


def _around(hole: NDArray[np.bool_]) -> tuple[slice, slice]:
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = max(8, round(0.5 * max(w, h)))
    return slice(max(0, y - margin), y + h + margin), slice(max(0, x - margin), x + w + margin)


def _grain(near: Image, known: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Fine detail for a hole, drawn from what is finer than `SMOOTH` in the known places."""
    fine = near.astype(np.float32) - np.asarray(cv2.GaussianBlur(near.astype(np.float32), (0, 0), SMOOTH))
    values = fine[known]
    spread = 1.4826 * np.median(np.abs(values), axis=0)
    values = np.clip(values, -MOST_GRAIN * spread, MOST_GRAIN * spread)  # edges are no grain
    drawn = values[rng.integers(len(values), size=known.shape)]
    soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.6), np.float32)
    return soft * np.float32(values.std() / max(float(soft.std()), 1e-6))


def feathered(mask: NDArray[np.bool_], px: float) -> NDArray[np.float32]:
    """Alpha (H, W, 1) of a mask with an edge that is soft over about `px`."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.3, px / 2)), np.float32)[..., None]
