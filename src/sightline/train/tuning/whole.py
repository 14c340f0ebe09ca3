"""Trunk and recogniser as one network that learns."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.models.backbone import Backbone
from sightline.models.boxes import BoxHead
from sightline.models.efficientnet_lite import fold_frozen
from sightline.models.recogniser import Recognised, Recogniser
from sightline.train.labelled import Labelled
from sightline.train.settings import TrainSettings
from sightline.train.trunk import ImageTrunk
from sightline.train.tuning.layers import free_last, layers_of

HEAD_RATE = 3.0  # of the trunk's last layer: heads have no pretrained weights to lose
PULL = 0.002  # of the way back to the pretrained weights, in a step at the full rate
AVERAGE = 0.99  # of the running average of the weights that a step keeps


class Whole(nn.Module):
    """Images (N, H, W, 3) uint8 -> Recognised. The trunk reads in eval mode, whatever the mode of the heads.

    The statistics of its batch norms are those of millions of pictures; a few parts have no better ones.
    On a GPU the trunk computes in bfloat16, and its maps are widened before the heads. `evident` says, by hash, what
    single cells of the parts that it learns from say: a part's own marks must not be among what it is called by.
    `boxes` draws boxes from the same maps, where people have drawn enough of them to learn from.
    """

    def __init__(
        self,
        source: Backbone,
        heads: Recogniser,
        boxes: BoxHead | None = None,
        evident: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.trunk, self.heads, self._names = ImageTrunk(source).eval(), copy.deepcopy(heads), source.maps
        self.boxes = copy.deepcopy(boxes)
        self.evident = evident or {}

    def recalled(self, parts: Sequence[Labelled]) -> Tensor | None:
        """Evidence (N, shares * K) that was found without each part itself; None where it is not known of all."""
        if not all(x.part.hash in self.evident for x in parts):
            return None
        return torch.stack([self.evident[x.part.hash] for x in parts]).to(self.heads.trust.device)

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """What the trunk sees: {name: (N, C, h, w) float32}."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            maps = self.trunk(images)
        return {name: x.float() for name, x in zip(self._names, maps, strict=True)}

    def forward(self, images: Tensor) -> Recognised:
        said: Recognised = self.heads(self.maps(images))
        return said

    @property
    def learning(self) -> dict[str, nn.Parameter]:
        """What learns, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def groups(self, size: tuple[int, int], settings: TrainSettings) -> list[dict[str, object]]:
        """Let the last layers and the heads learn: groups for an optimiser, each with its `rate`."""
        image = torch.zeros(1, *size, 3, dtype=torch.uint8, device=next(self.parameters()).device)
        freed = free_last(layers_of(self.trunk, image), settings.tune_depth)
        fold_frozen(self.trunk)
        self.heads.requires_grad_(True)
        # Evidence is a matter of statistics, not of gradients: it is found anew when the trunk has learned.
        self.heads.evidence.requires_grad_(False)
        self.heads.trust.requires_grad_(False)
        rates = [(layer.parameters, settings.tune_rate * layer.share) for layer in freed]
        if self.boxes is not None:
            self.boxes.requires_grad_(True)
        heads = (self.heads, *([] if self.boxes is None else [self.boxes]))
        own = tuple(parameter for head in heads for parameter in head.parameters() if parameter.requires_grad)
        rates.append((own, settings.tune_rate * HEAD_RATE))
        return [{"params": list(parameters), "rate": rate} for parameters, rate in rates]


class Anchors:
    """The pretrained weights of what learns in the trunk: each step goes a little of the way back to them.

    L2-SP (Li et al., Explicit Inductive Bias for Transfer Learning, ICML 2018), apart from the gradient as in AdamW.
    What the trunk knows of the world at large is what finds strangers; without the pull it would be given up for the
    few types that have labels.
    """

    def __init__(self, net: Whole) -> None:
        self._origins = {name: p.detach().clone() for name, p in net.learning.items() if name.startswith("trunk.")}

    @torch.no_grad()
    def pull(self, net: Whole, rate: float) -> None:
        """`rate` is the step's share of the full learning rate."""
        for name, parameter in net.learning.items():
            if name in self._origins:
                parameter.lerp_(self._origins[name], PULL * rate)


class Average:
    """A running average of what learns (Polyak and Juditsky 1992): steadier than the last step's weights."""

    def __init__(self, net: Whole) -> None:
        self.weights = {name: p.detach().clone() for name, p in net.learning.items()}

    @torch.no_grad()
    def update(self, net: Whole, step: int) -> None:
        """The first steps count more, so that the start is soon forgotten."""
        keep = min(AVERAGE, (1 + step) / (10 + step))
        for name, parameter in net.learning.items():
            self.weights[name].lerp_(parameter, 1 - keep)


@torch.no_grad()
def put(net: Whole, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the network these weights; what it had before comes back."""
    before = {name: parameter.detach().clone() for name, parameter in net.learning.items()}
    for name, parameter in net.learning.items():
        parameter.copy_(weights[name])
    return before


def as_batch(images: list[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Images (H, W, 3) uint8 -> one batch (N, H, W, 3) uint8 on the device."""
    return torch.from_numpy(np.stack(images)).to(device)
