"""A piece of a part, missing or displaced: finding one, and filling the hole that it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.synthetic.donors import Donor
from sightline.data.synthetic.ground import Ground, marked, survey
from sightline.data.synthetic.painters import Synthetic, blob, draw
from sightline.imaging.image import Image

SIDE_PX = 256  # the longer side that pieces are looked for on
TRIES = 16
AREAS = (0.004, 0.06)  # of the part
TOLERANCES = (6.0, 22.0)  # grey values
COMPACT = 0.45  # of the smallest circle around it: less is a crack between things, no thing
FILL_PX = 96  # the longer side that large holes are filled at
EVEN = 0.15  # of a hole's diameter: what is finer in its filling is smoothed
MAX_GRAIN = 3.0  # robust standard deviations
SMOOTH = 1.5  # px, what is finer is grain
MAX_MOVES = 12
WAYS = (0.3, 1.5)  # lengths of a move, in diameters of the piece
MAX_DEG = 60.0
ON_PART = 0.95
DISPLACED = "displaced piece"
MAX_REMOVALS = 10
BITES = (0.08, 0.35)  # diameter of a bite as a share of the part's
MISSING = "missing piece"


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
    positions = np.flatnonzero(ground.depth > 0.2)
    positions = positions if len(positions) else np.arange(ground.depth.size)
    y, x = divmod(int(positions[rng.integers(len(positions))]), ground.depth.shape[1])
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
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = max(8, round(0.5 * max(w, h)))
    box = slice(max(0, y - margin), y + h + margin), slice(max(0, x - margin), x + w + margin)
    near, usable = image[box], ~(unusable | hole)[box]
    if usable.sum() < max(16, 0.05 * usable.size):
        return None
    high, wide = usable.shape
    factor = min(1.0, FILL_PX / max(high, wide))
    size = (max(4, round(wide * factor)), max(4, round(high * factor)))
    # Unknown pixels must not leak into the small picture: means over the known ones only.
    weight = np.asarray(cv2.resize(usable.astype(np.float32), size, interpolation=cv2.INTER_AREA))
    total = np.asarray(cv2.resize(near * usable[..., None].astype(np.float32), size, interpolation=cv2.INTER_AREA))
    small = np.clip(np.rint(total / np.maximum(weight, 1e-6)[..., None]), 0, 255).astype(np.uint8)
    unknown = weight < 0.5
    patched = np.asarray(cv2.inpaint(small, unknown.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)
    # Wedges, which the method leaves in large holes, are smoothed away.
    even = cv2.GaussianBlur(patched, (0, 0), max(0.5, EVEN * float(np.sqrt(unknown.sum()))))
    patched = np.where(unknown[..., None], np.asarray(even, np.uint8), patched)
    smooth = np.asarray(cv2.resize(patched, (wide, high), interpolation=cv2.INTER_CUBIC), np.float32)
    result = image.astype(np.float32)
    result[box] = np.where(hole[box][..., None], smooth + _grain(near, usable, rng), result[box])
    return result


def _grain(near: Image, usable: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Fine detail for a hole, drawn from what is finer than `SMOOTH` in the known places."""
    fine = near.astype(np.float32) - np.asarray(cv2.GaussianBlur(near.astype(np.float32), (0, 0), SMOOTH))
    values = fine[usable]
    std = 1.4826 * np.median(np.abs(values), axis=0)
    values = np.clip(values, -MAX_GRAIN * std, MAX_GRAIN * std)  # edges are no grain
    sampled = values[rng.integers(len(values), size=usable.shape)]
    soft = np.asarray(cv2.GaussianBlur(sampled, (0, 0), 0.6), np.float32)
    return soft * np.float32(values.std() / max(float(soft.std()), 1e-6))


def feathered(mask: NDArray[np.bool_], px: float) -> NDArray[np.float32]:
    """Alpha (H, W, 1) of a mask with an edge that is soft over about `px`."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.3, px / 2)), np.float32)[..., None]


def displace(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A piece of a part (H, W, 3) uint8 moved and turned; the mask holds where it was and where it is."""
    ground = survey(image)
    for _ in range(MAX_MOVES):
        synthetic = _moved(image, ground, rng)
        if synthetic is not None:
            return synthetic
    return draw(image, rng)


def _moved(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    piece = find_piece(image, ground, rng)
    grown = np.asarray(cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)
    surface = filled(image, grown > 0, (grown > 0) | ~ground.part, rng)
    if surface is None:
        return None
    x, y, w, h = cv2.boundingRect(grown)
    way, course = max(w, h) * rng.uniform(*WAYS), rng.uniform(0, 2 * np.pi)
    warp = cv2.getRotationMatrix2D((x + w / 2, y + h / 2), float(rng.uniform(-MAX_DEG, MAX_DEG)), 1.0)
    warp[:, 2] += (way * np.cos(course), way * np.sin(course))
    size = (image.shape[1], image.shape[0])
    there = np.asarray(cv2.warpAffine(grown * np.uint8(255), warp, size)) > 127
    # Most of the piece must come to lie on the part, in the picture.
    if (there & ground.part).sum() < ON_PART * grown.sum():
        return None
    moved = np.asarray(cv2.warpAffine(image, warp, size, borderMode=cv2.BORDER_REFLECT_101), np.float32)
    left = image + feathered(grown > 0, 2.0) * (surface - image)
    after = left + feathered(there, 1.5) * (moved - left)
    return marked(image, np.rint(np.clip(after, 0, 255)).astype(np.uint8), there | (grown > 0), DISPLACED)


def take_away(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A piece taken away from a part (H, W, 3) uint8: a thing gone from its surface, or a bite out of its edge.

    Bites every second time, where the part has a background to show through them.
    """
    ground = survey(image)
    for _ in range(MAX_REMOVALS):
        take = _bite if ground.stands_out and rng.random() < 0.5 else _removed
        synthetic = take(image, ground, rng)
        if synthetic is not None:
            return synthetic
    return draw(image, rng)


def _bite(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    part = ground.part.astype(np.uint8)
    edge = np.flatnonzero(part - cv2.erode(part, np.ones((3, 3), np.uint8)))
    if not len(edge):
        return None
    y, x = divmod(int(edge[rng.integers(len(edge))]), image.shape[1])
    diameter = 2 * np.sqrt(part.sum() / np.pi) * BITES[0] * (BITES[1] / BITES[0]) ** rng.random()
    shape = blob((image.shape[0], image.shape[1]), (float(x), float(y)), float(diameter), rng) > 0.5
    # The background next to a part lies in its shadow and blur: nothing is filled from there.
    rim = 2 * max(2, round(0.01 * min(image.shape[:2]))) + 1
    wider = np.asarray(cv2.dilate(part, np.ones((rim, rim), np.uint8))) > 0
    hole = shape & wider
    background = filled(image, hole, wider, rng) if hole.any() else None
    if background is None:
        return None
    alpha = feathered(hole, 2.0)
    # The filled picture is the image itself outside the hole, so the soft edge lies inside it.
    after = np.rint(np.clip(image + alpha * (background - image), 0, 255)).astype(np.uint8)
    return marked(image, after, hole & ground.part, MISSING)


def _removed(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    piece = find_piece(image, ground, rng)
    side = 2 * max(1, round(0.1 * np.sqrt(piece.sum()))) + 1
    hole = np.asarray(cv2.dilate(piece.astype(np.uint8), np.ones((side, side), np.uint8))) > 0
    surface = filled(image, hole, hole | ~ground.part, rng)
    if surface is None:
        return None
    after = np.rint(np.clip(image + feathered(hole, 2.0) * (surface - image), 0, 255)).astype(np.uint8)
    return marked(image, after, hole, MISSING)
