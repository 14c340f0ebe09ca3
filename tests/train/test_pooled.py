"""The embedding of whole images: one row each, the same alone and in a batch, for any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.train.pooled import PooledTrunk


def test_rows_do_not_depend_on_the_batch(draw: Any) -> None:
    embed = PooledTrunk("lite0", threads=1, side_px=100)
    images = [draw(0)[0], draw(1, height=60, width=200)[0], draw(2)[0][:16, :16]]
    together = embed(images)
    assert together.shape == (3, 2 * (112 + 320)) and together.dtype == np.float32
    for row, image in zip(together, images, strict=True):
        np.testing.assert_allclose(embed([image])[0], row, rtol=1e-3, atol=1e-3)
