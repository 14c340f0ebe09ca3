"""Damage: where and how much a defect changed a part, measured on the part with and without it.

Measuring replaces bookkeeping: whatever a defect does (cover, expose, move, bend), its mask is exactly the
pixels that look different, and its grade follows from how large and how strong that difference is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sightline.data.sample.drawing import Mask, Planes

VISIBLE = 0.022
"""Smallest change that counts, of the 0..1 range after gamma: above the noise of a small area."""


@dataclass(frozen=True)
class Damage:
    """The difference that one defect makes."""

    mask: Mask
    """(size, size), True where the part changed visibly."""
    weight: float
    """Change after gamma summed over the mask, as a fraction of the image: area x contrast."""


def measure(good: Planes, spoiled: Planes) -> Damage:
    """Compare two drawings (3, H, W) of one part."""
    size = good.shape[-1]
    mask = np.zeros((size, size), np.bool_)
    # Gap closing reaches this far beyond the changed pixels.
    reach = max(1, round(0.004 * size))
    box = _changed_box(good, spoiled, 2 * reach)
    if box is None:
        return Damage(mask=mask, weight=0.0)
    change = np.abs(_gamma(spoiled[:, *box]) - _gamma(good[:, *box])).max(axis=0)
    visible = (change >= VISIBLE).astype(np.uint8)
    # People outline a defect as a whole: close the gaps that chance equality leaves inside it.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(visible, cv2.MORPH_CLOSE, disc)
    mask[box] = closed > 0
    return Damage(mask=mask, weight=float(change[mask[box]].sum()) / size**2)


def _gamma(planes: Planes) -> Planes:
    return np.asarray(np.sqrt(np.clip(planes, 0, 1)), dtype=np.float32)


def _changed_box(good: Planes, spoiled: Planes, margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold every difference; measuring there alone is several times faster."""
    differs = (good != spoiled).any(axis=0)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if len(rows) == 0:
        return None
    spans = ((int(found[0]), int(found[-1]) + 1) for found in (rows, columns))
    down, across = (slice(max(0, low - margin), high + margin) for low, high in spans)
    return down, across
