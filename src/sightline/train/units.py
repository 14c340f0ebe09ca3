"""Units: the pictures of one part are held out together, and count once in every bound."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.near_duplicates import clusters, find_pairs_among, merge_groups
from sightline.imaging.image import read_image
from sightline.train.images.loader import Part, warn

MIN_LOTS = 5  # with fewer, one lot is too much of the bank to hold out
NAMED = 3  # pairs of near-identical pictures that a warning names


def group_keys(samples: Sequence[Sample]) -> list[str | None]:
    """What each good sample is held out with: its group, else, where there are enough, its lot; None: itself alone."""
    lots = {sample.lot for sample in samples}
    by_lot = None not in lots and len(lots) >= MIN_LOTS
    return [s.group if s.group is not None else s.lot if by_lot else None for s in samples]


def find_units(parts: Sequence[Part]) -> tuple[list[Part], str]:
    """Good parts with their shapes and one `unit` for all pictures of a part, and what was found, in words; "" where
    nothing was.

    Near-identical pictures are those that `data check` and a split find: the same part photographed again. Pictures
    whose groups are named and differ are never joined. Where all pictures look like one, nothing could be held out, so
    they are held out one by one, but `counted` as one part, and pictures of the same pixels are taken once: one that
    is held out beside its own copy shows no spread.
    """
    pairs, shapes = find_pairs_among([part.sample for part in parts], parts[0].full_scale if parts else None)
    parts = [replace(part, shape=shapes.get(index)) for index, part in enumerate(parts)]
    joined = [
        pair
        for pair in pairs
        if None in (groups := [parts[i].sample.group for i in (pair.first, pair.second)]) or groups[0] == groups[1]
    ]
    found = clusters(joined, len(parts))
    keys = merge_groups([str(part.unit) for part in parts], joined)
    merged = [replace(part, unit=int(key), counted=int(key)) for part, key in zip(parts, keys, strict=True)]
    count = len({part.unit for part in merged})
    if count == len({part.unit for part in parts}):
        return parts, ""
    summary = f"{count} part{'s' * (count != 1)} in {len(parts)} photos"
    names = ", ".join(" and ".join(parts[i].sample.path.name for i in cluster[:2]) for cluster in found[:NAMED])
    if count < 2:
        warn(f"{summary}: all pictures are near-identical, as of one part photographed again and again. New parts "
             "will look strange, and nothing can be promised. Photograph other good parts; if these are different "
             "parts, name each in a table's column 'group'")  # fmt: skip
        return [replace(part, counted=0) for part in _different(parts)], f"{summary}, held out one by one"
    warn(f"{summary}: near-identical pictures ({names}) are held out together and count once. If they show different "
         "parts, name each in a table's column 'group'")  # fmt: skip
    return merged, f"{summary}: near-identical pictures are held out together and count once"


def _different(parts: Sequence[Part]) -> list[Part]:
    """The first part of each picture, by its pixels; files that cannot be read are kept: the loader names them."""
    first: dict[bytes, Part] = {}
    for part in parts:
        try:
            pixels, _ = read_image(part.sample.path, part.full_scale)
        except InputError:
            first[part.hash.encode()] = part
            continue
        first.setdefault(hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest(), part)
    return list(first.values())


def worst_of_each(values: np.ndarray, parts: Sequence[Part]) -> np.ndarray:
    """The highest of a value (n,) over the pictures of each part that is counted: (units,)."""
    highest: dict[int, float] = defaultdict(lambda: -np.inf)
    for value, part in zip(values, parts, strict=True):
        highest[part.counted] = max(highest[part.counted], float(value))
    return np.array(list(highest.values()), np.float64)


def shared_weights(parts: Sequence[Part]) -> np.ndarray:
    """Weights (n,) of pictures that sum to 1: every part that is counted has the same, and its pictures share it."""
    counted, pictures = np.unique([part.counted for part in parts], return_counts=True)
    shares = dict(zip(counted.tolist(), pictures.tolist(), strict=True))
    return np.array([1 / (len(shares) * shares[part.counted]) for part in parts])
