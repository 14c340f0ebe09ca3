"""The discriminator in the recipe's graph.

Its hidden layer is linear in the level's features, as the PCA is, so both are one convolution: the hidden values are
further channels of the keys, averaged and joined with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.models.discriminator import Discriminator

DISCRIMINATOR_TEXT = """
    {L}_own = Slice({L}_sized, start, key_values, last)
    taught_hidden = Slice({L}_sized, key_values, every_value, last)
    taught_lit = Relu(taught_hidden)
    taught_map = Conv(taught_lit, taught_readout)
    taught_far = Max(taught_map, taught_floor)
    taught_moved = Sub(taught_far, taught_centre)
    taught_scaled = Div(taught_moved, taught_spread)
"""


def discriminator_constants(taught: Discriminator, key_values: int) -> dict[str, NDArray[np.generic]]:
    """Its numbers; the keys are the first `key_values` of the joined channels."""
    hidden = len(taught.readout)
    return {
        "key_values": np.array([key_values]),
        "every_value": np.array([key_values + hidden]),
        "taught_readout": taught.readout.cpu().numpy().reshape(1, hidden, 1, 1),
        "taught_floor": taught.floor.cpu().numpy(),
        "taught_centre": taught.centre.cpu().numpy(),
        "taught_spread": taught.spread.cpu().numpy() / np.float32(taught.weight),
    }
