"""Which layers of a trunk learn, and how fast: the last ones most, the first ones not at all.

A layer is what a forward pass reaches as one block, in the order of reaching it, so that CNNs, ViTs and hybrids need
no tables of names. Rates fall geometrically with the distance from the end (Howard and Ruder, ULMFiT, ACL 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FIRST_RATE = 0.02  # of the last layer's, that the first one would have
WARM_UP = 0.1  # of the steps


@dataclass(frozen=True)
class Layer:
    """One block of a trunk: its name, its own parameters, and its share of the last layer's learning rate."""

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
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[-1] + 1] if numbers else parts[:-1] or parts)


def free_last(layers: list[Layer], depth: float) -> list[Layer]:
    """Let the last layers learn: those nearer to the end than `depth` (0..1] of the way; no others."""
    last = max(1, len(layers) - 1)
    freed = [layer for place, layer in enumerate(layers) if (len(layers) - 1 - place) / last <= depth]
    for layer in layers:
        for parameter in layer.parameters:
            parameter.requires_grad_(layer in freed and parameter.is_floating_point())
    return freed


def rate_at(step: int, steps: int) -> float:
    """Share of the learning rate at a step: up in a straight line, then down by half a cosine (Loshchilov 2017)."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
