"""What a recipe keeps of its labelled parts, so that it can learn a new type without their images.

Pooled features of some parts of each class, and their strangest cells: a new type is held against both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.models.classifier import Classifier, hottest
from sightline.train.backbone.cache import CachedMaps
from sightline.train.classify.lda import cell_features, strangeness
from sightline.train.labels.targets import Labelled

PER_CLASS, GOOD = 40, 160  # a line makes good parts above all: what they bear must be known to a percent
STRANGE_CELLS = 24  # kept of each part
FEATURES, CLASSES = "known_replay", "known_replay_classes"  # initializers of the recipe that no operator reads
CELLS, SCALE, CENTRE, INVERSE, LOGITS = (
    f"known_replay_{name}" for name in ("cells", "scale", "centre", "inverse", "logits")
)


@torch.inference_mode()
def replay(
    net: Classifier, maps_of: CachedMaps, labelled: Sequence[Labelled], held_out: NDArray[np.float64]
) -> dict[str, NDArray[np.generic]]:
    """Features (R, pooled + hottest) float16 of up to `PER_CLASS` parts of each type and `GOOD` good ones, and their
    classes (R, K + 1).

    Also their strangest cells (R, n, F) float16 in standardised features, mean and deviation (2, F) that those rest on,
    centre (F,) and inverse covariance (F, F) of good cells, and the parts' logits (R, K + 1). Logits of parts that
    were `held_out` (parts, K + 1), else NaN, come first: of what it has learned from, a classifier is too sure.
    """
    chosen: list[int] = []
    typed = [index for index, x in enumerate(labelled) if x.classes is not None]
    for column in range(net.classes.out_channels):
        own = [index for index in typed if labelled[index].classes[column]]  # type: ignore[index]
        judged = [index for index in own if np.isfinite(held_out[index, 0])]
        others = [index for index in own if not np.isfinite(held_out[index, 0])]
        most = PER_CLASS if column else GOOD
        chosen += _evenly(judged, most)
        chosen += _evenly(others, most - len(judged))
    rows = [_features(net, maps_of, labelled[index]) for index in dict.fromkeys(chosen)]
    classes = [labelled[index].classes for index in dict.fromkeys(chosen)]
    logits = [
        held_out[index] if np.isfinite(held_out[index, 0]) else _logits(net, maps_of, labelled[index])
        for index in dict.fromkeys(chosen)
    ]
    cells = [_strangest(net, maps_of, labelled[index]) for index in dict.fromkeys(chosen)]
    scale = [torch.cat([getattr(level, name) for level in net.standards]).numpy() for name in ("mean", "scale")]
    return {
        FEATURES: np.array(rows, np.float16),
        CLASSES: np.array(classes, bool),
        CELLS: np.array(cells, np.float16),
        SCALE: np.array(scale, np.float32),
        CENTRE: net.centre.numpy().astype(np.float32),
        INVERSE: net.inverse.numpy().astype(np.float16),
        LOGITS: np.array(logits, np.float32),
    }


def _evenly(indices: list[int], most: int) -> list[int]:
    """At most so many of them, evenly."""
    count = max(0, min(len(indices), most))
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).astype(int)] if count else []


def _strangest(net: Classifier, maps_of: CachedMaps, x: Labelled) -> NDArray[np.float32]:
    cells = cell_features(net, maps_of.batch([(x.part.hash, x.image, False)]))
    chosen = strangeness(cells, net.centre, net.inverse).topk(min(STRANGE_CELLS, len(cells))).indices
    return np.asarray(cells[chosen].numpy())


def _features(net: Classifier, maps_of: CachedMaps, x: Labelled) -> NDArray[np.float32]:
    maps = maps_of.batch([(x.part.hash, x.image, False)])
    return np.asarray(torch.cat([net.describe(maps), hottest(net(maps).class_map)], dim=1)[0].numpy())


def _logits(net: Classifier, maps_of: CachedMaps, x: Labelled) -> NDArray[np.float32]:
    return np.asarray(net(maps_of.batch([(x.part.hash, x.image, False)])).types[0].numpy())
