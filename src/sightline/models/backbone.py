"""The table of trunks: a name -> a network (N, 3, H, W) float32 RGB 0..255 -> maps at strides 4, 8, 16, 32."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from sightline.core.errors import InputError
from sightline.models import efficientnet_lite


class Backbone(NamedTuple):
    """A trunk: how to load it, and what tells its weights from others (for the cache)."""

    load: Callable[[], nn.Module]
    identity: str


def _lite(variant: str) -> Backbone:
    digest = efficientnet_lite.VARIANTS[variant][2]
    return Backbone(lambda: efficientnet_lite.load(variant), f"{variant}-{digest[:12]}")


BACKBONES: dict[str, Backbone] = {name: _lite(name) for name in efficientnet_lite.VARIANTS}
STRIDES = (4, 8, 16, 32)


def backbone(name: str) -> Backbone:
    """The trunk of that name. Raises InputError naming those that exist."""
    if name not in BACKBONES:
        raise InputError(f"no backbone is called '{name}'. Choose one of: {', '.join(BACKBONES)}")
    return BACKBONES[name]
