"""The trunk's maps of labelled parts, kept in half precision: heads are learned in many passes, the trunk runs once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sightline.models.backbone import Backbone
from sightline.runtime.image import Image
from sightline.train.spill import Spill
from sightline.train.trunk import Trunk

KEPT_BYTES = 1 << 30  # in memory; what goes beyond lies on disk

Maps = dict[str, Tensor]


class KeptMaps:
    """Maps {name: (N, C, h, w) float32} of images and of their mirror images, from memory where there is room, then
    from a file, and from the trunk once more where there is no room on disk either.
    """

    def __init__(self, trunk: Trunk, source: Backbone, room: int = KEPT_BYTES, spill: Spill | None = None) -> None:
        self._trunk, self.names, self._room = trunk, source.maps, room
        self._kept: dict[tuple[str, bool], Maps] = {}
        self._spill = spill or Spill()

    def __call__(self, key: str, image: Image, mirrored: bool) -> Maps:
        """Maps {name: (1, C, h, w) float16} of one image (H, W, 3) uint8; `key` names it."""
        kept = self._kept.get((key, mirrored)) or self._spill.read((key, mirrored))
        if kept is not None:
            return kept
        view = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
        found = self._trunk(view[None])
        maps = {name: found[name].half().cpu() for name in self.names}
        self._keep((key, mirrored), maps)
        return maps

    def _keep(self, key: tuple[str, bool], maps: Maps) -> None:
        size = sum(values.nbytes for values in maps.values())
        if size <= self._room:
            self._kept[key] = maps
            self._room -= size
        else:
            self._spill.write(key, maps)

    def turned(self, image: Image) -> Maps:
        """Maps of an image upside down; they are asked for once, so they are not kept."""
        found = self._trunk(np.ascontiguousarray(image[::-1])[None])
        return {name: found[name].float().cpu() for name in self.names}

    def batch(self, asked: Sequence[tuple[str, Image, bool]]) -> Maps:
        """Maps of several images, stacked."""
        found = [self(*one) for one in asked]
        return {name: torch.cat([maps[name] for maps in found]).float() for name in self.names}
