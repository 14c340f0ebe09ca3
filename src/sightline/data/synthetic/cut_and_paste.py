"""Cut and paste: a real defect of another part, turned, scaled, and blended in where such defects occur.

After Ghiasi et al. (Simple Copy-Paste, CVPR 2021), with Poisson blending (Perez et al., SIGGRAPH 2003) as Schlueter et
al. use it for defects (Natural Synthetic Anomalies, ECCV 2022), but with defects that are real.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.data.synthetic.donors import Donor
from sightline.data.synthetic.ground import Ground, marked, survey
from sightline.data.synthetic.painters import Synthetic, draw
from sightline.data.synthetic.pieces import feathered
from sightline.imaging.image import Image

TRIES = 12
SCALES = (0.7, 1.3)
TURN_DEG = 25.0
LARGEST = 0.5  # of the picture's shorter side
EDGE = 0.15  # donors nearer to the edge keep their direction to it
SAME_DEPTH = 0.1
SOLID = 0.9  # a mark that is less so shows background, which Poisson blending would smear
ON_PART = 0.6  # of a mark, at least; what reaches beyond the part is cut off


def paste_defect(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A donor's defect on a part (H, W, 3) uint8; every type equally often. Raises InputError where there is no donor.

    Its kind is the donor's type. It is put as deep inside the part as it was, and at the edge it faces outward as it
    did, so that a chipped rim stays at the rim.
    """
    if not donors:
        raise InputError("cut and paste needs defects of other parts. Mark some with masks, or leave it out")
    ground, types = survey(image), sorted({donor.type for donor in donors})
    for _ in range(TRIES):
        chosen = types[rng.integers(len(types))]
        same = [donor for donor in donors if donor.type == chosen]
        synthetic = _paste(image, ground, same[rng.integers(len(same))], rng)
        if synthetic is not None:
            return synthetic
    return draw(image, rng)


def _paste(image: Image, ground: Ground, donor: Donor, rng: np.random.Generator) -> Synthetic | None:
    positions = np.flatnonzero(ground.part & (np.abs(ground.depth - donor.depth) < SAME_DEPTH))
    if not len(positions):
        return None
    y, x = divmod(int(positions[rng.integers(len(positions))]), image.shape[1])
    angle = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG))
    if donor.depth < EDGE:
        angle = angle / 4 + ground.outward(x, y) - donor.outward
    patch, core = _turned(donor, angle, SCALES[0] * (SCALES[1] / SCALES[0]) ** rng.random(), image.shape[:2])
    soft = max(2, round(0.04 * max(core.shape)))
    wide_core = cv2.dilate(core.astype(np.uint8), np.ones((2 * soft + 1, 2 * soft + 1), np.uint8))
    bx, by, bw, bh = cv2.boundingRect(np.asarray(wide_core, np.uint8))
    left, top = x - bw // 2, y - bh // 2
    left, top = int(np.clip(left, 1, image.shape[1] - bw - 1)), int(np.clip(top, 1, image.shape[0] - bh - 1))
    if not core.any() or left < 1 or top < 1:
        return None
    box = (slice(by, by + bh), slice(bx, bx + bw))
    there = (slice(top, top + bh), slice(left, left + bw))
    where = np.zeros(image.shape[:2], bool)
    where[there] = core[box]
    if ground.part[where].mean() < ON_PART:
        return None
    piece, wide = patch[box], np.asarray(wide_core[box], np.uint8)
    if donor.solid >= SOLID:
        piece = _cloned(image, piece, wide, there)
    alpha = _seam(wide, core[box]) * _reach(ground.part, donor.solid >= SOLID)[there]
    after = image.copy()
    after[there] = np.rint(image[there] * (1 - alpha) + piece * alpha)
    return marked(image, after, where & ground.part, donor.type)


def _turned(donor: Donor, angle: float, scale: float, size: tuple[int, int]) -> tuple[Image, NDArray[np.bool_]]:
    """The donor's image and mask, turned by `angle` (radians, towards y), scaled, and shrunk where it is too large."""
    h, w = donor.mask.shape
    _, _, mask_w, mask_h = cv2.boundingRect(donor.mask.astype(np.uint8))
    scale = min(scale, LARGEST * min(size) / max(mask_w, mask_h))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    out_w, out_h = int(np.ceil(abs(c) * w + abs(s) * h)) + 8, int(np.ceil(abs(s) * w + abs(c) * h)) + 8
    matrix = np.array([[c, -s, 0], [s, c, 0]])
    matrix[:, 2] = np.array([(out_w - 1) / 2, (out_h - 1) / 2]) - matrix[:, :2] @ [(w - 1) / 2, (h - 1) / 2]
    patch = cv2.warpAffine(donor.image, matrix, (out_w, out_h), borderMode=cv2.BORDER_REFLECT_101)
    core = cv2.warpAffine(donor.mask.astype(np.uint8) * np.uint8(255), matrix, (out_w, out_h))
    return np.asarray(patch, np.uint8), np.asarray(core) > 127


def _cloned(image: Image, patch: Image, wide: NDArray[np.uint8], there: tuple[slice, slice]) -> Image:
    """The patch by Poisson blending: its own differences between neighbours, the image's colours around."""
    ringed = [cv2.copyMakeBorder(x, 1, 1, 1, 1, cv2.BORDER_REPLICATE) for x in (patch, wide * np.uint8(255))]
    ringed[1][[0, -1]] = 0
    ringed[1][:, [0, -1]] = 0
    centre = (there[1].start + wide.shape[1] // 2, there[0].start + wide.shape[0] // 2)
    return np.asarray(cv2.seamlessClone(ringed[0], image, ringed[1], centre, cv2.NORMAL_CLONE), np.uint8)[there]


def _reach(part: NDArray[np.bool_], solid: bool) -> NDArray[np.float32]:
    """Alpha (H, W, 1) of where a patch may go: the part, with its blurred rim where the background shows through."""
    rim = 1 if solid else 2 * max(2, round(0.01 * min(part.shape))) + 1
    return feathered(np.asarray(cv2.dilate(part.astype(np.uint8), np.ones((rim, rim), np.uint8))) > 0, 1.5)


def _seam(wide: NDArray[np.uint8], core: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Alpha (h, w, 1): 1 on the mark, falling to 0 at the end of what was cut out with it."""
    inside = np.asarray(cv2.distanceTransform(np.pad(wide, 1), cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1]
    return np.asarray(np.clip(inside / max(1.0, float(inside[core].min())), 0, 1), np.float32)[..., None]
