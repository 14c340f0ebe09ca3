"""The parity gate: no recipe is written whose graph does not score like the network it was made from."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.card import Parity
from sightline.core.errors import RecipeError
from sightline.core.result import Band
from sightline.models.backbone import Backbone
from sightline.models.classifier import Classifier
from sightline.models.detector import BoxHead
from sightline.models.memory_bank import AnomalyHead
from sightline.runtime.session import TOLERANCE, OnnxSession, relative_difference
from sightline.train.backbone.extractor import FeatureExtractor, OnnxExtractor, TorchExtractor
from sightline.train.images.loader import release_memory

IMAGES = 8


@torch.inference_mode()
def check_parity(
    model: bytes,
    backbone: str | Backbone,
    head: AnomalyHead,
    images: Iterable[NDArray[np.uint8]],
    band: Band,
    int8: bytes | None = None,
    net: Classifier | None = None,
    boxes: BoxHead | None = None,
) -> Parity:
    """Score images (H, W, 3) uint8 in torch and in the recipe's graph. Raises RecipeError where they differ.

    An `int8` backbone's reference is that backbone by itself in onnxruntime, which the thresholds were fitted on.
    A difference above `TOLERANCE` relative to max(1, |score|), or one changed verdict, is a failure; so it is for
    the logits of types and the grade that `net` gives, and the answers of `boxes`.
    """
    probes = list(images)
    answers = _answers(model, probes)
    extractor: FeatureExtractor
    extractor = TorchExtractor(backbone) if int8 is None else OnnxExtractor(backbone, 2, int8)
    head = copy.deepcopy(head).to("cpu")
    worst, flips = 0.0, 0
    for image, outputs in zip(probes, answers, strict=True):
        maps = extractor(image[None])
        expected, actual = float(head(maps)[1]), float(outputs["score"][0])
        learned = max(_recognised(net, maps, outputs), _boxed(boxes, maps, outputs))
        difference = max(abs(actual - expected) / max(1.0, abs(expected)), learned)
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
        # A score on a threshold may land on either side by rounding alone: only a real difference is a flip.
        flips += band.decide(actual) is not band.decide(expected) and difference > TOLERANCE / 10
    if worst > TOLERANCE or flips:
        raise RecipeError(
            f"parity gate: the exported graph differs from torch by {worst:.2g} (limit {TOLERANCE}) with {flips} "
            f"changed verdicts on {len(probes)} images, so no recipe was written. Reinstall with the pinned constraints"
        )
    return Parity(
        images=len(probes),
        max_relative_difference=worst,
        verdict_flips=flips,
        reference=("int8 backbone and " if int8 else "") + f"torch {torch.__version__}",
        engine=f"onnxruntime {onnxruntime.__version__}",
    )


def _answers(model: bytes, images: Iterable[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
    """The graph's outputs; its session is gone before the reference comes, since both need hundreds of MB."""
    session = OnnxSession(model)
    found = [session.run({"image": image[None]}) for image in images]
    del session
    release_memory()
    return found


def _recognised(net: Classifier | None, maps: dict[str, Tensor], outputs: dict[str, NDArray[np.float32]]) -> float:
    """Largest difference of a type's logit or the grade, relative to max(1, |value|)."""
    if net is None:
        return 0.0
    predicted = net(maps)
    pairs = [(net.type_logits(predicted.types)[0].numpy(), outputs["type_logits"][0])]
    if predicted.quality is not None:
        pairs.append((net.grade(predicted.quality).numpy(), outputs["grade"]))
    return max(relative_difference(a, b) for a, b in pairs)


def _boxed(boxes: BoxHead | None, maps: dict[str, Tensor], outputs: dict[str, NDArray[np.float32]]) -> float:
    """Largest difference of a box's score or side, relative to max(1, |value|)."""
    if boxes is None:
        return 0.0
    pairs = zip(boxes.answers(maps), (outputs["box_scores"], outputs["boxes"]), strict=True)
    return max(relative_difference(a.numpy(), b) for a, b in pairs)
