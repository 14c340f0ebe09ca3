"""The parity gate: no recipe is written whose graph does not score like the network it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sightline.core.card import Parity
from sightline.core.errors import RecipeError
from sightline.core.result import Band
from sightline.models.arrays import Array
from sightline.models.backbone import Backbone, backbone
from sightline.models.memory_bank import AnomalyHead
from sightline.runtime.session import TOLERANCE, OnnxSession
from sightline.train.backbone.extractor import FeatureExtractor, OnnxExtractor, backbone_onnx, has_torch
from sightline.train.images.loader import release_memory

if TYPE_CHECKING:
    from sightline.models.classifier import Classifier
    from sightline.models.detector import BoxHead

IMAGES = 8


def check_parity(
    model: bytes,
    source: str | Backbone,
    head: AnomalyHead,
    images: Iterable[NDArray[np.uint8]],
    band: Band,
    int8: bytes | None = None,
    net: Classifier | None = None,
    boxes: BoxHead | None = None,
) -> Parity:
    """Score images (H, W, 3) uint8 by the head and in the recipe's graph. Raises RecipeError where they differ.

    The head reads the backbone's maps in torch; where that is not installed, those of the backbone alone in
    onnxruntime, not optimised. An `int8` backbone's reference is that backbone by itself in onnxruntime, which the
    thresholds were fitted on.
    A difference above `TOLERANCE` relative to max(1, |score|), or one changed verdict, is a failure; so it is for
    the logits of types and the grade that `net` gives, and the answers of `boxes`.
    """
    probes = list(images)
    answers = _answers(model, probes)
    extractor, reference = _reference(backbone(source), int8, (probes[0].shape[0], probes[0].shape[1]))
    head = head.on_cpu()
    worst, flips = 0.0, 0
    for image, outputs in zip(probes, answers, strict=True):
        maps = extractor(image[None])
        expected, actual = float(head(maps)[1][0]), float(outputs["score"][0])
        learned = _known_difference(net, boxes, maps, outputs)
        difference = max(abs(actual - expected) / max(1.0, abs(expected)), learned)
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
        flips += is_flip(band, expected, actual, difference)
    if worst > TOLERANCE or flips:
        raise RecipeError(
            f"parity gate: the exported graph differs from {reference} by {worst:.2g} (limit {TOLERANCE}) with {flips} "
            f"changed verdicts on {len(probes)} images, so no recipe was written. Reinstall with the pinned constraints"
        )
    return Parity(
        images=len(probes),
        max_relative_difference=worst,
        verdict_flips=flips,
        reference=reference,
        engine=f"onnxruntime {onnxruntime.__version__}",
    )


def is_flip(band: Band, expected: float, actual: float, difference: float) -> bool:
    """Whether the verdict is another one. A score on a threshold may land on either side by rounding alone: only where
    the outputs differ by more than that is it one.
    """
    return band.decide(actual) is not band.decide(expected) and difference > TOLERANCE / 10


def _reference(source: Backbone, int8: bytes | None, size: tuple[int, int]) -> tuple[FeatureExtractor, str]:
    """What gives the maps that the head reads, and its name."""
    if int8 is not None:
        return OnnxExtractor(source, 2, int8), f"int8 backbone and numpy {np.__version__}"
    if not has_torch():
        plain = OnnxExtractor(source, 2, backbone_onnx(source, size), optimise=False)
        return plain, f"backbone, not optimised, and numpy {np.__version__}"
    from sightline.train.backbone.torch_extractor import TorchExtractor

    return TorchExtractor(source), f"torch {version('torch')} and numpy {np.__version__}"


def _answers(model: bytes, images: Iterable[NDArray[np.uint8]]) -> list[dict[str, NDArray[np.float32]]]:
    """The graph's outputs; its session is gone before the reference comes, since both need hundreds of MB."""
    session = OnnxSession(model)
    found = [session.run({"image": image[None]}) for image in images]
    del session
    release_memory()
    return found


def _known_difference(
    net: Classifier | None, boxes: BoxHead | None, maps: dict[str, Array], outputs: dict[str, NDArray[np.float32]]
) -> float:
    if net is None and boxes is None:
        return 0.0
    from sightline.train.export.known_parity import known_difference  # these were learned in torch

    return known_difference(net, boxes, maps, outputs)
