"""Which layers of a backbone learn, and how fast: the last ones most, the first ones not at all.

A layer is what a forward pass reaches as one block, in the order of reaching it, so that CNNs, ViTs and hybrids need
no tables of names. Rates fall geometrically with the distance from the end (Howard and Ruder, ULMFiT, ACL 2018).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier, Recognised
from sightline.models.detector import BoxHead
from sightline.models.efficientnet_lite import fold_frozen
from sightline.train.backbone.torch_extractor import ImageExtractor
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

FIRST_RATE = 0.02  # of the last layer's, that the first one would have
WARM_UP = 0.1  # of the steps


@dataclass(frozen=True)
class Layer:
    """One block of a backbone: its name, its own parameters, and its share of the last layer's learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    share: float


@torch.no_grad()
def layers_of(net: nn.Module, image: Tensor) -> list[Layer]:
    """All layers that reading `image` reaches, the first one first.

    Parameters of a module that is never called by itself (an unused pooler, for instance) belong to no layer.
    """
    reached: list[str] = []
    owners = [name for name, module in net.named_modules() if next(module.parameters(recurse=False), None) is not None]
    modules = dict(net.named_modules())
    hooks = [
        modules[name].register_forward_pre_hook(lambda module, args, name=name: reached.append(name)) for name in owners
    ]
    try:
        net(image)
    finally:
        for hook in hooks:
            hook.remove()
    found: dict[str, dict[str, nn.Module]] = {}
    for name in dict.fromkeys(reached):
        found.setdefault(_block(name), {})[name] = modules[name]
    last = max(1, len(found) - 1)
    return [
        Layer(
            block,
            tuple(p for module in parts.values() for p in module.parameters(recurse=False)),
            FIRST_RATE ** ((len(found) - 1 - depth) / last),
        )
        for depth, (block, parts) in enumerate(found.items())
    ]


def _block(name: str) -> str:
    """`stages.3.1.expand.conv` -> `stages.3.1`: up to the last number; without one, what the module is a part of."""
    parts = name.split(".")
    numbers = [index for index, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[-1] + 1] if numbers else parts[:-1] or parts)


def free_last(layers: list[Layer], depth: float) -> list[Layer]:
    """Let the last layers learn: those nearer to the end than `depth` (0..1] of the way; no others."""
    last = max(1, len(layers) - 1)
    trainable = [layer for index, layer in enumerate(layers) if (len(layers) - 1 - index) / last <= depth]
    for layer in layers:
        for parameter in layer.parameters:
            parameter.requires_grad_(layer in trainable and parameter.is_floating_point())
    return trainable


def rate_at(step: int, steps: int) -> float:
    """Share of the learning rate at a step: up in a straight line, then down by half a cosine (Loshchilov 2017)."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


# Backbone and classifier as one network that learns.

HEAD_RATE = 3.0  # of the backbone's last layer: heads have no pretrained weights to lose
PULL = 0.002  # of the way back to the pretrained weights, in a step at the full rate
AVERAGE = 0.99  # of the running average of the weights that a step keeps


class JointNetwork(nn.Module):
    """Images (N, H, W, 3) uint8 -> Recognised. The backbone reads in eval mode, whatever the mode of the heads.

    The statistics of its batch norms are those of millions of pictures; a few parts have no better ones.
    On a GPU the backbone computes in bfloat16, and its maps are widened before the heads. `evident` says, by hash, what
    single cells of the parts that it learns from say: a part's own marks must not be among what it is called by.
    `boxes` draws boxes from the same maps, where people have drawn enough of them to learn from.
    """

    def __init__(
        self,
        source: Backbone,
        heads: Classifier,
        boxes: BoxHead | None = None,
        evident: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.extractor, self.heads, self._names = ImageExtractor(source).eval(), copy.deepcopy(heads), source.maps
        self.boxes = copy.deepcopy(boxes)
        self.evident = evident or {}

    def recalled(self, parts: Sequence[Labelled]) -> Tensor | None:
        """Evidence (N, shares * K) that was found without each part itself; None where it is not known of all."""
        if not all(x.part.hash in self.evident for x in parts):
            return None
        return torch.stack([self.evident[x.part.hash] for x in parts]).to(self.heads.trust.device)

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """What the backbone sees: {name: (N, C, h, w) float32}."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            maps = self.extractor(images)
        return {name: x.float() for name, x in zip(self._names, maps, strict=True)}

    def forward(self, images: Tensor) -> Recognised:
        predicted: Recognised = self.heads(self.maps(images))
        return predicted

    @property
    def learning(self) -> dict[str, nn.Parameter]:
        """What learns, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def groups(self, size: tuple[int, int], settings: TrainSettings) -> list[dict[str, object]]:
        """Let the last layers and the heads learn: groups for an optimiser, each with its `rate`."""
        image = torch.zeros(1, *size, 3, dtype=torch.uint8, device=next(self.parameters()).device)
        trainable = free_last(layers_of(self.extractor, image), settings.tune_depth)
        fold_frozen(self.extractor)
        self.heads.requires_grad_(True)
        # Evidence is a matter of statistics, not of gradients: it is found anew when the backbone has learned.
        self.heads.lda.requires_grad_(False)
        self.heads.trust.requires_grad_(False)
        rates = [(layer.parameters, settings.tune_rate * layer.share) for layer in trainable]
        if self.boxes is not None:
            self.boxes.requires_grad_(True)
        heads = (self.heads, *([] if self.boxes is None else [self.boxes]))
        own = tuple(parameter for head in heads for parameter in head.parameters() if parameter.requires_grad)
        rates.append((own, settings.tune_rate * HEAD_RATE))
        return [{"params": list(parameters), "rate": rate} for parameters, rate in rates]


class Anchors:
    """The pretrained weights of what learns in the backbone: each step goes a little of the way back to them.

    L2-SP (Li et al., Explicit Inductive Bias for Transfer Learning, ICML 2018), apart from the gradient as in AdamW.
    What the backbone knows of the world at large is what finds strangers; without the pull it would be given up for the
    few types that have labels.
    """

    def __init__(self, net: JointNetwork) -> None:
        self._origins = {name: p.detach().clone() for name, p in net.learning.items() if name.startswith("extractor.")}

    @torch.no_grad()
    def pull(self, net: JointNetwork, rate: float) -> None:
        """`rate` is the step's share of the full learning rate."""
        for name, parameter in net.learning.items():
            if name in self._origins:
                parameter.lerp_(self._origins[name], PULL * rate)


class Average:
    """A running average of what learns (Polyak and Juditsky 1992): steadier than the last step's weights."""

    def __init__(self, net: JointNetwork) -> None:
        self.weights = {name: p.detach().clone() for name, p in net.learning.items()}

    @torch.no_grad()
    def update(self, net: JointNetwork, step: int) -> None:
        """The first steps count more, so that the start is soon forgotten."""
        keep = min(AVERAGE, (1 + step) / (10 + step))
        for name, parameter in net.learning.items():
            self.weights[name].lerp_(parameter, 1 - keep)


@torch.no_grad()
def put(net: JointNetwork, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the network these weights; what it had before comes back."""
    before = {name: parameter.detach().clone() for name, parameter in net.learning.items()}
    for name, parameter in net.learning.items():
        parameter.copy_(weights[name])
    return before


def as_batch(images: list[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Images (H, W, 3) uint8 -> one batch (N, H, W, 3) uint8 on the device."""
    return torch.from_numpy(np.stack(images)).to(device)
