"""What a recipe keeps of its labelled parts, so that it can learn a new type without their images: pooled features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.models.recogniser import Recogniser, hottest
from sightline.train.recognise import Labelled
from sightline.train.trunk import Trunk

PER_CLASS = 40
FEATURES, CLASSES = "known_replay", "known_replay_classes"  # initializers of the recipe that no operator reads


@torch.inference_mode()
def replay(net: Recogniser, trunk: Trunk, labelled: Sequence[Labelled]) -> dict[str, NDArray[np.generic]]:
    """Features (R, pooled + hottest) float16 of up to `PER_CLASS` parts of each class, and their classes (R, K + 1)."""
    chosen: list[int] = []
    known = [index for index, x in enumerate(labelled) if x.classes is not None]
    for column in range(net.classes.out_channels):
        own = [index for index in known if labelled[index].classes[column]]  # type: ignore[index]
        chosen += [own[i] for i in np.linspace(0, len(own) - 1, min(len(own), PER_CLASS)).astype(int)]
    rows = [_features(net, trunk, labelled[index]) for index in dict.fromkeys(chosen)]
    classes = [labelled[index].classes for index in dict.fromkeys(chosen)]
    return {FEATURES: np.array(rows, np.float16), CLASSES: np.array(classes, bool)}


def _features(net: Recogniser, trunk: Trunk, x: Labelled) -> NDArray[np.float32]:
    maps = {name: values.float().cpu() for name, values in trunk(x.image[None]).items()}
    return np.asarray(torch.cat([net.describe(maps), hottest(net(maps).places)], dim=1)[0].numpy())
