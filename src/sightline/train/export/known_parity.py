"""The parity gate of what is said of known defects: the graph's answers beside those of the networks in torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sightline.models.arrays import Array
from sightline.models.classifier import Classifier
from sightline.models.detector import BoxHead
from sightline.runtime.session import relative_difference
from sightline.train.backbone.cache import as_tensors


@torch.inference_mode()
def known_difference(
    net: Classifier | None, boxes: BoxHead | None, maps: dict[str, Array], outputs: dict[str, NDArray[np.float32]]
) -> float:
    """Largest difference of a type's logit, the grade, a box's score or side, relative to max(1, |value|)."""
    tensors, pairs = as_tensors(maps), []
    if net is not None:
        predicted = net(tensors)
        pairs.append((net.type_logits(predicted.types)[0], outputs["type_logits"][0]))
        if predicted.quality is not None:
            pairs.append((net.grade(predicted.quality), outputs["grade"]))
    if boxes is not None:
        pairs += zip(boxes.answers(tensors), (outputs["box_scores"], outputs["boxes"]), strict=True)
    return max(relative_difference(ours.numpy(), graphs) for ours, graphs in pairs)
