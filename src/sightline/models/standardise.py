"""From pixels to the range a backbone was trained on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Scaling(NamedTuple):
    """How a backbone wants its pixels: scaled by `factor`, then minus `mean` over `std`, in the order of its
    colours.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    factor: float = 1 / 255
    reversed: bool = False  # blue first


class Standardise(nn.Module):
    """RGB (N, 3, H, W) float32 in 0..255 -> the backbone's range, same shape."""

    mean: Tensor
    gain: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.reversed = scaling.reversed
        self.register_buffer("mean", torch.tensor(scaling.mean).view(1, 3, 1, 1) / scaling.factor, persistent=False)
        self.register_buffer("gain", scaling.factor / torch.tensor(scaling.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        image = image.flip(1) if self.reversed else image
        return (image - self.mean) * self.gain
