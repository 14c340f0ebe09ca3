"""The table of backbones: a name -> a network (N, 3, H, W) float32 RGB 0..255 -> maps (N, C, h, w), each with a name.

A new backbone is one file beside this one and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.models.pretrained import DINOV2_DIGEST, DINOV2_PATCH_PX, DINOV2_TAPS, TAPS, VARIANTS

if TYPE_CHECKING:
    from torch import nn

HUB_PREFIX = "hf:"


class Backbone(NamedTuple):
    """A backbone, and what a head must know of it.

    `load` gives the network, frozen and in eval mode; `identity` tells its weights from others (for the cache);
    `maps` names its outputs in order. `levels` has the keys "fine" and "coarse" and says which maps each of them
    joins; the first of a level gives its grid. A cell of the fine grid is `stride_px` wide, sides of the input are
    multiples of `step_px`, and the spatial mean of the map `embedding` describes the whole image. Where `any_size`
    is false, an export holds for one input size only. `pooled` says whether averaging a map over 3x3 cells helps: it
    steadies a CNN's cells, while a ViT's tokens have seen each other already and only lose detail. `written` is the
    variant whose graph `train.backbone.lite_graph` writes without torch; None where a network must be exported.
    """

    load: Callable[[], nn.Module]
    identity: str
    maps: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    stride_px: int
    step_px: int
    embedding: str
    any_size: bool = True
    pooled: bool = True
    written: str | None = None

    @property
    def whole(self) -> tuple[str, ...]:
        """Maps whose mean and deviation tell whether an image shows the product at all (docs/decisions/0034).

        The deepest map of a CNN; of a transformer, whose last tokens are alike in all pictures, the middle two.
        """
        middle = len(self.maps) // 2
        return (self.embedding,) if self.pooled else self.maps[max(0, middle - 1) : middle + 1]

    def size_of(self, images: NDArray[np.uint8]) -> tuple[int, int]:
        """Height and width. What lies beyond the last whole step would not be looked at, so such a size is refused."""
        height, width = images.shape[1:3]
        if height % self.step_px or width % self.step_px:
            raise InputError(
                f"an input of {width} x {height} px: the backbone needs sides that are multiples of {self.step_px}"
            )
        return height, width


def finer(source: Backbone) -> Backbone | None:
    """The same backbone with a fine level one map earlier, so of cells half as wide; None where there is no such
    map.
    """
    index = source.maps.index(source.levels["fine"][0])
    if not index:
        return None
    levels = {**source.levels, "fine": source.maps[index - 1 : index + 1]}
    return source._replace(levels=levels, stride_px=source.stride_px // 2)


def _lite(variant: str) -> Backbone:
    def load() -> nn.Module:
        from sightline.models import efficientnet_lite

        return efficientnet_lite.load(variant)

    return Backbone(
        load=load,
        identity=f"{variant}-{VARIANTS[variant][2][:12]}",
        maps=tuple(f"stride_{stride}" for stride in TAPS.values()),
        levels={"fine": ("stride_8", "stride_16"), "coarse": ("stride_16", "stride_32")},
        stride_px=8,
        step_px=32,
        embedding="stride_32",
        written=variant,
    )


def _dinov2() -> Backbone:
    maps = tuple(f"block_{number}" for number in DINOV2_TAPS)

    def load() -> nn.Module:
        from sightline.models import dinov2

        return dinov2.load()

    return Backbone(
        load=load,
        identity=f"dinov2-s-{DINOV2_DIGEST[:12]}",
        maps=maps,
        levels={"fine": maps[:2], "coarse": maps[-2:]},
        stride_px=DINOV2_PATCH_PX,
        step_px=DINOV2_PATCH_PX,
        embedding=maps[-1],
        pooled=False,
    )


def _hub(name: str) -> Backbone:
    from sightline.models import hub

    facts = hub.facts(name)
    maps = tuple(facts.indices)
    return Backbone(
        load=lambda: hub.load(name, tuple(facts.indices.values())),
        identity=facts.identity,
        maps=maps,
        levels={"fine": maps[:2], "coarse": maps[-2:]},
        stride_px=facts.strides[maps[0]],
        step_px=facts.step_px,
        embedding=maps[-1],
        any_size=facts.any_size,
        pooled=not facts.one_grid,
    )


BACKBONES: dict[str, Backbone] = {name: _lite(name) for name in VARIANTS}
BACKBONES["dinov2-s"] = _dinov2()


def backbone(name: str | Backbone) -> Backbone:
    """The backbone of that name; `hf:` and a hub name or folder for one that `transformers` knows; a backbone as it is.

    Raises InputError naming those that exist, and whatever stands in the way of opening one of the hub.
    """
    if isinstance(name, Backbone):
        return name
    if name.startswith(HUB_PREFIX):
        return _hub(name.removeprefix(HUB_PREFIX))
    if name not in BACKBONES:
        names = ", ".join([*BACKBONES, f"{HUB_PREFIX}NAME_OR_FOLDER"])
        raise InputError(f"no backbone is called '{name}'. Choose one of: {names}")
    return BACKBONES[name]
