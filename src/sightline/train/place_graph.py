"""The place reader in the recipe's graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.models.place import Place

PLACE_TEXT = """
    place_cut = Slice({L}_keys, start, place_size, last)
    place_rows = Reshape(place_cut, place_cells)
    place_whitened = MatMul(place_rows, place_whiten)
    place_offset = Sub(place_whitened, place_mean)
    place_squared = ReduceSumSquare<keepdims=0>(place_offset, place_values)
    place_distance = Sqrt(place_squared)
    place_far = Max(place_distance, place_floor)
    place_map = Reshape(place_far, {L}_shape)
    place_moved = Sub(place_map, place_centre)
    place_scaled = Div(place_moved, place_spread)
"""


def place_constants(place: Place) -> dict[str, NDArray[np.generic]]:
    """|W (k - m)| as |k W' - W m|: rows (1, d) times (d, d) at every place, and one difference."""
    whiten, mean = place.whiten.cpu().numpy(), place.mean.cpu().numpy()
    places, size = mean.shape
    return {
        "place_size": np.array([size]),
        "place_cells": np.array([-1, places, 1, size]),
        "place_values": np.array([2, 3]),
        "place_whiten": np.ascontiguousarray(whiten.transpose(0, 2, 1)),
        "place_mean": (whiten @ mean[..., None])[..., 0][:, None],
        "place_floor": place.floor.cpu().numpy(),
        "place_centre": place.centre.cpu().numpy(),
        "place_spread": place.spread.cpu().numpy() / np.float32(place.weight),
    }
