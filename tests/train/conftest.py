"""The parts of one tiny training, fitted once: backbone, anomaly head, held-out scores and the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from onnx import ModelProto

from sightline.core.sample import TRAIN
from sightline.data.dataset import Dataset
from sightline.models.backbone import backbone
from sightline.models.memory_bank import AnomalyHead
from sightline.train.anomaly.fitting import HeldOut, fit_anomaly_head
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.backbone.extractor import OnnxExtractor, backbone_onnx
from sightline.train.backbone.torch_extractor import TorchExtractor
from sightline.train.export.graph import recipe_model
from sightline.train.images.loader import ImageLoader, InputSize, Part, accept
from sightline.train.settings import TrainSettings

SETTINGS = TrainSettings(side_px=112, bank_size=256, sample_patches=4000, threads=1, synthetic=8, coarse_weight=1.0)
SIZE = InputSize(96, 128, 1.0)


class Fitted(NamedTuple):
    """What `fit_anomaly_head` was given and gave."""

    extractor: OnnxExtractor
    parts: list[Part]
    head: AnomalyHead
    held_out: HeldOut
    stages: list[tuple[str, int, int]]


@pytest.fixture(scope="session")
def good_parts(parts: Dataset) -> list[Part]:
    return accept([s for s in parts if s.split == TRAIN and s.defective is False])


@pytest.fixture(scope="session")
def onnx_backbone() -> OnnxExtractor:
    return OnnxExtractor("lite0", threads=1)


@pytest.fixture(scope="session")
def torch_extractor() -> TorchExtractor:
    return TorchExtractor("lite0")


@pytest.fixture(scope="session")
def fitted(good_parts: list[Part], onnx_backbone: OnnxExtractor) -> Fitted:
    stages: list[tuple[str, int, int]] = []
    loader = ImageLoader(good_parts, SIZE, SETTINGS.roi)
    found = fit_anomaly_head(
        Maps(onnx_backbone, backbone("lite0")), loader, SETTINGS, lambda *stage: stages.append(stage)
    )
    return Fitted(onnx_backbone, good_parts, found.head, found.held_out, stages)


@pytest.fixture(scope="session")
def graph(fitted: Fitted) -> ModelProto:
    scores = fitted.held_out.scores.astype(np.float32)
    return recipe_model(backbone_onnx("lite0"), fitted.head, scores, (SIZE.height, SIZE.width), "stride_32")
