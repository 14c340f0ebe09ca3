"""A diverse subset: the few images that lie nearest to all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.data.curation.neighbours import compact


@dataclass(frozen=True)
class Picked:
    """Chosen images in the order of choice, and how far each was from those before it; `radius` is what is left."""

    indices: tuple[int, ...]
    distances: tuple[float, ...]
    radius: float


def pick(embeddings: NDArray[np.float32], count: int, given: Sequence[int] = ()) -> Picked:
    """`count` images of embeddings (N, E), besides those that are `given`, each the farthest from all before it.

    Greedy k-centre (O. Sener, S. Savarese: "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    ICLR 2018): the radius is at most twice the best possible. Without given ones, the most central image is the
    first. Raises InputError where fewer than `count` are left, or a given one does not exist.
    """
    total = len(embeddings)
    if any(not 0 <= index < total for index in given):
        raise InputError(f"an image to start from is not among the {total} of the set. Check the list")
    if not 1 <= count <= total - len(set(given)):
        raise InputError(
            f"{count} images cannot be picked of {total - len(set(given))}. Give a number from 1 to that one"
        )
    points = compact(embeddings)
    away = np.full(total, np.inf)
    for index in given:
        away = np.minimum(away, np.linalg.norm(points - points[index], axis=1))
    away[list(given)] = -1.0  # never again, also where two images are the same
    chosen: list[int] = []
    distances: list[float] = []
    for _ in range(count):
        central = not given and not chosen
        index = int(np.linalg.norm(points, axis=1).argmin() if central else away.argmax())
        distances.append(0.0 if central else float(away[index]))
        chosen.append(index)
        away = np.where(away < 0, away, np.minimum(away, np.linalg.norm(points - points[index], axis=1)))
        away[index] = -1.0
    return Picked(tuple(chosen), tuple(distances), max(float(away.max()), 0.0))
