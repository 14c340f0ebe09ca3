"""A frozen trunk as an embedder of whole images, for curation: what a part looks like in one vector."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sightline.models.backbone import Backbone, backbone
from sightline.runtime.image import Image
from sightline.train.trunk import open_trunk

SIDE_PX = 256  # rounded up to the trunk's step; the aspect is given up, since places do not matter here


class PooledTrunk:
    """Images (H, W, 3) uint8 of any size -> (N, E) float32: mean and maximum over all cells of the coarse level's maps.

    The mean tells the product and its light, the maximum a small defect. Every image is stretched to one square.
    """

    def __init__(self, name: str | Backbone = "lite0", threads: int = 2, side_px: int = SIDE_PX) -> None:
        source = backbone(name)
        self._maps = tuple(dict.fromkeys((*source.levels["coarse"], source.embedding)))
        self._side = -(-side_px // source.step_px) * source.step_px
        self._trunk = open_trunk(name, threads)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        size = (self._side, self._side)
        batch = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        maps = self._trunk(np.asarray(batch, np.uint8))
        pooled = [part for name in self._maps for part in (maps[name].mean(dim=(2, 3)), maps[name].amax(dim=(2, 3)))]
        return np.asarray(torch.cat(pooled, dim=1).cpu().numpy(), np.float32)
