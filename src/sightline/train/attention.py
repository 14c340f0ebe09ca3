"""Where a recipe's trunk looks: attention over its input, for explanations in the lab."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.core.errors import SightlineError
from sightline.models.attention import attention_map
from sightline.models.backbone import backbone
from sightline.runtime.image import Image


class Attention:
    """Attention rollout of the trunk of that name, loaded on first use."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._net: torch.nn.Module | None = None

    def __call__(self, image: Image) -> tuple[NDArray[np.float32] | None, str]:
        """Attention (h, w) float32 over an input image (height, width, 3) uint8; None, and why, where there is none."""
        if self._name.startswith("lite"):
            return None, f"Attention is not shown: {self._name} is a convolutional network and has none"
        try:
            self._net = self._net or backbone(self._name).load()
        except SightlineError as error:
            return None, f"Attention is not shown: the trunk cannot be loaded here ({error})"
        found = attention_map(self._net, torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float())
        if found is None:
            return None, f"Attention is not shown: {self._name} is no plain vision transformer"
        return np.asarray(found[0].cpu().numpy(), np.float32), ""
