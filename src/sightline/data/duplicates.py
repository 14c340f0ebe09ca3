"""Near-duplicates: pictures of the same part that must not lie on both sides of a split.

Difference hash (dHash: signs of horizontal and vertical grey gradients on a small copy), confirmed by the
mean grey difference of two small copies, because parts in a fixture share most of their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.runtime.image import Image

HASH_SIDE = 16  # 2 x 16 x 16 = 512 bits
THUMB_SIDE_PX = 48
MAX_BITS = 26  # of 512, about 5 %: JPEG and slight light changes stay below
MAX_GREY = 1.5  # mean absolute difference of the small copies after brightness is matched, in 0..255


def fingerprint(image: Image) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Perceptual hash (64,) uint8 (512 bits) and brightness-free small copy (48*48,) float32 of an image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    side = HASH_SIDE + 1
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(np.int16)
    signs = np.concatenate([(np.diff(small[:-1], axis=1) > 0).ravel(), (np.diff(small[:, :-1], axis=0) > 0).ravel()])
    thumb = cv2.resize(grey, (THUMB_SIDE_PX, THUMB_SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.packbits(signs), (thumb - thumb.mean()).ravel()


def near_duplicates(images: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> list[tuple[int, int]]:
    """Index pairs (i < j) of near-duplicates among fingerprints."""
    if len(images) < 2:
        return []
    hashes = np.stack([bits for bits, _ in images])
    thumbs = np.stack([thumb for _, thumb in images])
    pairs = []
    for i in range(len(images) - 1):
        bits = np.bitwise_count(hashes[i + 1 :] ^ hashes[i]).sum(axis=1, dtype=np.int32)
        for j in np.flatnonzero(bits <= MAX_BITS) + i + 1:
            if np.abs(thumbs[i] - thumbs[j]).mean() <= MAX_GREY:
                pairs.append((i, int(j)))
    return pairs


def merge_groups(keys: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Group names in which the two of every pair share one: connected components over keys and pairs."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for i, j in pairs:
        parent[root(keys[j])] = root(keys[i])
    return [root(key) for key in keys]
